select
    connection,
    history_id,
    ordinal,
    issue_id,
    author_id,
    changed_at,
    field,
    field_type,
    field_id,
    from_value,
    from_string,
    to_value,
    to_string
from jira.changelog_items
where deleted_at is null
