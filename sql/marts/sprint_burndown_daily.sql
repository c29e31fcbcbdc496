-- The burndown at the end of each day in the site's time zone, from the start's day to the
-- completion's; of an active sprint, to the day of the newest change that is known.
with windows as (
    select
        w.connection,
        w.board_id,
        w.sprint_id,
        w.started_at,
        w.planned_end_at,
        w.ended_at,
        coalesce(s.time_zone, 'UTC') as time_zone,
        greatest(w.started_at, coalesce(w.ended_at, n.data_time)) as last_at
    from intermediate.int_delivery__sprint_windows as w
    left join staging.stg_jira__sites as s on s.connection = w.connection
    left join intermediate.int_delivery__data_time as n on n.connection = w.connection
    where w.started_at is not null
),

days as (
    select
        connection,
        sprint_id,
        unnest(
            generate_series(
                local_date(started_at, time_zone),
                local_date(last_at, time_zone),
                interval '1 day'
            )
        ) as day
    from windows
),

ends as (
    select
        d.connection,
        d.sprint_id,
        cast(d.day as date) as day,
        local_midnight(cast(d.day as date) + interval '1 day', w.time_zone) as end_at
    from days as d
    join windows as w on w.connection = d.connection and w.sprint_id = d.sprint_id
),

-- Number of the last event before the day ends.
last_events as (
    select
        e.connection,
        e.sprint_id,
        e.day,
        e.end_at,
        max(b.ordinal) as ordinal
    from ends as e
    join marts.sprint_burndown as b
        on b.connection = e.connection and b.sprint_id = e.sprint_id
    where b.at < e.end_at
    group by e.connection, e.sprint_id, e.day, e.end_at
),

-- The day's end, or the sprint's on its last day.
instants as (
    select
        l.connection,
        l.sprint_id,
        l.day,
        l.end_at,
        l.ordinal,
        w.time_zone,
        least(l.end_at, coalesce(w.ended_at, l.end_at)) as at
    from last_events as l
    join windows as w on w.connection = l.connection and w.sprint_id = l.sprint_id
),

placed as (
    select
        *,
        cast(date_part('epoch', local_date(at, time_zone)) / 86400 as bigint) - 4 as days_since,
        (
            date_part('epoch', at)
            - date_part('epoch', local_midnight(local_date(at, time_zone), time_zone))
        ) / (
            date_part(
                'epoch', local_midnight(local_date(at, time_zone) + interval '1 day', time_zone)
            )
            - date_part('epoch', local_midnight(local_date(at, time_zone), time_zone))
        ) as day_passed
    from instants
),

-- Working days as in int_delivery__sprint_clocks.
clocked as (
    select
        *,
        cast(5 * (days_since / 7) + least(days_since % 7, 5) as double)
        + case when days_since % 7 < 5 then day_passed else 0.0 end as working_days
    from placed
),

at_start as (
    select connection, sprint_id, remaining_points
    from marts.sprint_burndown
    where event = 'sprint_started'
)

select
    w.connection,
    w.board_id,
    w.sprint_id,
    l.day,
    case when local_date(b.at, w.time_zone) = l.day then b.event end as event,
    case when local_date(b.at, w.time_zone) = l.day then b.issue_id end as issue_id,
    b.remaining_points,
    b.remaining_issues,
    b.completed_points,
    b.scope_points,
    case
        when c.planned_end_days > c.start_days
            then a.remaining_points * greatest(
                0.0,
                1.0 - (l.working_days - c.start_days) / (c.planned_end_days - c.start_days)
            )
        when w.planned_end_at > w.started_at
            then a.remaining_points * greatest(
                0.0,
                1.0 - (
                    date_part('epoch', l.at)
                    - date_part('epoch', w.started_at)
                ) / (date_part('epoch', w.planned_end_at) - date_part('epoch', w.started_at))
            )
    end as ideal_points
from clocked as l
join windows as w on w.connection = l.connection and w.sprint_id = l.sprint_id
join marts.sprint_burndown as b
    on b.connection = l.connection and b.sprint_id = l.sprint_id and b.ordinal = l.ordinal
join at_start as a on a.connection = l.connection and a.sprint_id = l.sprint_id
left join intermediate.int_delivery__sprint_clocks as c
    on c.connection = l.connection and c.sprint_id = l.sprint_id
