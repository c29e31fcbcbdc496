select
    connection,
    repository_id,
    sha,
    is_on_default_branch,
    author_id,
    author_name,
    author_email,
    authored_at,
    committed_at,
    title,
    message,
    parent_shas
from git.commits
where deleted_at is null
