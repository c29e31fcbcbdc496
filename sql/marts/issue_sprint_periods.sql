-- A sub-task is in the sprints of its parent, from its own creation on; the source writes no Sprint
-- change for it. Where the parent is not known, its own field counts.
with timelines as (
    select connection, issue_id, value, from_at, to_at
    from intermediate.int_delivery__issue_field_periods
    where attribute = 'sprint'
),

parents as (
    select
        s.connection,
        s.issue_id,
        s.created_at,
        p.issue_id as parent_id,
        p.created_at as parent_created_at
    from staging.stg_jira__issues as s
    join staging.stg_jira__issues as p
        on p.connection = s.connection and p.issue_id = s.parent_id
    where s.is_subtask
),

inherited as (
    select
        s.connection,
        s.issue_id,
        t.value,
        -- The interval that holds at the sub-task's creation begins there, and so does the parent's
        -- first one where the parent is the younger.
        case
            when t.from_at < s.created_at or t.from_at = s.parent_created_at then s.created_at
            else t.from_at
        end as from_at,
        t.to_at
    from parents as s
    join timelines as t on t.connection = s.connection and t.issue_id = s.parent_id
    where t.to_at is null or t.to_at > s.created_at
),

own as (
    select t.connection, t.issue_id, t.value, t.from_at, t.to_at
    from timelines as t
    left join parents as s on s.connection = t.connection and s.issue_id = t.issue_id
    where s.issue_id is null
),

together as (
    select connection, issue_id, value, from_at, to_at from own
    union all
    select connection, issue_id, value, from_at, to_at from inherited
),

listed as (
    select
        connection,
        issue_id,
        array_sort(
            array_distinct(
                arrow_cast(array_remove_all(string_to_array(value, ','), ''), 'List(Int64)')
            )
        ) as sprint_ids,
        from_at,
        to_at
    from together
),

-- The same ids in another order are the same value.
compared as (
    select
        connection,
        issue_id,
        sprint_ids,
        from_at,
        lag(from_at) over by_issue is null
        or lag(array_to_string(sprint_ids, ',')) over by_issue
        is distinct from array_to_string(sprint_ids, ',') as begins
    from listed
    window by_issue as (partition by connection, issue_id order by from_at)
)

select
    connection,
    issue_id,
    sprint_ids,
    from_at,
    lead(from_at) over (partition by connection, issue_id order by from_at) as to_at
from compared
where begins
