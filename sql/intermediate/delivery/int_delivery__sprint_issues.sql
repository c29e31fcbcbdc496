-- One row per started sprint and issue that was in it at some instant from its start to its end.
with visits as (
    select
        w.connection,
        w.sprint_id,
        w.board_id,
        w.started_at,
        w.ended_at,
        m.issue_id,
        m.entered_at,
        m.left_at
    from intermediate.int_delivery__sprint_windows as w
    join intermediate.int_delivery__sprint_membership as m
        on m.connection = w.connection and m.sprint_id = w.sprint_id
    where w.started_at is not null
        -- A change at the start belongs to the start, one at the end to the sprint.
        and (m.left_at is null or m.left_at > w.started_at)
        and (w.ended_at is null or m.entered_at <= w.ended_at)
)

select
    connection,
    sprint_id,
    board_id,
    started_at,
    ended_at,
    issue_id,
    min(entered_at) as entered_at,
    max(left_at) as last_left_at,
    bool_or(entered_at <= started_at) as in_at_start,
    -- Leaving at the very end is the completion's own doing; an active sprint has no end yet.
    bool_or(left_at is null or coalesce(left_at >= ended_at, false)) as in_at_end,
    count(*) > 1 as re_entered
from visits
group by connection, sprint_id, board_id, started_at, ended_at, issue_id
