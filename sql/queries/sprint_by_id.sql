-- One sprint with its metrics; metrics are null before it has started.
select
    s.connection, s.board_id, s.board_name, s.sprint_id, s.sprint_name, s.state, s.goal,
    s.started_at, s.planned_end_at, s.completed_at, s.project_keys,
    m.provisional, m.ended_at,
    m.committed_issues, m.committed_points, m.completed_issues, m.completed_points,
    m.completed_outside_issues, m.completed_outside_points,
    m.not_completed_issues, m.not_completed_points, m.added_issues, m.added_points,
    m.removed_issues, m.removed_points, m.carried_over_issues, m.carried_over_points,
    m.estimate_change_points, m.scope_change_ratio, m.say_do_ratio, m.completion_ratio,
    m.velocity_points, m.cycle_time_p50_hours, m.cycle_time_p85_hours,
    m.reopened_issues, m.unestimated_issues
from marts.sprints as s
left join marts.sprint_metrics as m on m.connection = s.connection and m.sprint_id = s.sprint_id
where s.sprint_id = $sprint_id and ($connection is null or s.connection = $connection)
order by s.connection
