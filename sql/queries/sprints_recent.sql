-- Sprints, the most recently started first; future ones last.
select
    connection, board_id, board_name, sprint_id, sprint_name, state, started_at, planned_end_at,
    completed_at
from marts.sprints
order by started_at desc nulls last, connection, sprint_id
limit 1000
