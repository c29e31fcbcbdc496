select
    connection,
    board_id,
    name,
    type,
    project_id,
    project_key,
    filter_id,
    estimation_type,
    estimation_field_id,
    rank_field_id,
    has_configuration
from jira.boards
where deleted_at is null
