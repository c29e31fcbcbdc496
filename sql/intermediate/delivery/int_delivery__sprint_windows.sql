-- Board of a sprint: its origin board; where the source doesn't tell, the lowest board showing it.
with shown as (
    select connection, sprint_id, min(board_id) as board_id
    from staging.stg_jira__board_sprints
    group by connection, sprint_id
)

select
    s.connection,
    s.sprint_id,
    coalesce(s.board_id, b.board_id) as board_id,
    s.name as sprint_name,
    s.state,
    s.goal,
    case when s.state <> 'future' then coalesce(s.activated_at, s.start_at) end as started_at,
    s.end_at as planned_end_at,
    case when s.state = 'closed' then s.completed_at end as completed_at,
    -- End of what counts; null while the sprint is active.
    case when s.state = 'closed' then coalesce(s.completed_at, s.end_at) end as ended_at
from staging.stg_jira__sprints as s
left join shown as b on b.connection = s.connection and b.sprint_id = s.sprint_id
