with open_sprints as (
    select
        i.connection,
        i.issue_id,
        min(i.sprint_id) as sprint_id,
        min(w.board_id) as board_id
    from (
        select connection, issue_id, unnest(sprint_ids) as sprint_id
        from staging.stg_jira__issues
    ) as i
    join intermediate.int_delivery__sprint_windows as w
        on w.connection = i.connection and w.sprint_id = i.sprint_id
    join intermediate.int_delivery__board_rules as r
        on r.connection = w.connection and r.board_id = w.board_id
    where w.state <> 'closed' and r.estimates_in_points
    group by i.connection, i.issue_id
),

unestimated as (
    select
        i.connection,
        'unestimated' as check_id,
        i.issue_id,
        o.sprint_id,
        o.board_id,
        'in a sprint without an estimate' as evidence
    from staging.stg_jira__issues as i
    join open_sprints as o on o.connection = i.connection and o.issue_id = i.issue_id
    where i.story_points is null
        and coalesce(i.is_subtask, false) = false
        and coalesce(i.status_category, '') <> 'done'
),

estimates as (
    select
        connection,
        issue_id,
        from_at,
        story_points,
        lag(story_points) over (partition by connection, issue_id order by from_at)
            as previous_points,
        row_number() over (partition by connection, issue_id order by from_at) as n
    from marts.issue_points_periods
),

-- The last of an issue's changes is told.
changed as (
    select
        e.connection,
        e.issue_id,
        e.previous_points,
        e.story_points,
        local_date(e.from_at, coalesce(s.time_zone, 'UTC')) as day,
        count(*) over (partition by e.connection, e.issue_id) as changes,
        row_number() over (partition by e.connection, e.issue_id order by e.from_at desc) as n
    from estimates as e
    join marts.issue_status_periods as p
        on p.connection = e.connection and p.issue_id = e.issue_id
    left join staging.stg_jira__sites as s on s.connection = e.connection
    where e.n > 1
        and p.status_category = 'done'
        and p.from_at < e.from_at
        and (p.to_at is null or p.to_at > e.from_at)
)

select
    connection,
    check_id,
    'issue:' || cast(issue_id as varchar) as subject,
    issue_id,
    sprint_id,
    board_id,
    evidence
from unestimated
union all
select
    connection,
    'estimate_changed_after_done' as check_id,
    'issue:' || cast(issue_id as varchar) as subject,
    issue_id,
    cast(null as bigint) as sprint_id,
    cast(null as bigint) as board_id,
    'changes of the estimate while it was done: ' || cast(changes as varchar) || ', the last on '
        || cast(day as varchar) || ' from ' || coalesce(cast(previous_points as varchar), 'none')
        || ' to ' || coalesce(cast(story_points as varchar), 'none') as evidence
from changed
where n = 1
