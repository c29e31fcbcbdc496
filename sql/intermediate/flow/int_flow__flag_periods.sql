-- Whether an issue is flagged is replayed backwards, as everything is: what held before a change is
-- its "from"; after the last one, the field's present value.
with flag_fields as (
    select connection, field_id, '"' || field_id || '":' as json_key
    from staging.stg_jira__fields
    where role = 'flagged' or lower(name) in ('flagged', 'impediment')
),

present as (
    select
        i.connection,
        i.issue_id,
        -- Null where the source sent no such field.
        bool_or(
            ltrim(substr(i.fields_json, strpos(i.fields_json, f.json_key) + length(f.json_key), 8))
            !~ '^(null|\[\]|"")'
        ) as is_flagged
    from staging.stg_jira__issues as i
    join flag_fields as f on f.connection = i.connection
    where strpos(i.fields_json, f.json_key) > 0
    group by i.connection, i.issue_id
),

changes as (
    select
        c.connection,
        c.issue_id,
        -- A change dated before the issue's creation belongs to its creation.
        greatest(c.changed_at, i.created_at) as changed_at,
        row_number() over (
            partition by c.connection, c.issue_id
            order by greatest(c.changed_at, i.created_at), c.history_id, c.ordinal
        ) as n,
        coalesce(nullif(c.from_string, ''), nullif(c.from_value, '')) is not null as flagged_before,
        coalesce(nullif(c.to_string, ''), nullif(c.to_value, '')) is not null as flagged_after
    from staging.stg_jira__changelog_items as c
    join staging.stg_jira__issues as i
        on i.connection = c.connection and i.issue_id = c.issue_id
    left join flag_fields as f
        on f.connection = c.connection and f.field_id = c.field_id
    where f.field_id is not null or lower(c.field) in ('flagged', 'impediment')
),

last_change as (
    select connection, issue_id, max(n) as n
    from changes
    group by connection, issue_id
),

boundaries as (
    select i.connection, i.issue_id, i.created_at as from_at, 0 as n
    from staging.stg_jira__issues as i
    left join present as p on p.connection = i.connection and p.issue_id = i.issue_id
    left join last_change as l on l.connection = i.connection and l.issue_id = i.issue_id
    where p.is_flagged or l.n is not null
    union all
    select connection, issue_id, changed_at as from_at, n
    from changes
),

instants as (
    select connection, issue_id, from_at, max(n) as n
    from boundaries
    group by connection, issue_id, from_at
),

valued as (
    select
        b.connection,
        b.issue_id,
        b.from_at,
        case
            when c.n is not null then c.flagged_before
            else coalesce(p.is_flagged, l.flagged_after, false)
        end as is_flagged
    from instants as b
    left join changes as c
        on c.connection = b.connection and c.issue_id = b.issue_id and c.n = b.n + 1
    left join changes as l
        on l.connection = b.connection and l.issue_id = b.issue_id and l.n = b.n
    left join present as p on p.connection = b.connection and p.issue_id = b.issue_id
),

-- One flag in place of another is no interruption.
compared as (
    select
        connection,
        issue_id,
        from_at,
        is_flagged,
        lag(is_flagged) over by_issue is distinct from is_flagged as begins
    from valued
    window by_issue as (partition by connection, issue_id order by from_at)
),

periods as (
    select
        connection,
        issue_id,
        is_flagged,
        from_at,
        lead(from_at) over (partition by connection, issue_id order by from_at) as to_at
    from compared
    where begins
)

select connection, issue_id, from_at, to_at
from periods
where is_flagged
