-- Sub-tasks are in the baseline and in no total.
with totals as (
    select
        connection,
        sprint_id,
        count(*) filter (where change <> 'added') as baseline_issues,
        count(*) filter (where change <> 'removed') as present_issues,
        count(*) filter (where change = 'added') as added_issues,
        count(*) filter (where change = 'removed') as removed_issues,
        count(*) filter (where change = 'changed') as changed_issues,
        count(*) filter (where change = 'unchanged') as unchanged_issues,
        count(*) filter (where change <> 'added' and points_before <> 0) as estimated_issues,
        sum(points_before) as baseline_points,
        sum(points_after) as present_points,
        sum(points_after) filter (where change = 'added') as added_points,
        sum(points_before) filter (where change = 'removed') as removed_points
    from marts.baseline_changes
    where not is_subtask
    group by connection, sprint_id
)

select
    w.connection,
    cast(w.sprint_id as varchar) || '@start' as baseline_id,
    'start' as kind,
    w.board_id,
    w.sprint_id,
    w.sprint_name,
    w.started_at as pinned_at,
    coalesce(w.ended_at, d.data_time) as compared_at,
    w.ended_at is null as provisional,
    coalesce(t.baseline_issues, 0) as baseline_issues,
    coalesce(t.present_issues, 0) as present_issues,
    coalesce(t.added_issues, 0) as added_issues,
    coalesce(t.removed_issues, 0) as removed_issues,
    coalesce(t.changed_issues, 0) as changed_issues,
    coalesce(t.unchanged_issues, 0) as unchanged_issues,
    coalesce(t.estimated_issues, 0) as estimated_issues,
    coalesce(t.baseline_points, 0.0) as baseline_points,
    coalesce(t.present_points, 0.0) as present_points,
    coalesce(t.added_points, 0.0) as added_points,
    coalesce(t.removed_points, 0.0) as removed_points,
    t.baseline_points / nullif(cast(t.estimated_issues as double), 0.0) as mean_points,
    cast(t.added_issues - t.removed_issues as double)
        / nullif(cast(t.baseline_issues as double), 0.0) as scope_change_ratio
from intermediate.int_delivery__sprint_windows as w
left join intermediate.int_delivery__data_time as d on d.connection = w.connection
left join totals as t on t.connection = w.connection and t.sprint_id = w.sprint_id
where w.started_at is not null
