-- Values "at the end" are those at the sprint's end or, for an issue that was taken out, when it
-- left; while the sprint is active, the present ones.
with scope as (
    select
        connection,
        sprint_id,
        board_id,
        started_at,
        ended_at,
        issue_id,
        entered_at,
        case when not in_at_end then last_left_at end as left_at,
        in_at_start,
        in_at_end,
        re_entered,
        case when in_at_end then ended_at else last_left_at end as end_at,
        case when in_at_start then started_at else entered_at end as begin_at
    from intermediate.int_delivery__sprint_issues
),

mapped as (
    select distinct connection, board_id, status_id
    from staging.stg_jira__board_columns
    where status_id is not null
),

status_at_start as (
    select
        s.connection,
        s.sprint_id,
        s.issue_id,
        coalesce(r.maps_statuses, false) = false or m.status_id is not null as is_mapped
    from scope as s
    join marts.issue_status_periods as p
        on p.connection = s.connection and p.issue_id = s.issue_id
    left join intermediate.int_delivery__board_rules as r
        on r.connection = s.connection and r.board_id = s.board_id
    left join mapped as m
        on m.connection = s.connection
        and m.board_id = s.board_id
        and m.status_id = p.status_id
    where p.from_at <= s.started_at and (p.to_at is null or p.to_at > s.started_at)
),

done_at_start as (
    select distinct s.connection, s.sprint_id, s.issue_id
    from scope as s
    join intermediate.int_delivery__done_periods as d
        on d.connection = s.connection
        and d.issue_id = s.issue_id
        and coalesce(d.board_id, -1) = coalesce(s.board_id, -1)
    where d.done_at <= s.started_at and (d.reopened_at is null or d.reopened_at > s.started_at)
),

done_at_end as (
    select s.connection, s.sprint_id, s.issue_id, d.done_at
    from scope as s
    join intermediate.int_delivery__done_periods as d
        on d.connection = s.connection
        and d.issue_id = s.issue_id
        and coalesce(d.board_id, -1) = coalesce(s.board_id, -1)
    where (s.end_at is null and d.reopened_at is null)
        or (
            d.done_at <= s.end_at
            and (d.reopened_at is null or d.reopened_at > s.end_at)
        )
),

start_points as (
    select s.connection, s.sprint_id, s.issue_id, p.story_points
    from scope as s
    join marts.issue_points_periods as p
        on p.connection = s.connection and p.issue_id = s.issue_id
    where p.from_at <= s.begin_at and (p.to_at is null or p.to_at > s.begin_at)
),

end_points as (
    select s.connection, s.sprint_id, s.issue_id, p.story_points
    from scope as s
    join marts.issue_points_periods as p
        on p.connection = s.connection and p.issue_id = s.issue_id
    where (s.end_at is null and p.to_at is null)
        or (p.from_at <= s.end_at and (p.to_at is null or p.to_at > s.end_at))
),

end_assignee as (
    select s.connection, s.sprint_id, s.issue_id, p.assignee_id
    from scope as s
    join marts.issue_assignee_periods as p
        on p.connection = s.connection and p.issue_id = s.issue_id
    where (s.end_at is null and p.to_at is null)
        or (p.from_at <= s.end_at and (p.to_at is null or p.to_at > s.end_at))
),

-- In a sprint that started later, or has not started yet, beyond the end of this one.
carried as (
    select distinct s.connection, s.sprint_id, s.issue_id
    from scope as s
    join intermediate.int_delivery__sprint_membership as m
        on m.connection = s.connection and m.issue_id = s.issue_id
    join intermediate.int_delivery__sprint_windows as w
        on w.connection = m.connection and w.sprint_id = m.sprint_id
    where s.ended_at is not null
        and m.sprint_id <> s.sprint_id
        and (m.left_at is null or m.left_at > s.ended_at)
        and (w.started_at is null or w.started_at > s.started_at)
),

earlier as (
    select s.connection, s.sprint_id, s.issue_id, count(*) as prior_sprints
    from scope as s
    join scope as e
        on e.connection = s.connection and e.issue_id = s.issue_id
    where e.sprint_id <> s.sprint_id and e.started_at < s.started_at
    group by s.connection, s.sprint_id, s.issue_id
)

select
    s.connection,
    s.board_id,
    s.sprint_id,
    s.issue_id,
    i.issue_key,
    i.issue_type,
    coalesce(i.is_subtask, false) as is_subtask,
    i.discipline_team,
    a.assignee_id,
    s.entered_at,
    s.left_at,
    s.in_at_start and ds.issue_id is null and coalesce(st.is_mapped, false) as committed,
    not s.in_at_start as added_after_start,
    case
        when not s.in_at_end then 'removed'
        when de.issue_id is null then 'not_completed'
        when de.done_at > s.started_at then 'completed'
        else 'completed_outside'
    end as outcome,
    de.done_at,
    sp.story_points as start_points,
    ep.story_points as end_points,
    s.re_entered,
    s.in_at_end and de.issue_id is null and c.issue_id is not null as carried_over,
    coalesce(e.prior_sprints, 0) as prior_sprints
from scope as s
join staging.stg_jira__issues as i on i.connection = s.connection and i.issue_id = s.issue_id
left join status_at_start as st
    on st.connection = s.connection and st.sprint_id = s.sprint_id and st.issue_id = s.issue_id
left join done_at_start as ds
    on ds.connection = s.connection and ds.sprint_id = s.sprint_id and ds.issue_id = s.issue_id
left join done_at_end as de
    on de.connection = s.connection and de.sprint_id = s.sprint_id and de.issue_id = s.issue_id
left join start_points as sp
    on sp.connection = s.connection and sp.sprint_id = s.sprint_id and sp.issue_id = s.issue_id
left join end_points as ep
    on ep.connection = s.connection and ep.sprint_id = s.sprint_id and ep.issue_id = s.issue_id
left join end_assignee as a
    on a.connection = s.connection and a.sprint_id = s.sprint_id and a.issue_id = s.issue_id
left join carried as c
    on c.connection = s.connection and c.sprint_id = s.sprint_id and c.issue_id = s.issue_id
left join earlier as e
    on e.connection = s.connection and e.sprint_id = s.sprint_id and e.issue_id = s.issue_id
