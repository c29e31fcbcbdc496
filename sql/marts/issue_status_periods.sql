-- A status is known by its id; a deleted one by what the listing last said of it; one that was never
-- listed, by its name as it was then.
with named as (
    select connection, name, max(category) as category
    from staging.stg_jira__statuses
    group by connection, name
    having count(distinct category) = 1
)

select
    p.connection,
    p.issue_id,
    try_cast(p.value as bigint) as status_id,
    coalesce(s.name, p.label, p.value) as status,
    coalesce(s.category, n.category) as status_category,
    p.from_at,
    p.to_at
from intermediate.int_delivery__issue_field_periods as p
left join staging.stg_jira__statuses as s
    on s.connection = p.connection and s.status_id = try_cast(p.value as bigint)
left join named as n
    on n.connection = p.connection and n.name = p.label and s.status_id is null
where p.attribute = 'status'
