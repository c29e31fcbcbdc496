-- What is left of a sprint, event by event. What was done before the start is in no line, so that the
-- last row equals the sprint's completed and not completed points.
with states as (
    select
        connection,
        sprint_id,
        issue_id,
        at,
        is_in_sprint,
        is_remaining,
        is_completed,
        case when is_remaining then coalesce(story_points, 0.0) else 0.0 end as remaining,
        case when is_completed then coalesce(story_points, 0.0) else 0.0 end as completed
    from intermediate.int_delivery__sprint_issue_states
),

compared as (
    select
        connection,
        sprint_id,
        issue_id,
        at,
        is_in_sprint,
        is_remaining,
        is_completed,
        remaining,
        completed,
        lag(is_in_sprint) over by_issue as was_in_sprint,
        lag(is_remaining) over by_issue as was_remaining,
        lag(is_completed) over by_issue as was_completed,
        lag(remaining) over by_issue as remaining_before,
        lag(completed) over by_issue as completed_before
    from states
    window by_issue as (partition by connection, sprint_id, issue_id order by at)
),

at_start as (
    select
        connection,
        sprint_id,
        sum(remaining) as remaining,
        count(*) filter (where is_remaining) as issues
    from compared
    where was_in_sprint is null
    group by connection, sprint_id
),

windows as (
    select
        w.connection,
        w.board_id,
        w.sprint_id,
        w.started_at,
        w.planned_end_at,
        case when w.ended_at is not null then greatest(w.ended_at, w.started_at) end as ended_at,
        coalesce(a.remaining, 0.0) as remaining,
        coalesce(a.issues, 0) as issues
    from intermediate.int_delivery__sprint_windows as w
    left join at_start as a on a.connection = w.connection and a.sprint_id = w.sprint_id
    where w.started_at is not null
),

events as (
    select
        connection,
        sprint_id,
        0 as step,
        started_at as at,
        'sprint_started' as event,
        cast(null as bigint) as issue_id,
        remaining,
        issues,
        0.0 as completed
    from windows
    union all
    select
        connection,
        sprint_id,
        1 as step,
        at,
        case
            when is_in_sprint and not was_in_sprint then 'added'
            when was_in_sprint and not is_in_sprint then 'removed'
            when was_remaining and not is_remaining then 'completed'
            when is_remaining and not was_remaining then 'reopened'
            else 'estimate_changed'
        end as event,
        issue_id,
        remaining - remaining_before as remaining,
        cast(is_remaining as bigint) - cast(was_remaining as bigint) as issues,
        completed - completed_before as completed
    from compared
    where was_in_sprint is not null
        and (
            is_in_sprint <> was_in_sprint
            or is_remaining <> was_remaining
            or is_completed <> was_completed
            or remaining <> remaining_before
            or completed <> completed_before
        )
    union all
    select
        connection,
        sprint_id,
        2 as step,
        ended_at as at,
        'sprint_completed' as event,
        cast(null as bigint) as issue_id,
        0.0 as remaining,
        0 as issues,
        0.0 as completed
    from windows
    where ended_at is not null
),

totals as (
    select
        connection,
        sprint_id,
        at,
        event,
        issue_id,
        row_number() over (
            partition by connection, sprint_id order by step = 2, at, step, issue_id
        ) as ordinal,
        sum(remaining) over so_far as remaining,
        sum(issues) over so_far as issues,
        sum(completed) over so_far as completed
    from events
    window so_far as (
        partition by connection, sprint_id
        order by step = 2, at, step, issue_id
        rows between unbounded preceding and current row
    )
),

days as (
    select
        t.*,
        local_date(t.at, coalesce(s.time_zone, 'UTC')) as day,
        coalesce(s.time_zone, 'UTC') as time_zone
    from totals as t
    left join staging.stg_jira__sites as s on s.connection = t.connection
),

-- Working days as in int_delivery__sprint_clocks.
placed as (
    select
        d.*,
        cast(date_part('epoch', d.day) / 86400 as bigint) - 4 as days_since,
        (date_part('epoch', d.at) - date_part('epoch', local_midnight(d.day, d.time_zone)))
        / (
            date_part('epoch', local_midnight(d.day + interval '1 day', d.time_zone))
            - date_part('epoch', local_midnight(d.day, d.time_zone))
        ) as day_passed
    from days as d
),

clocked as (
    select
        *,
        cast(5 * (days_since / 7) + least(days_since % 7, 5) as double)
        + case when days_since % 7 < 5 then day_passed else 0.0 end as working_days
    from placed
)

select
    w.connection,
    w.board_id,
    w.sprint_id,
    t.ordinal,
    t.at,
    t.event,
    t.issue_id,
    i.issue_key,
    round(t.remaining, 6) as remaining_points,
    t.issues as remaining_issues,
    round(t.completed, 6) as completed_points,
    round(t.remaining + t.completed, 6) as scope_points,
    case
        when c.planned_end_days > c.start_days
            then w.remaining * greatest(
                0.0,
                1.0 - (t.working_days - c.start_days) / (c.planned_end_days - c.start_days)
            )
        -- Planned for a weekend only: calendar time.
        when w.planned_end_at > w.started_at
            then w.remaining * greatest(
                0.0,
                1.0 - (date_part('epoch', t.at) - date_part('epoch', w.started_at))
                    / (date_part('epoch', w.planned_end_at) - date_part('epoch', w.started_at))
            )
    end as ideal_points
from clocked as t
join windows as w on w.connection = t.connection and w.sprint_id = t.sprint_id
left join intermediate.int_delivery__sprint_clocks as c
    on c.connection = t.connection and c.sprint_id = t.sprint_id
left join staging.stg_jira__issues as i
    on i.connection = t.connection and i.issue_id = t.issue_id
