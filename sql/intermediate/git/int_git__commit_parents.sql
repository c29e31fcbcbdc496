with links as (
    select connection, repository_id, sha, unnest(parent_shas) as parent_sha
    from staging.stg_git__commits
),

first_deployed as (
    select connection, repository_id, sha, min(ordinal) as ordinal
    from intermediate.int_git__production_deployments
    where ordinal is not null
    group by connection, repository_id, sha
)

select distinct
    l.connection,
    l.repository_id,
    l.sha,
    l.parent_sha,
    c.committed_at as parent_committed_at,
    f.ordinal as parent_ordinal
from links as l
join staging.stg_git__commits as c
    on c.connection = l.connection
    and c.repository_id = l.repository_id
    and c.sha = l.parent_sha
left join first_deployed as f
    on f.connection = l.connection
    and f.repository_id = l.repository_id
    and f.sha = l.parent_sha
