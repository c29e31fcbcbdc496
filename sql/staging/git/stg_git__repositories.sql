select
    connection,
    repository_id,
    full_name,
    name,
    web_url,
    default_branch,
    is_private,
    is_archived,
    is_fork,
    created_at
from git.repositories
where deleted_at is null
