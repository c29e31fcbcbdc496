-- How far a sprint has come by working days, as int_delivery__sprint_clocks counts them.
with ends as (
    select
        w.connection,
        w.sprint_id,
        -- What counts as now for a sprint that is active.
        greatest(w.started_at, coalesce(w.ended_at, d.data_time)) as at,
        coalesce(s.time_zone, 'UTC') as time_zone
    from intermediate.int_delivery__sprint_windows as w
    left join intermediate.int_delivery__data_time as d on d.connection = w.connection
    left join staging.stg_jira__sites as s on s.connection = w.connection
    where w.started_at is not null
),

days as (
    select connection, sprint_id, at, time_zone, local_date(at, time_zone) as day
    from ends
),

placed as (
    select
        connection,
        sprint_id,
        cast(date_part('epoch', day) / 86400 as bigint) - 4 as days_since,
        (date_part('epoch', at) - date_part('epoch', local_midnight(day, time_zone)))
        / (
            date_part('epoch', local_midnight(day + interval '1 day', time_zone))
            - date_part('epoch', local_midnight(day, time_zone))
        ) as day_passed
    from days
),

counted as (
    select
        connection,
        sprint_id,
        cast(5 * (days_since / 7) + least(days_since % 7, 5) as double)
        + case when days_since % 7 < 5 then day_passed else 0.0 end as end_days
    from placed
)

select
    c.connection,
    c.sprint_id,
    c.planned_working_days,
    round(e.end_days - c.start_days, 9) as elapsed_working_days,
    case
        when c.planned_end_days > c.start_days
            then round((e.end_days - c.start_days) / (c.planned_end_days - c.start_days), 9)
    end as elapsed_ratio
from intermediate.int_delivery__sprint_clocks as c
join counted as e on e.connection = c.connection and e.sprint_id = c.sprint_id
