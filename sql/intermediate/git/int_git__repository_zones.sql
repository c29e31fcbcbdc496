-- A forge has no time zone: weeks are those of the Jira site whose issues the repository mentions most,
-- else of the first site; without any, UTC.
with mentions as (
    select r.connection, r.repository_id, k.connection as issue_connection, count(*) as mentions
    from staging.stg_git__issue_references as r
    join intermediate.int_git__issue_keys as k on k.issue_key = r.issue_key
    group by r.connection, r.repository_id, k.connection
),

ranked as (
    select
        p.connection,
        p.repository_id,
        p.full_name,
        s.time_zone,
        row_number() over (
            partition by p.connection, p.repository_id
            order by coalesce(m.mentions, 0) desc, s.connection
        ) as n
    from staging.stg_git__repositories as p
    cross join staging.stg_jira__sites as s
    left join mentions as m
        on m.connection = p.connection
        and m.repository_id = p.repository_id
        and m.issue_connection = s.connection
)

select
    p.connection,
    p.repository_id,
    p.full_name as repository_name,
    coalesce(r.time_zone, 'UTC') as time_zone
from staging.stg_git__repositories as p
left join ranked as r
    on r.connection = p.connection and r.repository_id = p.repository_id and r.n = 1
