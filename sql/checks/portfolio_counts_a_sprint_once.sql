with projects as (
    select connection, sum(completed_points) as points, sum(completed_issues) as issues
    from marts.portfolio
    group by connection
),

sprints as (
    select connection, sum(completed_points) as points, sum(completed_issues) as issues
    from marts.sprint_metrics
    where state = 'closed' and board_id is not null
    group by connection
)

select s.connection
from sprints as s
left join projects as p on p.connection = s.connection
where coalesce(p.issues, 0) <> s.issues or abs(coalesce(p.points, 0.0) - s.points) > 0.001
