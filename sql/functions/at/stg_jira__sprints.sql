select
    connection,
    sprint_id,
    board_id,
    name,
    case
        when state = 'future'
            or coalesce(activated_at, start_at) > cast($2 as timestamp with time zone)
            then 'future'
        when state = 'closed'
            and coalesce(completed_at, end_at) <= cast($2 as timestamp with time zone)
            then 'closed'
        else 'active'
    end as state,
    goal,
    start_at,
    end_at,
    activated_at,
    case
        when completed_at <= cast($2 as timestamp with time zone) then completed_at
    end as completed_at,
    created_at
from staging.stg_jira__sprints
