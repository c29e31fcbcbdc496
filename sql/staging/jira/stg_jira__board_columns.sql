select
    connection,
    board_id,
    ordinal,
    status_key,
    name,
    status_id,
    is_last
from jira.board_columns
where deleted_at is null
