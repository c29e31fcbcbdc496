-- Deleted statuses stay: the history of issues still names them.
select
    connection,
    status_id,
    name,
    category,
    project_id,
    deleted_at
from jira.statuses
