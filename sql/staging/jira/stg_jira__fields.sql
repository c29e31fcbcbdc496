select
    connection,
    field_id,
    name,
    is_custom,
    schema_type,
    schema_custom,
    role
from jira.fields
where deleted_at is null
