-- Weeks run from the first deployment of a repository to the newest thing its forge knows; a week
-- without deployments has frequency 0.
with newest as (
    select connection, max(at) as data_time
    from (
        select connection, max(committed_at) as at from staging.stg_git__commits
        group by connection
        union all
        select connection, max(coalesce(status_at, created_at)) as at
        from staging.stg_git__deployments
        group by connection
        union all
        select connection, max(updated_at) as at from staging.stg_git__pull_requests
        group by connection
    ) as instants
    group by connection
),

deployed as (
    select
        d.connection,
        d.repository_id,
        d.deployment_id,
        d.deployed_at,
        d.failed,
        d.recovery_time_hours,
        coalesce(z.time_zone, 'UTC') as time_zone,
        cast(
            date_trunc('week', local_date(d.deployed_at, coalesce(z.time_zone, 'UTC'))) as date
        ) as week
    from marts.deployments as d
    left join intermediate.int_git__repository_zones as z
        on z.connection = d.connection and z.repository_id = d.repository_id
    where d.deployed_at is not null
),

spans as (
    select
        d.connection,
        d.repository_id,
        d.time_zone,
        min(d.week) as first_week,
        cast(
            date_trunc('week', local_date(greatest(max(d.deployed_at), max(n.data_time)), d.time_zone))
            as date
        ) as last_week
    from deployed as d
    join newest as n on n.connection = d.connection
    group by d.connection, d.repository_id, d.time_zone
),

weeks as (
    select
        connection,
        repository_id,
        time_zone,
        last_week,
        cast(unnest(generate_series(first_week, last_week, interval '7 days')) as date) as week
    from spans
),

frequencies as (
    select
        connection,
        repository_id,
        week,
        count(*) as deployments,
        count(*) filter (where failed) as failed_deployments,
        percentile_cont(0.5) within group (order by recovery_time_hours) as recovery_time_p50_hours
    from deployed
    group by connection, repository_id, week
),

lead_times as (
    select
        d.connection,
        d.repository_id,
        d.week,
        count(*) as commits,
        percentile_cont(0.5) within group (order by c.lead_time_hours) as lead_time_p50_hours
    from deployed as d
    join intermediate.int_git__commit_deployments as c
        on c.connection = d.connection and c.deployment_id = d.deployment_id
    where c.is_change
    group by d.connection, d.repository_id, d.week
)

select
    w.connection,
    w.repository_id,
    p.full_name as repository_name,
    w.week,
    w.time_zone,
    w.week = w.last_week as provisional,
    coalesce(f.deployments, 0) as deployments,
    cast(coalesce(f.deployments, 0) as double precision) as deployment_frequency,
    coalesce(l.commits, 0) as commits,
    l.lead_time_p50_hours as lead_time_for_changes_p50_hours,
    coalesce(f.failed_deployments, 0) as failed_deployments,
    cast(f.failed_deployments as double precision)
        / nullif(cast(f.deployments as double precision), 0.0) as change_fail_rate,
    f.recovery_time_p50_hours
from weeks as w
left join staging.stg_git__repositories as p
    on p.connection = w.connection and p.repository_id = w.repository_id
left join frequencies as f
    on f.connection = w.connection and f.repository_id = w.repository_id and f.week = w.week
left join lead_times as l
    on l.connection = w.connection and l.repository_id = w.repository_id and l.week = w.week
