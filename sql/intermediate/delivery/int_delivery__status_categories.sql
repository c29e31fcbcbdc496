-- The first category known holds from the beginning, and each one until the next: a status that was
-- deleted keeps its last one. A new name is no new interval.
with compared as (
    select
        connection,
        status_id,
        category,
        valid_from,
        lag(valid_from) over by_status is null
        or lag(category) over by_status is distinct from category as begins
    from staging.stg_jira__statuses_history
    window by_status as (partition by connection, status_id order by valid_from)
)

select
    connection,
    status_id,
    category,
    row_number() over by_status as n,
    case when row_number() over by_status > 1 then valid_from end as from_at,
    lead(valid_from) over by_status as to_at
from compared
where begins
window by_status as (partition by connection, status_id order by valid_from)
