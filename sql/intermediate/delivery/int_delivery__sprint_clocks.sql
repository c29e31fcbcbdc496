-- Instants of a sprint as numbers of working days since Monday, 5 January 1970, in the site's zone:
-- Monday to Friday count 1 each and pass evenly from midnight to midnight, however many hours the day
-- has; Saturday and Sunday stand still.
with instants as (
    select w.connection, w.sprint_id, 'start' as moment, w.started_at as at
    from intermediate.int_delivery__sprint_windows as w
    union all
    select w.connection, w.sprint_id, 'planned_end' as moment, w.planned_end_at as at
    from intermediate.int_delivery__sprint_windows as w
),

days as (
    select
        i.connection,
        i.sprint_id,
        i.moment,
        i.at,
        local_date(i.at, coalesce(s.time_zone, 'UTC')) as day,
        coalesce(s.time_zone, 'UTC') as time_zone
    from instants as i
    left join staging.stg_jira__sites as s on s.connection = i.connection
    where i.at is not null
),

placed as (
    select
        connection,
        sprint_id,
        moment,
        day,
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
        moment,
        cast(5 * (days_since / 7) + least(days_since % 7, 5) as double)
        + case when days_since % 7 < 5 then day_passed else 0.0 end as working_days
    from placed
),

pivoted as (
    select
        connection,
        sprint_id,
        max(working_days) filter (where moment = 'start') as start_days,
        max(working_days) filter (where moment = 'planned_end') as planned_end_days
    from counted
    group by connection, sprint_id
)

select
    w.connection,
    w.sprint_id,
    p.start_days,
    p.planned_end_days,
    round(p.planned_end_days - p.start_days, 9) as planned_working_days
from intermediate.int_delivery__sprint_windows as w
join pivoted as p on p.connection = w.connection and p.sprint_id = w.sprint_id
where w.started_at is not null
