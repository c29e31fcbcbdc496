-- A deployment brings what can be reached from its commit by parents and was not brought by an earlier
-- one. The walk ends at commits that were themselves deployed before, and 90 days before the commit of
-- the previous deployment (of the first one: before its own).
with recursive starts as (
    select
        d.connection,
        d.repository_id,
        d.ordinal,
        d.sha,
        d.created_at,
        lag(d.created_at) over by_repository as previous_created_at,
        c.parent_shas is not null as has_parents,
        coalesce(
            lag(c.committed_at) over by_repository, c.committed_at, d.created_at
        ) - interval '90 days' as horizon_at,
        min(d.ordinal) over (partition by d.connection, d.repository_id, d.sha) as first_ordinal
    from intermediate.int_git__production_deployments as d
    left join staging.stg_git__commits as c
        on c.connection = d.connection
        and c.repository_id = d.repository_id
        and c.sha = d.sha
    where d.ordinal is not null
    window by_repository as (partition by d.connection, d.repository_id order by d.ordinal)
),

walked as (
    select connection, repository_id, ordinal, horizon_at, sha
    from starts
    where has_parents and first_ordinal = ordinal
    union
    select w.connection, w.repository_id, w.ordinal, w.horizon_at, p.parent_sha as sha
    from walked as w
    join intermediate.int_git__commit_parents as p
        on p.connection = w.connection
        and p.repository_id = w.repository_id
        and p.sha = w.sha
    where p.parent_committed_at >= w.horizon_at
        and coalesce(p.parent_ordinal, w.ordinal) >= w.ordinal
),

-- When a commit came into the default branch: with its pull request, else when it was committed.
arrivals as (
    select
        c.connection,
        c.repository_id,
        c.sha,
        greatest(c.committed_at, min(r.merged_at)) as arrived_at
    from staging.stg_git__commits as c
    left join staging.stg_git__pull_request_commits as m
        on m.connection = c.connection
        and m.repository_id = c.repository_id
        and m.sha = c.sha
    left join staging.stg_git__pull_requests as r
        on r.connection = m.connection and r.pull_request_id = m.pull_request_id
    where c.is_on_default_branch
    group by c.connection, c.repository_id, c.sha, c.committed_at
),

-- Where the deployed commit, or what it stands on, was not read, time has to do.
timed as (
    select s.connection, s.repository_id, s.ordinal, a.sha
    from starts as s
    join arrivals as a on a.connection = s.connection and a.repository_id = s.repository_id
    where not s.has_parents
        and s.first_ordinal = s.ordinal
        and a.arrived_at <= s.created_at
        and a.arrived_at > coalesce(s.previous_created_at, s.horizon_at)
),

reached as (
    select
        connection,
        repository_id,
        sha,
        min(ordinal) as ordinal,
        min(found) as found
    from (
        select connection, repository_id, sha, ordinal, 1 as found from walked
        union all
        select connection, repository_id, sha, ordinal, 2 as found from timed
    ) as both_ways
    group by connection, repository_id, sha
),

-- Squashing and rebasing leave the commits of a pull request outside of the history; they went to
-- production with what it was merged as.
merged as (
    select
        m.connection,
        m.repository_id,
        m.sha,
        r.merge_commit_sha,
        h.ordinal
    from staging.stg_git__pull_requests as r
    join reached as h
        on h.connection = r.connection
        and h.repository_id = r.repository_id
        and h.sha = r.merge_commit_sha
    join staging.stg_git__pull_request_commits as m
        on m.connection = r.connection and m.pull_request_id = r.pull_request_id
    left join reached as own
        on own.connection = m.connection
        and own.repository_id = m.repository_id
        and own.sha = m.sha
    where r.merged_at is not null and own.sha is null
),

-- What stands for them in the history is no change of its own.
stand_ins as (
    select distinct connection, repository_id, merge_commit_sha as sha
    from merged
),

found as (
    select connection, repository_id, sha, ordinal,
        case found when 1 then 'parents' else 'time' end as found_by
    from reached
    union all
    select connection, repository_id, sha, min(ordinal) as ordinal, 'pull_request' as found_by
    from merged
    group by connection, repository_id, sha
),

described as (
    select
        f.connection,
        f.repository_id,
        f.sha,
        f.ordinal,
        f.found_by,
        c.committed_at,
        s.sha is null
        and case
            when c.parent_shas is null then coalesce(c.title, '') not like 'Merge %'
            else coalesce(cardinality(c.parent_shas), 0) < 2
        end as is_single,
        -- A rebased copy has author, time of writing and title of the original.
        case
            when c.authored_at is null then f.sha
            else coalesce(c.author_email, c.author_name, '') || ' ' || cast(c.authored_at as varchar)
                || ' ' || coalesce(c.title, '')
        end as identity
    from found as f
    join staging.stg_git__commits as c
        on c.connection = f.connection
        and c.repository_id = f.repository_id
        and c.sha = f.sha
    left join stand_ins as s
        on s.connection = f.connection
        and s.repository_id = f.repository_id
        and s.sha = f.sha
),

counted as (
    select
        connection,
        repository_id,
        sha,
        ordinal,
        found_by,
        committed_at,
        is_single
        and row_number() over (
            partition by connection, repository_id, identity, is_single
            order by ordinal, committed_at, sha
        ) = 1 as is_change
    from described
)

select
    c.connection,
    c.repository_id,
    c.sha,
    d.deployment_id,
    c.ordinal,
    d.deployed_at,
    c.found_by,
    c.committed_at,
    c.is_change,
    case
        when c.is_change then greatest(
            (date_part('epoch', d.deployed_at) - date_part('epoch', c.committed_at)) / 3600.0,
            0.0
        )
    end as lead_time_hours
from counted as c
join intermediate.int_git__production_deployments as d
    on d.connection = c.connection
    and d.repository_id = c.repository_id
    and d.ordinal = c.ordinal
