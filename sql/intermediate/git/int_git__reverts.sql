-- Git writes the hash into the message of a revert; forges write the title of what they take back.
-- Taking back a revert is no failure.
with landed as (
    select
        c.connection,
        c.repository_id,
        c.sha,
        c.title,
        c.message,
        c.committed_at,
        d.ordinal
    from staging.stg_git__commits as c
    left join intermediate.int_git__commit_deployments as d
        on d.connection = c.connection
        and d.repository_id = c.repository_id
        and d.sha = c.sha
    where c.is_on_default_branch or d.sha is not null
),

reverting as (
    select
        connection,
        repository_id,
        sha,
        committed_at,
        ordinal,
        (regexp_match(coalesce(message, ''), 'This reverts commit ([0-9a-f]{40,64})'))[1]
            as reverted_sha,
        (regexp_match(coalesce(title, ''), '^Revert "(.+)"'))[1] as reverted_title
    from landed
),

titled as (
    select connection, repository_id, title, sha, committed_at as since
    from landed
    where title is not null
    union all
    select connection, repository_id, title, merge_commit_sha as sha, merged_at as since
    from staging.stg_git__pull_requests
    where title is not null and merge_commit_sha is not null and merged_at is not null
),

by_title as (
    select
        r.connection,
        r.repository_id,
        r.sha,
        t.sha as reverted_sha,
        row_number() over (
            partition by r.connection, r.repository_id, r.sha order by t.since desc, t.sha
        ) as n
    from reverting as r
    join titled as t
        on t.connection = r.connection
        and t.repository_id = r.repository_id
        and t.title = r.reverted_title
    where r.reverted_sha is null and t.since <= r.committed_at and t.sha <> r.sha
),

pairs as (
    select connection, repository_id, sha, reverted_sha
    from reverting
    where reverted_sha is not null
    union all
    select connection, repository_id, sha, reverted_sha
    from by_title
    where n = 1
)

select
    p.connection,
    p.repository_id,
    p.sha,
    r.committed_at,
    p.reverted_sha,
    b.ordinal as reverted_ordinal,
    r.ordinal as reverting_ordinal
from pairs as p
join landed as r
    on r.connection = p.connection and r.repository_id = p.repository_id and r.sha = p.sha
join landed as b
    on b.connection = p.connection
    and b.repository_id = p.repository_id
    and b.sha = p.reverted_sha
where coalesce(b.title, '') not like 'Revert "%'
