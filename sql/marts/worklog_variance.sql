-- Work logged on the issues of a sprint. What was logged on sub-tasks stands in their own rows.
with logged as (
    select
        s.connection,
        s.sprint_id,
        s.issue_id,
        sum(w.time_spent_seconds) as total_seconds,
        sum(w.time_spent_seconds) filter (
            where w.started_at >= s.started_at
                and (s.ended_at is null or w.started_at < s.ended_at)
        ) as sprint_seconds,
        count(*) as worklogs
    from intermediate.int_delivery__sprint_issues as s
    join staging.stg_jira__worklogs as w
        on w.connection = s.connection and w.issue_id = s.issue_id
    group by s.connection, s.sprint_id, s.issue_id
)

select
    s.connection,
    s.board_id,
    s.sprint_id,
    s.issue_id,
    i.issue_key,
    coalesce(i.is_subtask, false) as is_subtask,
    cast(i.original_estimate_seconds as double) / 3600.0 as original_estimate_hours,
    coalesce(cast(l.sprint_seconds as double), 0.0) / 3600.0 as logged_in_sprint_hours,
    coalesce(cast(l.total_seconds as double), 0.0) / 3600.0 as logged_total_hours,
    coalesce(l.worklogs, 0) as worklogs,
    (coalesce(cast(l.total_seconds as double), 0.0) - cast(i.original_estimate_seconds as double))
        / 3600.0 as variance_hours,
    coalesce(cast(l.total_seconds as double), 0.0)
        / nullif(cast(i.original_estimate_seconds as double), 0.0) as logged_to_estimate_ratio
from intermediate.int_delivery__sprint_issues as s
join staging.stg_jira__issues as i on i.connection = s.connection and i.issue_id = s.issue_id
left join logged as l
    on l.connection = s.connection and l.sprint_id = s.sprint_id and l.issue_id = s.issue_id
