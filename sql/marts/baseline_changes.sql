-- The content of a sprint at its end against its baseline. Issues that came and went in between are in
-- neither.
with compared as (
    select
        s.connection,
        s.sprint_id,
        s.board_id,
        s.issue_id,
        s.started_at,
        s.ended_at,
        coalesce(s.ended_at, t.data_time) as compared_at,
        s.in_at_start,
        s.in_at_end
    from intermediate.int_delivery__sprint_issues as s
    left join intermediate.int_delivery__data_time as t on t.connection = s.connection
    where s.in_at_start or s.in_at_end
),

entries as (
    select
        s.connection,
        s.sprint_id,
        s.issue_id,
        c.field,
        coalesce(c.id_before, c.label_before) as value_before,
        coalesce(c.id_after, c.label_after) as value_after
    from compared as s
    join intermediate.int_planning__tracked_changes as c
        on c.connection = s.connection and c.issue_id = s.issue_id
    where s.in_at_start
        and s.in_at_end
        and c.changed_at > s.started_at
        and (s.ended_at is null or c.changed_at <= s.ended_at)
),

-- A value that came as often as it went is as it was: a change that was taken back is none. That also
-- holds for fields of several values, of which each has an entry of its own.
balances as (
    select connection, sprint_id, issue_id, field, value_after as value, 1 as came
    from entries
    where value_after is not null
    union all
    select connection, sprint_id, issue_id, field, value_before as value, -1 as came
    from entries
    where value_before is not null
),

differing as (
    select connection, sprint_id, issue_id, field
    from balances
    group by connection, sprint_id, issue_id, field, value
    having sum(came) <> 0
),

fields as (
    select
        connection,
        sprint_id,
        issue_id,
        array_agg(distinct field order by field) as changed_fields
    from differing
    group by connection, sprint_id, issue_id
),

changes as (
    select
        s.connection,
        s.sprint_id,
        s.board_id,
        s.issue_id,
        i.issue_key,
        coalesce(i.is_subtask, false) as is_subtask,
        s.compared_at,
        s.ended_at is null as provisional,
        case
            when not s.in_at_start then 'added'
            when not s.in_at_end then 'removed'
            when f.issue_id is not null then 'changed'
            else 'unchanged'
        end as change,
        coalesce(f.changed_fields, arrow_cast(make_array(), 'List(Utf8)')) as changed_fields,
        s.in_at_start,
        s.in_at_end
    from compared as s
    join staging.stg_jira__issues as i on i.connection = s.connection and i.issue_id = s.issue_id
    left join fields as f
        on f.connection = s.connection and f.sprint_id = s.sprint_id and f.issue_id = s.issue_id
),

ratios as (
    select
        connection,
        sprint_id,
        cast(
            count(*) filter (where change = 'added') - count(*) filter (where change = 'removed')
            as double
        ) / nullif(cast(count(*) filter (where in_at_start) as double), 0.0) as scope_change_ratio
    from changes
    where not is_subtask
    group by connection, sprint_id
)

select
    c.connection,
    cast(c.sprint_id as varchar) || '@start' as baseline_id,
    c.board_id,
    c.sprint_id,
    c.issue_id,
    c.issue_key,
    c.is_subtask,
    c.compared_at,
    c.provisional,
    c.change,
    c.changed_fields,
    case when c.in_at_start then b.status end as status_before,
    case when c.in_at_end then a.status end as status_after,
    case when c.in_at_start then b.story_points end as points_before,
    case when c.in_at_end then a.story_points end as points_after,
    r.scope_change_ratio
from changes as c
left join intermediate.int_planning__sprint_issue_values as b
    on b.connection = c.connection
    and b.sprint_id = c.sprint_id
    and b.issue_id = c.issue_id
    and b.moment = 'start'
left join intermediate.int_planning__sprint_issue_values as a
    on a.connection = c.connection
    and a.sprint_id = c.sprint_id
    and a.issue_id = c.issue_id
    and a.moment = 'end'
left join ratios as r on r.connection = c.connection and r.sprint_id = c.sprint_id
