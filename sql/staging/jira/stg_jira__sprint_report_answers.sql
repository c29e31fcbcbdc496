select
    connection,
    sprint_id,
    board_id,
    completed_at,
    is_offered,
    reason
from jira.sprint_report_answers
where deleted_at is null
