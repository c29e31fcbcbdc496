-- The estimate at the start of work, not a later one, against how long the work then took.
with measured as (
    select
        t.connection,
        t.board_id,
        t.issue_id,
        t.cycle_time_hours,
        p.story_points as start_points
    from intermediate.int_flow__board_cycle_times as t
    join marts.issue_points_periods as p
        on p.connection = t.connection
        and p.issue_id = t.issue_id
        and p.from_at <= t.started_at
        and (p.to_at is null or p.to_at > t.started_at)
),

boards as (
    select
        connection,
        board_id,
        count(start_points) as estimated_issues,
        count(*) - count(start_points) as unestimated_issues,
        min(start_points) < max(start_points)
        and min(cycle_time_hours) filter (where start_points is not null)
        < max(cycle_time_hours) filter (where start_points is not null) as varies,
        corr(start_points, cycle_time_hours) as correlation
    from measured
    group by connection, board_id
),

by_points as (
    select
        connection,
        board_id,
        start_points,
        count(*) as issues,
        percentile_cont(0.25) within group (order by cycle_time_hours) as p25,
        percentile_cont(0.5) within group (order by cycle_time_hours) as p50,
        percentile_cont(0.75) within group (order by cycle_time_hours) as p75
    from measured
    where start_points is not null
    group by connection, board_id, start_points
)

select
    p.connection,
    p.board_id,
    b.name as board_name,
    p.start_points,
    p.issues,
    p.p25 as cycle_time_p25_hours,
    p.p50 as cycle_time_p50_hours,
    p.p75 as cycle_time_p75_hours,
    case when a.estimated_issues >= 3 and a.varies then a.correlation end as correlation,
    a.estimated_issues,
    a.unestimated_issues
from by_points as p
join boards as a on a.connection = p.connection and a.board_id = p.board_id
join staging.stg_jira__boards as b on b.connection = p.connection and b.board_id = p.board_id
