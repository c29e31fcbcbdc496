-- Where the source does not say which environments are production, their name does.
with production as (
    select
        connection,
        repository_id,
        deployment_id,
        sha,
        ref,
        environment,
        status,
        created_at,
        case when status = 'success' then coalesce(status_at, created_at) end as deployed_at
    from staging.stg_git__deployments
    where coalesce(
        is_production,
        lower(environment) ~ '(^|[^a-z])(prod|production|live)([^a-z]|$)'
    )
)

select
    connection,
    repository_id,
    deployment_id,
    sha,
    ref,
    environment,
    status,
    created_at,
    deployed_at,
    case
        when deployed_at is not null then row_number() over (
            partition by connection, repository_id, deployed_at is not null
            order by deployed_at, deployment_id
        )
    end as ordinal
from production
