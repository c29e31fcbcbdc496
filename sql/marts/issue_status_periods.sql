-- A status is known by its id; a deleted one by what the listing last said of it; one that was never
-- listed, by its name as it was then. Its category is that of the time: where it changes while the
-- issue stays, one interval ends and the next begins.
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
    case
        when c.status_id is not null then c.category
        else coalesce(s.category, n.category)
    end as status_category,
    greatest(p.from_at, c.from_at) as from_at,
    least(p.to_at, c.to_at) as to_at
from intermediate.int_delivery__issue_field_periods as p
left join staging.stg_jira__statuses as s
    on s.connection = p.connection and s.status_id = try_cast(p.value as bigint)
left join named as n
    on n.connection = p.connection and n.name = p.label and s.status_id is null
left join intermediate.int_delivery__status_categories as c
    on c.connection = p.connection
    and c.status_id = try_cast(p.value as bigint)
    and (c.from_at is null or p.to_at is null or c.from_at < p.to_at)
    and (c.to_at is null or c.to_at > p.from_at)
where p.attribute = 'status'
