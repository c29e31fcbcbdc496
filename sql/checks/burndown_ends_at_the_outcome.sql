with ends as (
    select connection, sprint_id, remaining_points, remaining_issues, completed_points
    from marts.sprint_burndown
    where event = 'sprint_completed'
)

select m.connection, m.sprint_id
from marts.sprint_metrics as m
left join ends as e on e.connection = m.connection and e.sprint_id = m.sprint_id
where m.ended_at is not null
    and (
        e.sprint_id is null
        or e.remaining_issues <> m.not_completed_issues
        or abs(e.remaining_points - m.not_completed_points) > 0.0001
        or abs(e.completed_points - m.completed_points) > 0.0001
    )
