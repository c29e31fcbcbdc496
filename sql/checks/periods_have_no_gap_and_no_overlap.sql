with periods as (
select connection, issue_id, 'status' as periods, from_at, to_at,
    lag(to_at) over (partition by connection, issue_id order by from_at) as previous_to_at,
    row_number() over (partition by connection, issue_id order by from_at) as n
from marts.issue_status_periods
union all
select connection, issue_id, 'sprint' as periods, from_at, to_at,
    lag(to_at) over (partition by connection, issue_id order by from_at) as previous_to_at,
    row_number() over (partition by connection, issue_id order by from_at) as n
from marts.issue_sprint_periods
union all
select connection, issue_id, 'points' as periods, from_at, to_at,
    lag(to_at) over (partition by connection, issue_id order by from_at) as previous_to_at,
    row_number() over (partition by connection, issue_id order by from_at) as n
from marts.issue_points_periods
union all
select connection, issue_id, 'assignee' as periods, from_at, to_at,
    lag(to_at) over (partition by connection, issue_id order by from_at) as previous_to_at,
    row_number() over (partition by connection, issue_id order by from_at) as n
from marts.issue_assignee_periods
union all
select connection, issue_id, 'parent' as periods, from_at, to_at,
    lag(to_at) over (partition by connection, issue_id order by from_at) as previous_to_at,
    row_number() over (partition by connection, issue_id order by from_at) as n
from marts.issue_parent_periods
)

select p.connection, p.issue_id, p.periods, p.from_at, p.to_at
from periods as p
join staging.stg_jira__issues as i on i.connection = p.connection and i.issue_id = p.issue_id
where (p.n = 1 and p.from_at <> i.created_at)
    or (p.n > 1 and (p.previous_to_at is null or p.previous_to_at <> p.from_at))
    or p.to_at <= p.from_at
