select
    connection,
    repository_id,
    kind,
    ref_id,
    issue_key,
    position
from git.issue_references
where deleted_at is null
