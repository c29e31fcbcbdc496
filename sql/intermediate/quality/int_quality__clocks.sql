-- Instants that contradict each other by more than a second. A change may be read a moment after the
-- issue it belongs to; only what is dated an hour after it contradicts.
with early as (
    select
        c.connection,
        c.issue_id,
        count(*) as entries,
        min(c.changed_at) as first_at,
        min(i.created_at) as created_at
    from staging.stg_jira__changelog_items as c
    join staging.stg_jira__issues as i
        on i.connection = c.connection and i.issue_id = c.issue_id
    where c.changed_at < i.created_at - interval '1 second'
    group by c.connection, c.issue_id
),

late as (
    select
        c.connection,
        c.issue_id,
        count(*) as entries,
        max(c.changed_at) as last_at,
        min(i.updated_at) as updated_at
    from staging.stg_jira__changelog_items as c
    join staging.stg_jira__issues as i
        on i.connection = c.connection and i.issue_id = c.issue_id
    where c.changed_at > i.updated_at + interval '1 hour'
    group by c.connection, c.issue_id
),

issues as (
    select
        coalesce(e.connection, l.connection) as connection,
        coalesce(e.issue_id, l.issue_id) as issue_id,
        case
            when e.issue_id is not null
                then 'changes dated before its creation: ' || cast(e.entries as varchar)
                || ', the first by ' || cast(
                    cast(date_part('epoch', e.created_at) - date_part('epoch', e.first_at) as bigint)
                    as varchar
                ) || ' seconds'
            else 'changes dated after its last update: ' || cast(l.entries as varchar)
                || ', the last by ' || cast(
                    cast(date_part('epoch', l.last_at) - date_part('epoch', l.updated_at) as bigint)
                    as varchar
                ) || ' seconds'
        end as evidence
    from early as e
    full join late as l on l.connection = e.connection and l.issue_id = e.issue_id
),

sprints as (
    select
        connection,
        sprint_id,
        board_id,
        case
            when completed_at < coalesce(activated_at, start_at) then 'completed before it started'
            else 'planned to end before it starts'
        end as evidence
    from staging.stg_jira__sprints
    where completed_at < coalesce(activated_at, start_at) or end_at < start_at
),

commits as (
    select
        connection,
        repository_id,
        sha,
        cast(
            cast(date_part('epoch', committed_at) - date_part('epoch', deployed_at) as bigint)
            as varchar
        ) as seconds
    from intermediate.int_git__commit_deployments
    where committed_at > deployed_at + interval '1 second'
)

select
    connection,
    'clock_skew' as check_id,
    'issue:' || cast(issue_id as varchar) as subject,
    issue_id,
    cast(null as bigint) as sprint_id,
    cast(null as bigint) as board_id,
    evidence
from issues
union all
select
    connection,
    'clock_skew' as check_id,
    'sprint:' || cast(sprint_id as varchar) as subject,
    cast(null as bigint) as issue_id,
    sprint_id,
    board_id,
    evidence
from sprints
union all
select
    connection,
    'clock_skew' as check_id,
    'commit:' || cast(repository_id as varchar) || '/' || sha as subject,
    cast(null as bigint) as issue_id,
    cast(null as bigint) as sprint_id,
    cast(null as bigint) as board_id,
    'committed ' || seconds || ' seconds after it was deployed' as evidence
from commits
