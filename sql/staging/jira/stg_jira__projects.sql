select
    connection,
    project_id,
    project_key,
    name,
    project_type,
    style,
    lead_id,
    is_archived
from jira.projects
where deleted_at is null
