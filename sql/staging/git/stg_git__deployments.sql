select
    connection,
    deployment_id,
    repository_id,
    sha,
    ref,
    environment,
    is_production,
    status,
    status_at,
    creator_id,
    created_at,
    updated_at
from git.deployments
where deleted_at is null
