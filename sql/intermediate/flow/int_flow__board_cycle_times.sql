-- First start → last done by the rules of the board.
select
    s.connection,
    s.board_id,
    s.issue_id,
    f.started_at,
    s.from_at as done_at,
    (date_part('epoch', s.from_at) - date_part('epoch', f.started_at)) / 3600.0 as cycle_time_hours
from intermediate.int_flow__board_stays as s
join marts.issue_flow as f on f.connection = s.connection and f.issue_id = s.issue_id
where s.is_done and s.to_at is null and f.started_at <= s.from_at
