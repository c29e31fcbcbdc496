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

points as (
    select
        connection,
        issue_id,
        created_at as at,
        cast(0 as bigint) as history_id,
        cast(-1 as bigint) as ordinal,
        cast(null as boolean) as flagged_before,
        cast(null as boolean) as flagged_after
    from staging.stg_jira__issues
    union all
    select
        c.connection,
        c.issue_id,
        -- A change dated before the issue's creation belongs to its creation.
        greatest(c.changed_at, i.created_at) as at,
        c.history_id,
        c.ordinal,
        coalesce(nullif(c.from_string, ''), nullif(c.from_value, '')) is not null as flagged_before,
        coalesce(nullif(c.to_string, ''), nullif(c.to_value, '')) is not null as flagged_after
    from staging.stg_jira__changelog_items as c
    join staging.stg_jira__issues as i
        on i.connection = c.connection and i.issue_id = c.issue_id
    left join flag_fields as f
        on f.connection = c.connection and f.field_id = c.field_id
    where f.field_id is not null or lower(c.field) in ('flagged', 'impediment')
),

sequenced as (
    select
        connection,
        issue_id,
        at,
        flagged_after,
        lead(at) over by_issue as next_at,
        lead(flagged_before) over by_issue as next_before
    from points
    window by_issue as (
        partition by connection, issue_id order by at, history_id, ordinal
    )
),

-- Of several changes at one instant the last one counts: no interval has zero length.
valued as (
    select
        s.connection,
        s.issue_id,
        s.at as from_at,
        case
            when s.next_at is not null then s.next_before
            else coalesce(p.is_flagged, s.flagged_after, false)
        end as is_flagged
    from sequenced as s
    left join present as p on p.connection = s.connection and p.issue_id = s.issue_id
    where s.next_at is null or s.next_at > s.at
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
