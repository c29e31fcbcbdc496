with sums as (
    select
        connection,
        sprint_id,
        sum(committed_issues) as committed_issues,
        sum(committed_points) as committed_points,
        sum(completed_issues) as completed_issues,
        sum(completed_points) as completed_points,
        sum(completed_outside_issues) as completed_outside_issues,
        sum(completed_outside_points) as completed_outside_points,
        sum(not_completed_issues) as not_completed_issues,
        sum(not_completed_points) as not_completed_points,
        sum(added_issues) as added_issues,
        sum(added_points) as added_points,
        sum(removed_issues) as removed_issues,
        sum(removed_points) as removed_points,
        sum(carried_over_issues) as carried_over_issues,
        sum(carried_over_points) as carried_over_points,
        sum(estimate_change_points) as estimate_change_points,
        sum(unestimated_issues) as unestimated_issues
    from marts.project_sprint_metrics
    group by connection, sprint_id
)

select m.connection, m.sprint_id
from marts.sprint_metrics as m
left join sums as s on s.connection = m.connection and s.sprint_id = m.sprint_id
where coalesce(s.committed_issues, 0) <> m.committed_issues
    or coalesce(s.completed_issues, 0) <> m.completed_issues
    or coalesce(s.completed_outside_issues, 0) <> m.completed_outside_issues
    or coalesce(s.not_completed_issues, 0) <> m.not_completed_issues
    or coalesce(s.added_issues, 0) <> m.added_issues
    or coalesce(s.removed_issues, 0) <> m.removed_issues
    or coalesce(s.carried_over_issues, 0) <> m.carried_over_issues
    or coalesce(s.unestimated_issues, 0) <> m.unestimated_issues
    or abs(coalesce(s.committed_points, 0.0) - m.committed_points) > 0.0001
    or abs(coalesce(s.completed_points, 0.0) - m.completed_points) > 0.0001
    or abs(coalesce(s.completed_outside_points, 0.0) - m.completed_outside_points) > 0.0001
    or abs(coalesce(s.not_completed_points, 0.0) - m.not_completed_points) > 0.0001
    or abs(coalesce(s.added_points, 0.0) - m.added_points) > 0.0001
    or abs(coalesce(s.removed_points, 0.0) - m.removed_points) > 0.0001
    or abs(coalesce(s.carried_over_points, 0.0) - m.carried_over_points) > 0.0001
    or abs(coalesce(s.estimate_change_points, 0.0) - m.estimate_change_points) > 0.0001
