-- The value that holds between two changes is the "from" of the later one; after the last change it
-- is the issue's present value. So a change that the source lost can't shift what comes after it.
with boundaries as (
    select connection, issue_id, attribute, created_at as from_at, 0 as n
    from intermediate.int_delivery__issue_fields_now
    union all
    select connection, issue_id, attribute, changed_at as from_at, n
    from intermediate.int_delivery__issue_field_changes
),

-- Of several boundaries at one instant the last one counts: no interval has zero length.
instants as (
    select connection, issue_id, attribute, from_at, max(n) as n
    from boundaries
    group by connection, issue_id, attribute, from_at
),

valued as (
    select
        b.connection,
        b.issue_id,
        b.attribute,
        b.from_at,
        case when c.n is null then p.value else c.value_before end as value,
        case when c.n is null then p.label else c.label_before end as label
    from instants as b
    join intermediate.int_delivery__issue_fields_now as p
        on p.connection = b.connection and p.issue_id = b.issue_id and p.attribute = b.attribute
    left join intermediate.int_delivery__issue_field_changes as c
        on c.connection = b.connection
        and c.issue_id = b.issue_id
        and c.attribute = b.attribute
        and c.n = b.n + 1
),

compared as (
    select
        connection,
        issue_id,
        attribute,
        from_at,
        value,
        label,
        lag(from_at) over by_issue is null
        or lag(value) over by_issue is distinct from value as begins
    from valued
    window by_issue as (partition by connection, issue_id, attribute order by from_at)
)

select
    connection,
    issue_id,
    attribute,
    value,
    label,
    from_at,
    lead(from_at) over (
        partition by connection, issue_id, attribute order by from_at
    ) as to_at
from compared
where begins
