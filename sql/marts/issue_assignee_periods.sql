select
    connection,
    issue_id,
    value as assignee_id,
    from_at,
    to_at
from intermediate.int_delivery__issue_field_periods
where attribute = 'assignee'
