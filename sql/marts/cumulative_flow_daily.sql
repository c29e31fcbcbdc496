-- Running sums over the days of entering and leaving a column.
with board_columns as (
    select
        c.connection,
        c.board_id,
        c.ordinal,
        min(c.name) as column_name
    from staging.stg_jira__board_columns as c
    group by c.connection, c.board_id, c.ordinal
),

zones as (
    select
        d.connection,
        d.data_time,
        coalesce(s.time_zone, 'UTC') as time_zone
    from intermediate.int_delivery__data_time as d
    left join staging.stg_jira__sites as s on s.connection = d.connection
),

moves as (
    select connection, board_id, ordinal, from_at as at, 1 as arrived, 0 as departed,
        0 as reached
    from intermediate.int_flow__board_stays
    where ordinal is not null
    union all
    select connection, board_id, ordinal, to_at as at, 0 as arrived, 1 as departed,
        0 as reached
    from intermediate.int_flow__board_stays
    where ordinal is not null and to_at is not null
    union all
    -- The mark of the furthest column moves on and never back.
    select connection, board_id, ordinal, from_at as at, 0 as arrived, 0 as departed,
        1 as reached
    from intermediate.int_flow__board_stays
    where furthest_before is null or ordinal > furthest_before
    union all
    select connection, board_id, furthest_before as ordinal, from_at as at, 0 as arrived,
        0 as departed, -1 as reached
    from intermediate.int_flow__board_stays
    where ordinal > furthest_before
),

by_day as (
    select
        m.connection,
        m.board_id,
        m.ordinal,
        local_date(least(m.at, z.data_time), z.time_zone) as day,
        sum(m.arrived) as arrivals,
        sum(m.departed) as departures,
        sum(m.reached) as reached
    from moves as m
    join zones as z on z.connection = m.connection
    where m.ordinal is not null
    group by m.connection, m.board_id, m.ordinal, local_date(least(m.at, z.data_time), z.time_zone)
),

spans as (
    select b.connection, b.board_id, min(b.day) as first_day,
        local_date(min(z.data_time), min(z.time_zone)) as last_day
    from by_day as b
    join zones as z on z.connection = b.connection
    group by b.connection, b.board_id
),

days as (
    select
        connection,
        board_id,
        cast(unnest(generate_series(first_day, last_day, interval '1 day')) as date) as day
    from spans
),

running as (
    select
        d.connection,
        d.board_id,
        d.day,
        c.ordinal,
        c.column_name,
        coalesce(m.arrivals, 0) as arrivals,
        coalesce(m.departures, 0) as departures,
        sum(coalesce(m.arrivals, 0) - coalesce(m.departures, 0)) over by_column as issues,
        sum(coalesce(m.reached, 0)) over by_column as furthest
    from days as d
    join board_columns as c on c.connection = d.connection and c.board_id = d.board_id
    left join by_day as m
        on m.connection = d.connection
        and m.board_id = d.board_id
        and m.ordinal = c.ordinal
        and m.day = d.day
    window by_column as (
        partition by d.connection, d.board_id, c.ordinal order by d.day
        rows between unbounded preceding and current row
    )
)

select
    r.connection,
    r.board_id,
    b.name as board_name,
    r.day,
    r.ordinal,
    r.column_name,
    r.issues,
    r.arrivals,
    r.departures,
    sum(r.issues) over from_the_right as cumulative_issues,
    sum(r.furthest) over from_the_right as high_water_issues
from running as r
join staging.stg_jira__boards as b on b.connection = r.connection and b.board_id = r.board_id
window from_the_right as (
    partition by r.connection, r.board_id, r.day order by r.ordinal desc
    rows between unbounded preceding and current row
)
