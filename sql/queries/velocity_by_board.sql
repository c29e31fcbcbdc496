-- The closed sprints of a board, by completion.
select
    sprint_id, sprint_name, ordinal, ended_at, committed_points, completed_points, mean_3, mean_6,
    stddev_6, say_do_ratio
from marts.velocity
where board_id = $board_id and connection = $connection
order by ordinal
