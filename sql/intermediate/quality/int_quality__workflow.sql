-- How issues went through their statuses, by category as of then.
with periods as (
    select
        p.connection,
        p.issue_id,
        p.status_id,
        p.status,
        p.status_category as category,
        case p.status_category when 'new' then 1 when 'indeterminate' then 2 when 'done' then 3 end
            as place,
        p.from_at,
        p.to_at,
        local_date(p.from_at, coalesce(s.time_zone, 'UTC')) as day,
        lag(p.status_category) over by_issue as previous_category,
        lag(p.status) over by_issue as previous_status,
        lag(p.status_id) over by_issue as previous_status_id,
        row_number() over by_issue as n
    from marts.issue_status_periods as p
    left join staging.stg_jira__sites as s on s.connection = p.connection
    window by_issue as (partition by p.connection, p.issue_id order by p.from_at)
),

summaries as (
    select
        connection,
        issue_id,
        min(from_at) filter (where category = 'indeterminate') as first_started_at,
        min(day) filter (where category = 'indeterminate') as first_started_on,
        min(from_at) filter (where category = 'done') as first_done_at,
        min(day) filter (where category = 'done') as first_done_on,
        bool_or(to_at is null and category = 'done') as is_done
    from periods
    group by connection, issue_id
),

-- A status whose category was changed is no move.
moves as (
    select
        connection,
        issue_id,
        status,
        category,
        place,
        day,
        previous_status,
        previous_category,
        case previous_category when 'new' then 1 when 'indeterminate' then 2 when 'done' then 3 end
            as previous_place
    from periods
    where n > 1
        and (
            (status_id is distinct from previous_status_id)
            or (status is distinct from previous_status)
        )
),

never_started as (
    select
        connection,
        'completed_but_not_started' as check_id,
        issue_id,
        'done on ' || cast(first_done_on as varchar)
            || ' without ever having been in progress' as evidence
    from summaries
    where is_done and first_started_at is null
),

stopped_first as (
    select
        connection,
        'stopped_before_started' as check_id,
        issue_id,
        'done on ' || cast(first_done_on as varchar) || ', in progress for the first time on '
            || cast(first_started_on as varchar) as evidence
    from summaries
    where first_done_at < first_started_at
),

after_done as (
    select
        connection,
        'status_changes_after_done' as check_id,
        issue_id,
        'changes of status while it was done: ' || cast(count(*) as varchar) || ', the last on '
            || cast(max(day) as varchar) as evidence
    from moves
    where previous_category = 'done'
    group by connection, issue_id
),

backwards as (
    select
        connection,
        'backwards_through_status_categories' as check_id,
        issue_id,
        'moves back to an earlier category: ' || cast(count(*) as varchar) || ', the last on '
            || cast(max(day) as varchar) as evidence
    from moves
    where place < previous_place
    group by connection, issue_id
),

-- Days count from the first start; what was in progress before it went back is in no figure twice.
discarded as (
    select
        m.connection,
        'discarded_changes' as check_id,
        m.issue_id,
        'moves from in progress back to not started: ' || cast(count(*) as varchar)
            || ', the last on ' || cast(max(m.day) as varchar) || '; in progress for the first time on '
            || cast(min(s.first_started_on) as varchar) as evidence
    from moves as m
    join summaries as s on s.connection = m.connection and s.issue_id = m.issue_id
    where m.previous_category = 'indeterminate' and m.category = 'new'
    group by m.connection, m.issue_id
),

created as (
    select
        connection,
        'created_in_wrong_status' as check_id,
        issue_id,
        'created in "' || coalesce(status, '?') || '"' as evidence
    from periods
    where n = 1 and category <> 'new'
),

stale as (
    select
        p.connection,
        'stale_in_progress' as check_id,
        p.issue_id,
        'in "' || coalesce(p.status, '?') || '" since ' || cast(p.day as varchar)
            || ', days without any change: '
            || cast(
                cast(
                    floor(
                        (date_part('epoch', t.data_time) - date_part('epoch', i.updated_at))
                        / 86400.0
                    ) as bigint
                ) as varchar
            ) as evidence
    from periods as p
    join staging.stg_jira__issues as i
        on i.connection = p.connection and i.issue_id = p.issue_id
    join intermediate.int_delivery__data_time as t on t.connection = p.connection
    where p.to_at is null
        and p.category = 'indeterminate'
        and i.updated_at <= t.data_time - interval '5 days'
),

found as (
    select connection, check_id, issue_id, evidence from never_started
    union all
    select connection, check_id, issue_id, evidence from stopped_first
    union all
    select connection, check_id, issue_id, evidence from after_done
    union all
    select connection, check_id, issue_id, evidence from backwards
    union all
    select connection, check_id, issue_id, evidence from discarded
    union all
    select connection, check_id, issue_id, evidence from created
    union all
    select connection, check_id, issue_id, evidence from stale
)

select
    connection,
    check_id,
    'issue:' || cast(issue_id as varchar) as subject,
    issue_id,
    cast(null as bigint) as sprint_id,
    cast(null as bigint) as board_id,
    evidence
from found
