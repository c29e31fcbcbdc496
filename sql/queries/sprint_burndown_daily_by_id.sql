-- The burndown of one sprint at the end of each day.
select
    day, event, issue_id, remaining_points, remaining_issues, completed_points, scope_points,
    ideal_points
from marts.sprint_burndown_daily
where connection = $connection and sprint_id = $sprint_id
order by day
