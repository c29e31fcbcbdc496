select
    connection,
    pull_request_id,
    sha,
    repository_id,
    position
from git.pull_request_commits
where deleted_at is null
