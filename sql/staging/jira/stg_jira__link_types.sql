select
    connection,
    link_type_id,
    name,
    outward,
    inward
from jira.link_types
where deleted_at is null
