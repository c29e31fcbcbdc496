-- The figures of sprint_metrics, each over the issues of one project only.
with scope as (
    select *
    from marts.stakeholder_issues
    where not is_subtask
),

totals as (
    select
        connection,
        sprint_id,
        project_key,
        max(project_id) as project_id,
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
            as unestimated_issues,
        count(*) filter (where outcome = 'not_completed' and is_flagged) as flagged_issues
    from scope
    group by connection, sprint_id, project_key
),

counted as (
    select connection, sprint_id, count(*) as projects
    from totals
    group by connection, sprint_id
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
    t.project_id,
    t.project_key,
    c.projects > 1 as is_shared,
    t.committed_issues,
    coalesce(t.committed_points, 0.0) as committed_points,
    t.completed_issues,
    coalesce(t.completed_points, 0.0) as completed_points,
    t.completed_outside_issues,
    coalesce(t.completed_outside_points, 0.0) as completed_outside_points,
    t.not_completed_issues,
    coalesce(t.not_completed_points, 0.0) as not_completed_points,
    t.added_issues,
    coalesce(t.added_points, 0.0) as added_points,
    t.removed_issues,
    coalesce(t.removed_points, 0.0) as removed_points,
    t.carried_over_issues,
    coalesce(t.carried_over_points, 0.0) as carried_over_points,
    coalesce(t.estimate_change_points, 0.0) as estimate_change_points,
    case
        when coalesce(r.estimates_in_points, m.committed_points > 0, false)
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
    t.unestimated_issues,
    t.flagged_issues
from totals as t
join counted as c on c.connection = t.connection and c.sprint_id = t.sprint_id
join intermediate.int_delivery__sprint_windows as w
    on w.connection = t.connection and w.sprint_id = t.sprint_id
join marts.sprint_metrics as m on m.connection = t.connection and m.sprint_id = t.sprint_id
left join intermediate.int_delivery__board_rules as r
    on r.connection = w.connection and r.board_id = w.board_id
