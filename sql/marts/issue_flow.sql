-- Three policies for moving backwards stand side by side: the first start counts (ours); a move back
-- to category new wipes the start (jira-agile-metrics); what was reached once stays reached (jirametrics).
with marked as (
    select
        connection,
        issue_id,
        status_category,
        from_at,
        to_at,
        lag(status_category) over by_issue as category_before,
        max(case when status_category = 'new' then to_at end) over (
            partition by connection, issue_id
        ) as last_new_until
    from marts.issue_status_periods
    window by_issue as (partition by connection, issue_id order by from_at)
),

steps as (
    select
        connection,
        issue_id,
        min(from_at) filter (where status_category = 'indeterminate') as started_at,
        min(from_at) filter (
            where status_category = 'indeterminate'
                and (last_new_until is null or from_at >= last_new_until)
        ) as restarted_at,
        min(from_at) filter (where status_category in ('indeterminate', 'done')) as reached_at,
        min(from_at) filter (where status_category = 'done') as first_done_at,
        max(to_at) filter (where status_category is distinct from 'done') as last_undone_until,
        bool_or(to_at is null and coalesce(status_category = 'done', false)) as is_done,
        count(*) filter (
            where category_before = 'done' and status_category is distinct from 'done'
        ) as reopened_count
    from marked
    group by connection, issue_id
),

spans as (
    select
        s.connection,
        s.issue_id,
        s.started_at,
        s.restarted_at,
        s.reached_at,
        s.first_done_at,
        s.is_done,
        s.reopened_count,
        -- Where an issue was never undone, it became done at its creation.
        case when s.is_done then coalesce(s.last_undone_until, s.first_done_at) end as done_at,
        case
            when s.is_done then coalesce(s.last_undone_until, s.first_done_at)
            else d.data_time
        end as end_at
    from steps as s
    left join intermediate.int_delivery__data_time as d on d.connection = s.connection
),

active_stays as (
    select
        p.connection,
        p.issue_id,
        p.from_at,
        least(p.to_at, s.end_at) as to_at
    from marts.issue_status_periods as p
    join spans as s on s.connection = p.connection and s.issue_id = p.issue_id
    left join intermediate.int_flow__status_kinds as k
        on k.connection = p.connection and k.status = p.status
    where p.status_category = 'indeterminate'
        and not coalesce(k.says_waiting, false)
        and p.from_at < s.end_at
),

flags as (
    select
        f.connection,
        f.issue_id,
        greatest(f.from_at, s.started_at) as from_at,
        least(f.to_at, s.end_at) as to_at
    from intermediate.int_flow__flag_periods as f
    join spans as s on s.connection = f.connection and s.issue_id = f.issue_id
    where s.started_at is not null
        and f.from_at < s.end_at
        and (f.to_at is null or f.to_at > s.started_at)
),

active as (
    select
        connection,
        issue_id,
        sum(date_part('epoch', to_at) - date_part('epoch', from_at)) / 3600.0 as hours
    from active_stays
    group by connection, issue_id
),

blocked as (
    select
        connection,
        issue_id,
        sum(date_part('epoch', to_at) - date_part('epoch', from_at)) / 3600.0 as hours
    from flags
    group by connection, issue_id
),

-- Flagged in an active status: nobody gets on.
interrupted as (
    select
        a.connection,
        a.issue_id,
        sum(
            date_part('epoch', least(a.to_at, f.to_at))
            - date_part('epoch', greatest(a.from_at, f.from_at))
        ) / 3600.0 as hours
    from active_stays as a
    join flags as f on f.connection = a.connection and f.issue_id = a.issue_id
    where f.from_at < a.to_at and f.to_at > a.from_at
    group by a.connection, a.issue_id
),

flagged_now as (
    select connection, issue_id
    from intermediate.int_flow__flag_periods
    where to_at is null
),

sprints as (
    select connection, issue_id, count(*) as sprints
    from intermediate.int_delivery__sprint_issues
    group by connection, issue_id
),

timed as (
    select
        s.connection,
        s.issue_id,
        s.started_at,
        s.done_at,
        s.first_done_at,
        s.is_done,
        s.reopened_count,
        (date_part('epoch', s.done_at) - date_part('epoch', s.started_at)) / 3600.0 as cycle_hours,
        case
            when s.is_done
                then (
                    date_part('epoch', s.done_at)
                    - date_part('epoch', coalesce(s.restarted_at, s.done_at))
                ) / 3600.0
        end as wipe_hours,
        (date_part('epoch', s.first_done_at) - date_part('epoch', s.reached_at)) / 3600.0
            as high_water_hours,
        (date_part('epoch', s.end_at) - date_part('epoch', s.started_at)) / 3600.0 as span_hours,
        case
            when s.started_at is not null
                then greatest(coalesce(a.hours, 0.0) - coalesce(t.hours, 0.0), 0.0)
        end as active_hours,
        case when s.started_at is not null then coalesce(b.hours, 0.0) end as blocked_hours
    from spans as s
    left join active as a on a.connection = s.connection and a.issue_id = s.issue_id
    left join interrupted as t on t.connection = s.connection and t.issue_id = s.issue_id
    left join blocked as b on b.connection = s.connection and b.issue_id = s.issue_id
)

select
    i.connection,
    i.issue_id,
    i.issue_key,
    i.project_key,
    i.issue_type,
    coalesce(i.is_subtask, false) as is_subtask,
    i.created_at,
    t.started_at,
    t.first_done_at,
    t.done_at,
    (date_part('epoch', t.done_at) - date_part('epoch', i.created_at)) / 3600.0 as lead_time_hours,
    t.cycle_hours as cycle_time_hours,
    t.wipe_hours as cycle_time_wipe_hours,
    t.high_water_hours as cycle_time_high_water_hours,
    t.active_hours,
    case when t.started_at is not null then greatest(t.span_hours - t.active_hours, 0.0) end
        as waiting_hours,
    t.blocked_hours,
    case when t.span_hours > 0 then least(t.active_hours / t.span_hours, 1.0) end as flow_efficiency,
    t.reopened_count,
    coalesce(n.sprints, 0) as sprint_count,
    not t.is_done and (f.issue_id is not null or b.issue_id is not null) as is_blocked
from staging.stg_jira__issues as i
join timed as t on t.connection = i.connection and t.issue_id = i.issue_id
left join sprints as n on n.connection = i.connection and n.issue_id = i.issue_id
left join flagged_now as f on f.connection = i.connection and f.issue_id = i.issue_id
left join intermediate.int_flow__blocked_issues as b
    on b.connection = i.connection and b.issue_id = i.issue_id
