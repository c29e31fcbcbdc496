-- Started sprints of an issue in the order of their start. One that an issue was in only once and was
-- not carried over from is no chain.
with visits as (
    select
        s.connection,
        s.issue_id,
        s.sprint_id,
        w.sprint_name,
        w.started_at,
        s.outcome,
        s.start_points,
        s.end_points,
        s.carried_over,
        s.done_at,
        w.ended_at is null as is_open,
        row_number() over by_issue as n,
        row_number() over (
            partition by s.connection, s.issue_id order by w.started_at desc, s.sprint_id desc
        ) as n_back
    from marts.sprint_scope as s
    join intermediate.int_delivery__sprint_windows as w
        on w.connection = s.connection and w.sprint_id = s.sprint_id
    window by_issue as (
        partition by s.connection, s.issue_id order by w.started_at, s.sprint_id
    )
),

chains as (
    select
        connection,
        issue_id,
        array_agg(sprint_id order by n) as sprint_ids,
        count(*) as sprint_count,
        count(*) filter (where carried_over) as carried_over_count,
        sum(end_points) filter (where carried_over) as carried_points,
        max(sprint_id) filter (where n = 1) as first_sprint_id,
        max(sprint_name) filter (where n = 1) as first_sprint_name,
        min(started_at) as first_started_at,
        max(start_points) filter (where n = 1) as first_points,
        max(sprint_id) filter (where n_back = 1) as last_sprint_id,
        max(sprint_name) filter (where n_back = 1) as last_sprint_name,
        max(outcome) filter (where n_back = 1) as last_outcome,
        max(end_points) filter (where n_back = 1) as last_points,
        bool_or(is_open) filter (where n_back = 1) as provisional,
        max(done_at) filter (where n_back = 1) as done_at,
        bool_or(outcome in ('completed', 'completed_outside')) filter (where n_back = 1) as completed
    from visits
    group by connection, issue_id
)

select
    c.connection,
    c.issue_id,
    i.issue_key,
    i.project_key,
    coalesce(i.is_subtask, false) as is_subtask,
    c.sprint_ids,
    c.sprint_count,
    c.carried_over_count,
    coalesce(c.carried_points, 0.0) as carried_points,
    c.first_sprint_id,
    c.first_sprint_name,
    c.first_started_at,
    c.first_points,
    c.last_sprint_id,
    c.last_sprint_name,
    c.last_outcome,
    c.last_points,
    c.provisional,
    c.completed,
    case when c.completed then c.done_at end as completed_at
from chains as c
join staging.stg_jira__issues as i on i.connection = c.connection and i.issue_id = c.issue_id
where c.sprint_count > 1 or c.carried_over_count > 0
