with weekly as (
    select
        connection,
        repository_id,
        sum(deployments) as deployments,
        sum(failed_deployments) as failed,
        sum(commits) as commits
    from marts.dora_weekly
    group by connection, repository_id
),

single as (
    select
        connection,
        repository_id,
        count(*) as deployments,
        count(*) filter (where failed) as failed,
        sum(commits) as commits
    from marts.deployments
    where deployed_at is not null
    group by connection, repository_id
)

select coalesce(s.connection, w.connection) as connection,
    coalesce(s.repository_id, w.repository_id) as repository_id
from single as s
full join weekly as w
    on w.connection = s.connection and w.repository_id = s.repository_id
where (w.deployments is distinct from s.deployments)
    or (w.failed is distinct from s.failed)
    or (w.commits is distinct from s.commits)
