-- Closed sprints that lasted at all, each on its origin board, in the order of their completion.
with closed as (
    select
        m.connection,
        m.board_id,
        b.board_name,
        m.sprint_id,
        m.sprint_name,
        m.ended_at,
        m.committed_points,
        m.completed_points,
        m.say_do_ratio
    from marts.sprint_metrics as m
    left join intermediate.int_delivery__board_rules as b
        on b.connection = m.connection and b.board_id = m.board_id
    where m.state = 'closed' and m.board_id is not null and m.ended_at > m.started_at
)

select
    connection,
    board_id,
    board_name,
    sprint_id,
    sprint_name,
    row_number() over (partition by connection, board_id order by ended_at, sprint_id) as ordinal,
    ended_at,
    committed_points,
    completed_points,
    avg(completed_points) over (
        partition by connection, board_id order by ended_at, sprint_id
        rows between 2 preceding and current row
    ) as mean_3,
    avg(completed_points) over (
        partition by connection, board_id order by ended_at, sprint_id
        rows between 5 preceding and current row
    ) as mean_6,
    stddev_samp(completed_points) over (
        partition by connection, board_id order by ended_at, sprint_id
        rows between 5 preceding and current row
    ) as stddev_6,
    say_do_ratio
from closed
