-- The latest instant that the data itself knows of.
with known as (
    select connection, updated_at as at
    from staging.stg_jira__issues
    union all
    select connection, changed_at as at
    from staging.stg_jira__changelog_items
    union all
    select connection, activated_at as at
    from staging.stg_jira__sprints
    union all
    select connection, completed_at as at
    from staging.stg_jira__sprints
)

select connection, max(at) as data_time
from known
group by connection
