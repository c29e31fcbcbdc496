select
    connection,
    sprint_id,
    board_id,
    name,
    state,
    goal,
    start_at,
    end_at,
    activated_at,
    completed_at,
    created_at
from jira.sprints
where deleted_at is null
