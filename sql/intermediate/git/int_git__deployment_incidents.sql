-- An incident is laid at the last production deployment before it was recorded: of the repositories
-- that mention it; else of those that mention issues of its project; else of the only repository
-- that deploys. With several and no mention nobody knows.
with mentions as (
    select distinct
        r.connection,
        r.repository_id,
        k.connection as issue_connection,
        k.issue_id,
        k.project_id
    from staging.stg_git__issue_references as r
    join intermediate.int_git__issue_keys as k on k.issue_key = r.issue_key
),

deploying as (
    select distinct connection, repository_id
    from intermediate.int_git__production_deployments
    where ordinal is not null
),

only_one as (
    select min(connection) as connection, min(repository_id) as repository_id
    from deploying
    having count(*) = 1
),

candidates as (
    select i.connection as issue_connection, i.issue_id, m.connection, m.repository_id,
        1 as precedence
    from intermediate.int_git__incidents as i
    join mentions as m on m.issue_connection = i.connection and m.issue_id = i.issue_id
    union
    select i.connection as issue_connection, i.issue_id, m.connection, m.repository_id,
        2 as precedence
    from intermediate.int_git__incidents as i
    join mentions as m on m.issue_connection = i.connection and m.project_id = i.project_id
    union
    select i.connection as issue_connection, i.issue_id, o.connection, o.repository_id,
        3 as precedence
    from intermediate.int_git__incidents as i
    cross join only_one as o
),

-- Repositories that never deploy to production can't have caused it.
able as (
    select
        c.issue_connection,
        c.issue_id,
        c.connection,
        c.repository_id,
        c.precedence,
        min(c.precedence) over (partition by c.issue_connection, c.issue_id) as best
    from candidates as c
    join deploying as d on d.connection = c.connection and d.repository_id = c.repository_id
),

preceding as (
    select
        a.issue_connection,
        a.issue_id,
        a.connection,
        a.precedence,
        d.repository_id,
        d.deployment_id,
        d.deployed_at,
        i.created_at,
        i.resolved_at,
        row_number() over (
            partition by a.issue_connection, a.issue_id
            order by d.deployed_at desc, d.connection, d.deployment_id desc
        ) as n
    from able as a
    join intermediate.int_git__incidents as i
        on i.connection = a.issue_connection and i.issue_id = a.issue_id
    join intermediate.int_git__production_deployments as d
        on d.connection = a.connection and d.repository_id = a.repository_id
    where a.precedence = a.best and d.deployed_at <= i.created_at
)

select
    issue_connection,
    issue_id,
    connection,
    repository_id,
    deployment_id,
    case precedence
        when 1 then 'mentioned'
        when 2 then 'project'
        else 'only_repository'
    end as linked_by,
    created_at,
    resolved_at
from preceding
where n = 1
