-- How old the work in progress is, against the ages at which issues of the board last left the same
-- column to the right; where fewer than five did, against the board's cycle times.
with departures as (
    select
        s.connection,
        s.board_id,
        s.issue_id,
        s.ordinal,
        max(date_part('epoch', s.to_at) - date_part('epoch', f.started_at)) / 3600.0 as age_hours
    from intermediate.int_flow__board_stays as s
    join marts.issue_flow as f on f.connection = s.connection and f.issue_id = s.issue_id
    where s.ordinal_after > s.ordinal and s.to_at > f.started_at
    group by s.connection, s.board_id, s.issue_id, s.ordinal
),

column_ages as (
    select
        connection,
        board_id,
        ordinal,
        count(*) as issues,
        percentile_cont(0.5) within group (order by age_hours) as p50,
        percentile_cont(0.7) within group (order by age_hours) as p70,
        percentile_cont(0.85) within group (order by age_hours) as p85,
        percentile_cont(0.95) within group (order by age_hours) as p95
    from departures
    group by connection, board_id, ordinal
    having count(*) >= 5
),

cycle_times as (
    select
        connection,
        board_id,
        count(*) as issues,
        percentile_cont(0.5) within group (order by cycle_time_hours) as p50,
        percentile_cont(0.7) within group (order by cycle_time_hours) as p70,
        percentile_cont(0.85) within group (order by cycle_time_hours) as p85,
        percentile_cont(0.95) within group (order by cycle_time_hours) as p95
    from intermediate.int_flow__board_cycle_times
    group by connection, board_id
),

board_columns as (
    select connection, board_id, ordinal, min(name) as column_name
    from staging.stg_jira__board_columns
    group by connection, board_id, ordinal
),

in_progress as (
    select
        s.connection,
        s.board_id,
        s.issue_id,
        s.ordinal,
        s.from_at as column_since,
        i.issue_key,
        i.project_key,
        i.issue_type,
        i.assignee_id,
        i.story_points,
        p.status,
        p.status_category,
        i.updated_at,
        f.started_at,
        f.is_blocked,
        (date_part('epoch', d.data_time) - date_part('epoch', f.started_at)) / 3600.0 as age_hours,
        date_part('epoch', d.data_time) - date_part('epoch', i.updated_at) >= 5 * 86400.0
            as is_stale
    from intermediate.int_flow__board_stays as s
    join staging.stg_jira__issues as i on i.connection = s.connection and i.issue_id = s.issue_id
    join marts.issue_flow as f on f.connection = s.connection and f.issue_id = s.issue_id
    join marts.issue_status_periods as p
        on p.connection = s.connection and p.issue_id = s.issue_id and p.to_at is null
    join intermediate.int_delivery__data_time as d on d.connection = s.connection
    where s.to_at is null
        and not s.is_done
        and f.started_at is not null
        -- Done in a status that the board doesn't show, such as Cancelled.
        and not (s.ordinal is null and f.done_at is not null)
),

measured as (
    select
        w.connection,
        w.board_id,
        w.issue_id,
        w.issue_key,
        w.project_key,
        w.issue_type,
        w.assignee_id,
        w.story_points,
        w.status,
        w.status_category,
        w.ordinal,
        w.column_since,
        w.started_at,
        w.age_hours,
        w.updated_at,
        w.is_blocked,
        w.is_stale,
        case
            when a.issues is not null then 'column'
            when t.issues is not null then 'cycle_time'
        end as percentile_basis,
        coalesce(a.issues, t.issues, 0) as percentile_issues,
        case when a.issues is not null then a.p50 else t.p50 end as p50_hours,
        case when a.issues is not null then a.p70 else t.p70 end as p70_hours,
        case when a.issues is not null then a.p85 else t.p85 end as p85_hours,
        case when a.issues is not null then a.p95 else t.p95 end as p95_hours
    from in_progress as w
    left join column_ages as a
        on a.connection = w.connection and a.board_id = w.board_id and a.ordinal = w.ordinal
    left join cycle_times as t on t.connection = w.connection and t.board_id = w.board_id
)

select
    m.connection,
    m.board_id,
    b.name as board_name,
    m.issue_id,
    m.issue_key,
    m.project_key,
    m.issue_type,
    m.assignee_id,
    m.story_points,
    m.status,
    m.status_category,
    m.ordinal,
    c.column_name,
    m.column_since,
    m.started_at,
    m.age_hours,
    m.percentile_basis,
    m.percentile_issues,
    m.p50_hours,
    m.p70_hours,
    m.p85_hours,
    m.p95_hours,
    case
        when m.percentile_basis is null then null
        when m.age_hours <= m.p50_hours then 'up to p50'
        when m.age_hours <= m.p70_hours then 'p50 to p70'
        when m.age_hours <= m.p85_hours then 'p70 to p85'
        when m.age_hours <= m.p95_hours then 'p85 to p95'
        else 'above p95'
    end as percentile_bucket,
    m.is_blocked,
    m.is_stale,
    m.updated_at as last_changed_at
from measured as m
join staging.stg_jira__boards as b on b.connection = m.connection and b.board_id = m.board_id
left join board_columns as c
    on c.connection = m.connection and c.board_id = m.board_id and c.ordinal = m.ordinal
