select
    connection,
    issue_id,
    cast(value as double) as story_points,
    from_at,
    to_at
from intermediate.int_delivery__issue_field_periods
where attribute = 'points'
