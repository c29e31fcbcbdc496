select
    connection,
    link_id,
    link_type_id,
    link_type,
    source_issue_id,
    target_issue_id
from jira.issue_links
where deleted_at is null
