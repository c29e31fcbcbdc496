-- What does not fit together between an issue, its sub-tasks and what blocks it.
with states as (
    select
        connection,
        issue_id,
        bool_or(to_at is null and status_category = 'done') as is_done,
        bool_or(status_category in ('indeterminate', 'done')) as has_started,
        max(to_at) filter (where status_category is distinct from 'done') as left_open_at
    from marts.issue_status_periods
    group by connection, issue_id
),

subtasks as (
    select connection, parent_id, issue_id, issue_key
    from staging.stg_jira__issues
    where is_subtask and parent_id is not null
),

idle_parents as (
    select
        t.connection,
        'not_started_but_subtasks_have' as check_id,
        t.parent_id as issue_id,
        'not started, but these sub-tasks have: '
            || string_agg(t.issue_key, ', ' order by t.issue_id) as evidence
    from subtasks as t
    join states as o on o.connection = t.connection and o.issue_id = t.issue_id
    join states as p on p.connection = t.connection and p.issue_id = t.parent_id
    where o.has_started and not p.has_started
    group by t.connection, t.parent_id
),

-- As they were when the parent last became done.
left_behind as (
    select
        t.connection,
        'incomplete_subtasks_when_done' as check_id,
        t.parent_id as issue_id,
        'when it became done, these sub-tasks were not: '
            || string_agg(t.issue_key, ', ' order by t.issue_id) as evidence
    from subtasks as t
    join states as p on p.connection = t.connection and p.issue_id = t.parent_id
    join marts.issue_status_periods as s
        on s.connection = t.connection and s.issue_id = t.issue_id
    where p.is_done
        and (s.status_category is distinct from 'done')
        and s.from_at <= p.left_open_at
        and (s.to_at is null or s.to_at > p.left_open_at)
    group by t.connection, t.parent_id
),

blocking as (
    select distinct l.connection, l.source_issue_id, l.target_issue_id
    from staging.stg_jira__issue_links as l
    left join staging.stg_jira__link_types as k
        on k.connection = l.connection and k.link_type_id = l.link_type_id
    where lower(coalesce(k.outward, l.link_type)) like '%block%'
),

blocked as (
    select
        b.connection,
        'blocked_on_closed_tickets' as check_id,
        b.target_issue_id as issue_id,
        'not done, and blocked by what is: '
            || string_agg(i.issue_key, ', ' order by i.issue_id) as evidence
    from blocking as b
    join states as t on t.connection = b.connection and t.issue_id = b.target_issue_id
    join states as s on s.connection = b.connection and s.issue_id = b.source_issue_id
    join staging.stg_jira__issues as i
        on i.connection = b.connection and i.issue_id = b.source_issue_id
    where s.is_done and not t.is_done
    group by b.connection, b.target_issue_id
),

found as (
    select connection, check_id, issue_id, evidence from idle_parents
    union all
    select connection, check_id, issue_id, evidence from left_behind
    union all
    select connection, check_id, issue_id, evidence from blocked
)

select
    f.connection,
    f.check_id,
    'issue:' || cast(f.issue_id as varchar) as subject,
    f.issue_id,
    cast(null as bigint) as sprint_id,
    cast(null as bigint) as board_id,
    f.evidence
from found as f
join staging.stg_jira__issues as i on i.connection = f.connection and i.issue_id = f.issue_id
