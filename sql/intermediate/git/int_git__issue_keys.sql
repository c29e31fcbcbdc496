-- Keys that an issue has or had; a key that another issue has now belongs to that one.
with former as (
    select distinct c.connection, c.from_string as issue_key, c.issue_id
    from staging.stg_jira__changelog_items as c
    where c.field = 'Key' and c.from_string is not null
),

keys as (
    select connection, issue_key, issue_id, 1 as precedence
    from staging.stg_jira__issues
    union all
    select connection, issue_key, issue_id, 2 as precedence
    from former
),

ranked as (
    select
        connection,
        issue_key,
        issue_id,
        row_number() over (
            partition by connection, issue_key order by precedence, issue_id
        ) as n
    from keys
)

select r.connection, r.issue_key, r.issue_id, i.project_id
from ranked as r
join staging.stg_jira__issues as i
    on i.connection = r.connection and i.issue_id = r.issue_id
where r.n = 1 and r.issue_key is not null
