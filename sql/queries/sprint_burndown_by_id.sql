-- The burndown of one sprint, event by event.
select
    ordinal, at, event, issue_id, issue_key, remaining_points, remaining_issues, completed_points,
    scope_points, ideal_points
from marts.sprint_burndown
where connection = $connection and sprint_id = $sprint_id
order by ordinal
