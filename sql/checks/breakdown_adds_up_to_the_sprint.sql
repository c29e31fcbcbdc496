with dimensions as (
    select unnest(make_array(
        'issue_type', 'status', 'priority', 'stakeholder', 'discipline_team', 'assignee', 'project'
    )) as dimension
),

sums as (
    select
        connection,
        sprint_id,
        dimension,
        sum(issues) as issues,
        sum(points) as points,
        sum(committed_issues) as committed_issues,
        sum(committed_points) as committed_points,
        sum(completed_issues) as completed_issues,
        sum(completed_points) as completed_points,
        sum(not_completed_issues) as not_completed_issues,
        sum(not_completed_points) as not_completed_points,
        sum(removed_issues) as removed_issues,
        sum(removed_points) as removed_points,
        sum(unestimated_issues) as unestimated_issues
    from marts.sprint_breakdown
    group by connection, sprint_id, dimension
)

select m.connection, m.sprint_id, d.dimension
from marts.sprint_metrics as m
cross join dimensions as d
left join sums as s
    on s.connection = m.connection and s.sprint_id = m.sprint_id and s.dimension = d.dimension
where coalesce(s.issues, 0)
        <> m.completed_issues + m.completed_outside_issues + m.not_completed_issues
    or abs(
        coalesce(s.points, 0.0)
        - m.completed_points - m.completed_outside_points - m.not_completed_points
    ) > 0.0001
    or coalesce(s.committed_issues, 0) <> m.committed_issues
    or abs(coalesce(s.committed_points, 0.0) - m.committed_points) > 0.0001
    or coalesce(s.completed_issues, 0) <> m.completed_issues
    or abs(coalesce(s.completed_points, 0.0) - m.completed_points) > 0.0001
    or coalesce(s.not_completed_issues, 0) <> m.not_completed_issues
    or abs(coalesce(s.not_completed_points, 0.0) - m.not_completed_points) > 0.0001
    or coalesce(s.removed_issues, 0) <> m.removed_issues
    or abs(coalesce(s.removed_points, 0.0) - m.removed_points) > 0.0001
    or coalesce(s.unestimated_issues, 0) <> m.unestimated_issues
