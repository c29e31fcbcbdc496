with first_commits as (
    select
        m.connection,
        m.pull_request_id,
        min(c.committed_at) as first_commit_at
    from staging.stg_git__pull_request_commits as m
    join staging.stg_git__commits as c
        on c.connection = m.connection
        and c.repository_id = m.repository_id
        and c.sha = m.sha
    group by m.connection, m.pull_request_id
),

-- In production with the commit it was merged as; where that is not known, with the last of its own.
by_merge as (
    select p.connection, p.pull_request_id, d.deployment_id, d.deployed_at
    from staging.stg_git__pull_requests as p
    join intermediate.int_git__commit_deployments as d
        on d.connection = p.connection
        and d.repository_id = p.repository_id
        and d.sha = p.merge_commit_sha
    where p.merged_at is not null
),

by_commits as (
    select
        m.connection,
        m.pull_request_id,
        d.deployment_id,
        d.deployed_at,
        row_number() over (
            partition by m.connection, m.pull_request_id order by d.ordinal desc, d.sha
        ) as n,
        count(*) over (partition by m.connection, m.pull_request_id) as deployed,
        max(t.commits) over (partition by m.connection, m.pull_request_id) as commits
    from staging.stg_git__pull_request_commits as m
    join intermediate.int_git__commit_deployments as d
        on d.connection = m.connection
        and d.repository_id = m.repository_id
        and d.sha = m.sha
    join (
        select connection, pull_request_id, count(*) as commits
        from staging.stg_git__pull_request_commits
        group by connection, pull_request_id
    ) as t
        on t.connection = m.connection and t.pull_request_id = m.pull_request_id
),

links as (
    select
        connection,
        pull_request_id,
        array_agg(distinct issue_id order by issue_id) as issue_ids,
        array_agg(distinct issue_key order by issue_key) as issue_keys
    from marts.pull_request_issues
    group by connection, pull_request_id
),

issue_sprints as (
    select l.connection, l.pull_request_id, unnest(i.sprint_ids) as sprint_id
    from marts.pull_request_issues as l
    join staging.stg_jira__issues as i
        on i.connection = l.issue_connection and i.issue_id = l.issue_id
),

sprints as (
    select
        connection,
        pull_request_id,
        array_agg(distinct sprint_id order by sprint_id) as sprint_ids
    from issue_sprints
    group by connection, pull_request_id
),

timed as (
    select
        p.connection,
        p.repository_id,
        p.pull_request_id,
        p.number,
        p.title,
        p.state,
        p.author_id,
        p.base_branch,
        c.first_commit_at,
        p.created_at as opened_at,
        case
            when p.merged_at is null or p.first_review_at <= p.merged_at then p.first_review_at
        end as first_review_at,
        p.merged_at,
        p.closed_at,
        coalesce(m.deployment_id, o.deployment_id) as deployment_id,
        coalesce(m.deployed_at, o.deployed_at) as deployed_at,
        p.additions,
        p.deletions
    from staging.stg_git__pull_requests as p
    left join first_commits as c
        on c.connection = p.connection and c.pull_request_id = p.pull_request_id
    left join by_merge as m
        on m.connection = p.connection and m.pull_request_id = p.pull_request_id
    left join by_commits as o
        on o.connection = p.connection
        and o.pull_request_id = p.pull_request_id
        and o.n = 1
        and o.deployed = o.commits
        and p.merged_at is not null
)

select
    t.connection,
    t.repository_id,
    r.full_name as repository_name,
    t.pull_request_id,
    t.number,
    t.title,
    t.state,
    t.author_id,
    t.base_branch,
    t.first_commit_at,
    t.opened_at,
    t.first_review_at,
    t.merged_at,
    t.closed_at,
    t.deployment_id,
    t.deployed_at,
    case
        when t.first_commit_at < t.opened_at
            then (date_part('epoch', t.opened_at) - date_part('epoch', t.first_commit_at)) / 3600.0
        when t.first_commit_at is not null then 0.0
    end as coding_hours,
    (date_part('epoch', t.first_review_at) - date_part('epoch', t.opened_at)) / 3600.0
        as pickup_hours,
    (date_part('epoch', t.merged_at) - date_part('epoch', t.first_review_at)) / 3600.0
        as review_hours,
    (date_part('epoch', t.merged_at) - date_part('epoch', t.opened_at)) / 3600.0
        as merge_hours,
    case
        when t.deployed_at > t.merged_at
            then (date_part('epoch', t.deployed_at) - date_part('epoch', t.merged_at)) / 3600.0
        when t.deployed_at is not null then 0.0
    end as deploy_hours,
    (
        date_part('epoch', t.deployed_at)
        - date_part('epoch', least(t.first_commit_at, t.opened_at))
    ) / 3600.0 as cycle_time_hours,
    t.additions,
    t.deletions,
    l.issue_ids,
    l.issue_keys,
    s.sprint_ids
from timed as t
left join staging.stg_git__repositories as r
    on r.connection = t.connection and r.repository_id = t.repository_id
left join links as l
    on l.connection = t.connection and l.pull_request_id = t.pull_request_id
left join sprints as s
    on s.connection = t.connection and s.pull_request_id = t.pull_request_id
