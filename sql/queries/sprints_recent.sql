-- Sprints, the most recently started first; future ones last.
select
    connection, board_id, board_name, sprint_id, sprint_name, state, goal, started_at,
    planned_end_at, completed_at, project_keys
from marts.sprints
where ($connection is null or connection = $connection)
    and ($state is null or state = $state)
order by started_at desc nulls last, connection, sprint_id
limit $limit offset $skip
