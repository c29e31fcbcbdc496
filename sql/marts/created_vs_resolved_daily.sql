-- Running sums over the days at which issues were created, resolved and reopened.
with zones as (
    select
        d.connection,
        d.data_time,
        coalesce(s.time_zone, 'UTC') as time_zone
    from intermediate.int_delivery__data_time as d
    left join staging.stg_jira__sites as s on s.connection = d.connection
),

marked as (
    select
        i.connection,
        i.project_id,
        i.created_at,
        p.from_at,
        coalesce(p.status_category = 'done', false) as is_done,
        lag(coalesce(p.status_category = 'done', false)) over (
            partition by p.connection, p.issue_id order by p.from_at
        ) as was_done
    from staging.stg_jira__issues as i
    join marts.issue_status_periods as p
        on p.connection = i.connection and p.issue_id = i.issue_id
    where not coalesce(i.is_subtask, false) and i.project_id is not null
),

-- What an event adds to the issues open, and since when these are open.
events as (
    select connection, project_id, created_at, from_at as at,
        1 as created, 0 as resolved, 0 as reopened
    from marked
    where was_done is null
    union all
    select connection, project_id, created_at, from_at as at,
        0 as created, 1 as resolved, 0 as reopened
    from marked
    where is_done and not coalesce(was_done, false)
    union all
    select connection, project_id, created_at, from_at as at,
        0 as created, 0 as resolved, 1 as reopened
    from marked
    where was_done and not is_done
),

starts as (
    select connection, project_id, min(created_at) as first_at
    from events
    group by connection, project_id
),

by_day as (
    select
        e.connection,
        e.project_id,
        -- A change of a status's category is seen when it is listed, later than all other data.
        local_date(least(e.at, z.data_time), z.time_zone) as day,
        sum(e.created) as created,
        sum(e.resolved) as resolved,
        sum(e.reopened) as reopened,
        sum(
            (e.created - e.resolved + e.reopened)
            * (date_part('epoch', e.created_at) - date_part('epoch', s.first_at))
        ) as created_seconds
    from events as e
    join zones as z on z.connection = e.connection
    join starts as s on s.connection = e.connection and s.project_id = e.project_id
    group by e.connection, e.project_id, local_date(least(e.at, z.data_time), z.time_zone)
),

days as (
    select
        s.connection,
        s.project_id,
        s.first_at,
        z.time_zone,
        cast(
            unnest(
                generate_series(
                    local_date(least(s.first_at, z.data_time), z.time_zone),
                    local_date(z.data_time, z.time_zone),
                    interval '1 day'
                )
            ) as date
        ) as day
    from starts as s
    join zones as z on z.connection = s.connection
),

running as (
    select
        d.connection,
        d.project_id,
        d.day,
        d.first_at,
        local_midnight(d.day, d.time_zone) as begins_at,
        coalesce(b.created, 0) as created,
        coalesce(b.resolved, 0) as resolved,
        coalesce(b.reopened, 0) as reopened,
        sum(coalesce(b.created - b.resolved + b.reopened, 0)) over by_project as open,
        sum(coalesce(b.created_seconds, 0.0)) over by_project as created_seconds
    from days as d
    left join by_day as b
        on b.connection = d.connection and b.project_id = d.project_id and b.day = d.day
    window by_project as (
        partition by d.connection, d.project_id order by d.day
        rows between unbounded preceding and current row
    )
),

-- Jira Cloud's average age is that at the beginning of the day: of what was open the day before.
compared as (
    select
        connection,
        project_id,
        day,
        created,
        resolved,
        reopened,
        open,
        date_part('epoch', begins_at) - date_part('epoch', first_at) as begins_seconds,
        lag(open) over by_project as open_before,
        lag(created_seconds) over by_project as created_seconds_before
    from running
    window by_project as (partition by connection, project_id order by day)
)

select
    c.connection,
    c.project_id,
    p.project_key,
    c.day,
    c.created,
    c.resolved,
    c.reopened,
    c.open,
    case
        when c.open_before > 0
            then (c.begins_seconds - c.created_seconds_before / c.open_before) / 3600.0
    end as average_age_hours
from compared as c
left join (
    select connection, project_id, min(project_key) as project_key
    from staging.stg_jira__issues
    group by connection, project_id
) as p
    on p.connection = c.connection and p.project_id = c.project_id
