-- Projects of a started sprint: those of its issues; of one that has not started, of its plan.
with members as (
    select connection, sprint_id, issue_id
    from intermediate.int_delivery__sprint_issues
    union
    select m.connection, m.sprint_id, m.issue_id
    from intermediate.int_delivery__sprint_membership as m
    join intermediate.int_delivery__sprint_windows as w
        on w.connection = m.connection and w.sprint_id = m.sprint_id
    where w.started_at is null and m.left_at is null
),

projects as (
    select
        m.connection,
        m.sprint_id,
        array_agg(distinct i.project_key order by i.project_key) as project_keys
    from members as m
    join staging.stg_jira__issues as i
        on i.connection = m.connection and i.issue_id = m.issue_id
    where i.project_key is not null
    group by m.connection, m.sprint_id
)

select
    w.connection,
    w.board_id,
    b.name as board_name,
    w.sprint_id,
    w.sprint_name,
    w.state,
    w.goal,
    w.started_at,
    w.planned_end_at,
    w.completed_at,
    p.project_keys
from intermediate.int_delivery__sprint_windows as w
left join staging.stg_jira__boards as b
    on b.connection = w.connection and b.board_id = w.board_id
left join projects as p on p.connection = w.connection and p.sprint_id = w.sprint_id
