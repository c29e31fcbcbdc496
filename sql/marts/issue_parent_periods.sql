select
    connection,
    issue_id,
    try_cast(value as bigint) as parent_id,
    from_at,
    to_at
from intermediate.int_delivery__issue_field_periods
where attribute = 'parent'
