select
    connection,
    worklog_id,
    issue_id,
    author_id,
    started_at,
    time_spent_seconds,
    created_at,
    updated_at
from jira.worklogs
where deleted_at is null
