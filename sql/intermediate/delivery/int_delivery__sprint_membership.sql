with exploded as (
    select connection, issue_id, unnest(sprint_ids) as sprint_id, from_at, to_at
    from marts.issue_sprint_periods
),

-- Intervals that touch are one membership: another sprint entered or left in between.
compared as (
    select
        connection,
        issue_id,
        sprint_id,
        from_at,
        to_at,
        case
            when lag(to_at) over by_sprint = from_at then 0
            else 1
        end as begins
    from exploded
    window by_sprint as (partition by connection, issue_id, sprint_id order by from_at)
),

numbered as (
    select
        connection,
        issue_id,
        sprint_id,
        from_at,
        to_at,
        sum(begins) over (
            partition by connection, issue_id, sprint_id
            order by from_at
            rows between unbounded preceding and current row
        ) as visit
    from compared
)

select
    connection,
    issue_id,
    sprint_id,
    visit,
    min(from_at) as entered_at,
    case when count(to_at) = count(*) then max(to_at) end as left_at
from numbered
group by connection, issue_id, sprint_id, visit
