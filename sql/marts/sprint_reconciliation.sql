-- Sprints whose report Jira gave for the completion that we know.
with reported as (
    select a.connection, a.sprint_id, a.board_id, w.ended_at
    from staging.stg_jira__sprint_report_answers as a
    join intermediate.int_delivery__sprint_windows as w
        on w.connection = a.connection
        and w.sprint_id = a.sprint_id
        and w.board_id = a.board_id
    where a.is_offered
        and w.started_at is not null
        and w.ended_at is not null
        and (a.completed_at is null or a.completed_at = w.completed_at)
),

ours as (
    select
        s.connection,
        s.sprint_id,
        s.issue_id,
        s.outcome,
        s.added_after_start,
        s.start_points,
        s.end_points
    from marts.sprint_scope as s
    join reported as r on r.connection = s.connection and r.sprint_id = s.sprint_id
    where not s.is_subtask
),

theirs as (
    select
        l.connection,
        l.sprint_id,
        l.issue_id,
        l.list,
        l.added_during_sprint,
        l.start_estimate,
        l.end_estimate,
        l.estimate_field_id
    from staging.stg_jira__sprint_reports as l
    join reported as r
        on r.connection = l.connection
        and r.sprint_id = l.sprint_id
        and r.board_id = l.board_id
),

-- When the columns of a board changed since we have looked at them.
columns_changed as (
    select connection, board_id, max(at) as changed_at
    from (
        select connection, board_id, valid_from as at
        from staging.stg_jira__board_columns_history
        where not coalesce(is_initial, false)
        union all
        select connection, board_id, valid_to as at
        from staging.stg_jira__board_columns_history
        where valid_to is not null
    ) as changes
    group by connection, board_id
),

-- Estimates that an issue had after the sprint.
later_points as (
    select distinct
        t.connection,
        t.sprint_id,
        t.issue_id
    from theirs as t
    join reported as r on r.connection = t.connection and r.sprint_id = t.sprint_id
    join marts.issue_points_periods as p
        on p.connection = t.connection and p.issue_id = t.issue_id
    where p.from_at > r.ended_at
        and coalesce(p.story_points, 0.0) = coalesce(t.end_estimate, 0.0)
),

paired as (
    select
        coalesce(o.connection, t.connection) as connection,
        coalesce(o.sprint_id, t.sprint_id) as sprint_id,
        coalesce(o.issue_id, t.issue_id) as issue_id,
        o.issue_id is not null as is_ours,
        t.issue_id is not null as is_theirs,
        o.outcome,
        o.added_after_start,
        o.start_points,
        o.end_points,
        t.list,
        t.added_during_sprint,
        t.start_estimate,
        t.end_estimate,
        t.estimate_field_id
    from ours as o
    full join theirs as t
        on t.connection = o.connection
        and t.sprint_id = o.sprint_id
        and t.issue_id = o.issue_id
),

compared as (
    select
        p.connection,
        r.board_id,
        p.sprint_id,
        p.issue_id,
        i.issue_key,
        p.is_ours,
        p.is_theirs,
        p.outcome,
        p.list,
        p.added_after_start,
        p.added_during_sprint,
        p.start_points,
        p.start_estimate,
        p.end_points,
        p.end_estimate,
        i.issue_id is not null as is_read,
        coalesce(i.is_subtask, false) as is_subtask,
        coalesce(c.changed_at > r.ended_at, false) as columns_changed,
        l.issue_id is not null as is_later_estimate,
        -- A board of another project may estimate in another field.
        coalesce(p.estimate_field_id = i.story_points_field_id, true) as same_field,
        coalesce(abs(coalesce(p.start_points, 0.0) - coalesce(p.start_estimate, 0.0)) > 0.0001, false)
            as start_differs,
        coalesce(abs(coalesce(p.end_points, 0.0) - coalesce(p.end_estimate, 0.0)) > 0.0001, false)
            as end_differs
    from paired as p
    join reported as r on r.connection = p.connection and r.sprint_id = p.sprint_id
    left join staging.stg_jira__issues as i
        on i.connection = p.connection and i.issue_id = p.issue_id
    left join columns_changed as c on c.connection = p.connection and c.board_id = r.board_id
    left join later_points as l
        on l.connection = p.connection
        and l.sprint_id = p.sprint_id
        and l.issue_id = p.issue_id
),

judged as (
    select
        connection,
        board_id,
        sprint_id,
        issue_id,
        issue_key,
        outcome,
        list,
        added_after_start,
        added_during_sprint,
        start_points,
        start_estimate,
        end_points,
        end_estimate,
        case
            when not is_ours and not is_read then 'issue not read'
            when not is_ours and is_subtask then 'sub-task'
            when not is_ours then 'only in Jira'
            when not is_theirs then 'only in ours'
            when outcome <> list and columns_changed then 'report frozen before a later change'
            when outcome <> list then 'list differs'
            when same_field and end_differs and is_later_estimate and not start_differs
                then 'report shows a later change'
            when same_field and (start_differs or end_differs) then 'estimate differs'
            when added_after_start <> added_during_sprint then 'added differs'
        end as reason
    from compared
)

select
    connection,
    board_id,
    sprint_id,
    issue_id,
    issue_key,
    reason is null as agrees,
    reason,
    outcome as our_outcome,
    list as jira_list,
    added_after_start as our_added,
    added_during_sprint as jira_added,
    start_points as our_start_points,
    start_estimate as jira_start_points,
    end_points as our_end_points,
    end_estimate as jira_end_points
from judged
