-- Sub-tasks are in the scope and in no total.
with scope as (
    select *
    from marts.sprint_scope
    where not is_subtask
),

totals as (
    select
        connection,
        sprint_id,
        count(*) filter (where committed) as committed_issues,
        sum(start_points) filter (where committed) as committed_points,
        count(*) filter (where outcome = 'completed') as completed_issues,
        sum(end_points) filter (where outcome = 'completed') as completed_points,
        count(*) filter (where outcome = 'completed_outside') as completed_outside_issues,
        sum(end_points) filter (where outcome = 'completed_outside') as completed_outside_points,
        count(*) filter (where outcome = 'not_completed') as not_completed_issues,
        sum(end_points) filter (where outcome = 'not_completed') as not_completed_points,
        count(*) filter (where added_after_start) as added_issues,
        sum(start_points) filter (where added_after_start) as added_points,
        count(*) filter (where outcome = 'removed') as removed_issues,
        sum(end_points) filter (where outcome = 'removed') as removed_points,
        count(*) filter (where carried_over) as carried_over_issues,
        sum(end_points) filter (where carried_over) as carried_over_points,
        sum(coalesce(end_points, 0) - coalesce(start_points, 0))
            filter (where committed or added_after_start) as estimate_change_points,
        sum(start_points) filter (where committed and outcome = 'completed') as kept_points,
        count(*) filter (where (committed or added_after_start) and end_points is null)
            as unestimated_issues
    from scope
    group by connection, sprint_id
),

first_progress as (
    select connection, issue_id, min(from_at) as in_progress_at
    from marts.issue_status_periods
    where status_category = 'indeterminate'
    group by connection, issue_id
),

-- Cycle time of a completed issue: first entered an in-progress category → last became done.
cycle as (
    select
        s.connection,
        s.sprint_id,
        (date_part('epoch', s.done_at) - date_part('epoch', f.in_progress_at)) / 3600.0 as hours
    from scope as s
    join first_progress as f on f.connection = s.connection and f.issue_id = s.issue_id
    where s.outcome = 'completed' and f.in_progress_at <= s.done_at
),

cycle_times as (
    select
        connection,
        sprint_id,
        percentile_cont(0.5) within group (order by hours) as p50,
        percentile_cont(0.85) within group (order by hours) as p85
    from cycle
    group by connection, sprint_id
),

reopened as (
    select s.connection, s.sprint_id, count(distinct s.issue_id) as issues
    from scope as s
    join intermediate.int_delivery__sprint_windows as w
        on w.connection = s.connection and w.sprint_id = s.sprint_id
    join intermediate.int_delivery__done_periods as d
        on d.connection = s.connection
        and d.issue_id = s.issue_id
        and coalesce(d.board_id, -1) = coalesce(s.board_id, -1)
    where d.reopened_at > w.started_at
        and d.reopened_at >= s.entered_at
        and (w.ended_at is null or d.reopened_at <= w.ended_at)
        and (s.left_at is null or d.reopened_at <= s.left_at)
    group by s.connection, s.sprint_id
)

select
    w.connection,
    w.board_id,
    w.sprint_id,
    w.sprint_name,
    w.state,
    w.started_at,
    w.ended_at,
    w.ended_at is null as provisional,
    coalesce(t.committed_issues, 0) as committed_issues,
    coalesce(t.committed_points, 0.0) as committed_points,
    coalesce(t.completed_issues, 0) as completed_issues,
    coalesce(t.completed_points, 0.0) as completed_points,
    coalesce(t.completed_outside_issues, 0) as completed_outside_issues,
    coalesce(t.completed_outside_points, 0.0) as completed_outside_points,
    coalesce(t.not_completed_issues, 0) as not_completed_issues,
    coalesce(t.not_completed_points, 0.0) as not_completed_points,
    coalesce(t.added_issues, 0) as added_issues,
    coalesce(t.added_points, 0.0) as added_points,
    coalesce(t.removed_issues, 0) as removed_issues,
    coalesce(t.removed_points, 0.0) as removed_points,
    coalesce(t.carried_over_issues, 0) as carried_over_issues,
    coalesce(t.carried_over_points, 0.0) as carried_over_points,
    coalesce(t.estimate_change_points, 0.0) as estimate_change_points,
    case
        when coalesce(r.estimates_in_points, t.committed_points > 0, false)
            then (coalesce(t.added_points, 0.0) - coalesce(t.removed_points, 0.0))
                / nullif(t.committed_points, 0.0)
        else cast(t.added_issues - t.removed_issues as double)
            / nullif(cast(t.committed_issues as double), 0.0)
    end as scope_change_ratio,
    coalesce(t.kept_points, 0.0) / nullif(t.committed_points, 0.0) as say_do_ratio,
    cast(t.completed_issues as double)
        / nullif(cast(t.completed_issues + t.not_completed_issues as double), 0.0)
        as completion_ratio,
    coalesce(t.completed_points, 0.0) as velocity_points,
    c.p50 as cycle_time_p50_hours,
    c.p85 as cycle_time_p85_hours,
    coalesce(o.issues, 0) as reopened_issues,
    coalesce(t.unestimated_issues, 0) as unestimated_issues
from intermediate.int_delivery__sprint_windows as w
left join totals as t on t.connection = w.connection and t.sprint_id = w.sprint_id
left join cycle_times as c on c.connection = w.connection and c.sprint_id = w.sprint_id
left join reopened as o on o.connection = w.connection and o.sprint_id = w.sprint_id
left join intermediate.int_delivery__board_rules as r
    on r.connection = w.connection and r.board_id = w.board_id
where w.started_at is not null
