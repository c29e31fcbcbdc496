select
    connection,
    board_id,
    sprint_id
from jira.board_sprints
where deleted_at is null
