select
    connection,
    sprint_id,
    issue_id,
    board_id,
    list,
    added_during_sprint,
    start_estimate,
    end_estimate,
    estimate_field_id
from jira.sprint_reports
where deleted_at is null
