-- An issue counts once, in the week in which its present stay in done began.
with zones as (
    select
        d.connection,
        d.data_time,
        coalesce(s.time_zone, 'UTC') as time_zone
    from intermediate.int_delivery__data_time as d
    left join staging.stg_jira__sites as s on s.connection = d.connection
),

finished as (
    select
        s.connection,
        s.board_id,
        s.issue_id,
        cast(
            date_trunc('week', local_date(least(s.from_at, z.data_time), z.time_zone)) as date
        ) as week,
        p.story_points
    from intermediate.int_flow__board_stays as s
    join zones as z on z.connection = s.connection
    left join marts.issue_points_periods as p
        on p.connection = s.connection
        and p.issue_id = s.issue_id
        and p.from_at <= s.from_at
        and (p.to_at is null or p.to_at > s.from_at)
    where s.is_done and s.to_at is null
),

by_week as (
    select
        connection,
        board_id,
        week,
        count(*) as issues,
        coalesce(sum(story_points), 0.0) as points,
        count(*) - count(story_points) as unestimated_issues
    from finished
    group by connection, board_id, week
),

spans as (
    select
        s.connection,
        s.board_id,
        cast(
            date_trunc(
                'week', local_date(least(min(s.from_at), min(z.data_time)), min(z.time_zone))
            ) as date
        ) as first_week,
        cast(date_trunc('week', local_date(min(z.data_time), min(z.time_zone))) as date) as last_week
    from intermediate.int_flow__board_stays as s
    join zones as z on z.connection = s.connection
    group by s.connection, s.board_id
),

weeks as (
    select
        connection,
        board_id,
        last_week,
        cast(unnest(generate_series(first_week, last_week, interval '7 days')) as date) as week
    from spans
),

filled as (
    select
        w.connection,
        w.board_id,
        w.week,
        w.week < w.last_week as is_complete,
        coalesce(b.issues, 0) as issues,
        coalesce(b.points, 0.0) as points,
        coalesce(b.unestimated_issues, 0) as unestimated_issues
    from weeks as w
    left join by_week as b
        on b.connection = w.connection and b.board_id = w.board_id and b.week = w.week
)

select
    f.connection,
    f.board_id,
    b.name as board_name,
    f.week,
    f.is_complete,
    f.issues,
    f.points,
    f.unestimated_issues,
    case when f.is_complete then avg(f.issues) over trailing end as mean_6_issues,
    case when f.is_complete then avg(f.points) over trailing end as mean_6_points
from filled as f
join staging.stg_jira__boards as b on b.connection = f.connection and b.board_id = f.board_id
window trailing as (
    partition by f.connection, f.board_id order by f.week rows between 5 preceding and current row
)
