-- What was taken back before it reached production, or by the very deployment that brought it, did not
-- fail there.
with changes as (
    select
        connection,
        deployment_id,
        count(*) as commits,
        percentile_cont(0.5) within group (order by lead_time_hours) as lead_time_p50_hours,
        max(lead_time_hours) as lead_time_max_hours
    from intermediate.int_git__commit_deployments
    where is_change
    group by connection, deployment_id
),

incidents as (
    select
        connection,
        deployment_id,
        count(*) as incidents,
        case when count(resolved_at) = count(*) then max(resolved_at) end as resolved_at
    from intermediate.int_git__deployment_incidents
    group by connection, deployment_id
),

reverts as (
    select
        r.connection,
        r.repository_id,
        r.reverted_ordinal as ordinal,
        count(*) as reverts,
        case when count(d.deployed_at) = count(*) then max(d.deployed_at) end as reverted_at
    from intermediate.int_git__reverts as r
    left join intermediate.int_git__production_deployments as d
        on d.connection = r.connection
        and d.repository_id = r.repository_id
        and d.ordinal = r.reverting_ordinal
    where r.reverted_ordinal is not null
        and (r.reverting_ordinal is null or r.reverting_ordinal > r.reverted_ordinal)
    group by r.connection, r.repository_id, r.reverted_ordinal
),

joined as (
    select
        d.connection,
        d.repository_id,
        p.full_name as repository_name,
        d.deployment_id,
        d.environment,
        d.sha,
        d.ref,
        d.status,
        d.created_at,
        d.deployed_at,
        coalesce(c.commits, 0) as commits,
        c.lead_time_p50_hours,
        c.lead_time_max_hours,
        coalesce(i.incidents, 0) as incidents,
        coalesce(v.reverts, 0) as reverts,
        case
            when i.incidents > 0 then i.resolved_at
            when v.reverts > 0 then v.reverted_at
        end as recovered_at
    from intermediate.int_git__production_deployments as d
    left join staging.stg_git__repositories as p
        on p.connection = d.connection and p.repository_id = d.repository_id
    left join changes as c
        on c.connection = d.connection and c.deployment_id = d.deployment_id
    left join incidents as i
        on i.connection = d.connection and i.deployment_id = d.deployment_id
    left join reverts as v
        on v.connection = d.connection
        and v.repository_id = d.repository_id
        and v.ordinal = d.ordinal
)

select
    connection,
    repository_id,
    repository_name,
    deployment_id,
    environment,
    sha,
    ref,
    status,
    created_at,
    deployed_at,
    commits,
    lead_time_p50_hours,
    lead_time_max_hours,
    case when deployed_at is not null then incidents > 0 or reverts > 0 end as failed,
    incidents,
    reverts,
    recovered_at,
    (date_part('epoch', recovered_at) - date_part('epoch', deployed_at)) / 3600.0
        as recovery_time_hours
from joined
