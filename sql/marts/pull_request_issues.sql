-- Keys stand in the title, the branch or the messages of the commits.
with mentions as (
    select connection, repository_id, try_cast(ref_id as bigint) as pull_request_id, issue_key, kind
    from staging.stg_git__issue_references
    where kind in ('pull_request', 'branch')
    union all
    select r.connection, r.repository_id, m.pull_request_id, r.issue_key, r.kind
    from staging.stg_git__issue_references as r
    join staging.stg_git__pull_request_commits as m
        on m.connection = r.connection
        and m.repository_id = r.repository_id
        and m.sha = r.ref_id
    where r.kind = 'commit'
)

select
    p.connection,
    p.repository_id,
    p.pull_request_id,
    k.connection as issue_connection,
    k.issue_id,
    min(i.issue_key) as issue_key,
    bool_or(m.kind = 'pull_request') as in_title,
    bool_or(m.kind = 'branch') as in_branch,
    bool_or(m.kind = 'commit') as in_commit
from mentions as m
join staging.stg_git__pull_requests as p
    on p.connection = m.connection and p.pull_request_id = m.pull_request_id
join intermediate.int_git__issue_keys as k on k.issue_key = m.issue_key
join staging.stg_jira__issues as i
    on i.connection = k.connection and i.issue_id = k.issue_id
group by p.connection, p.repository_id, p.pull_request_id, k.connection, k.issue_id
