select connection, issue_id, created_at, 'status' as attribute,
    coalesce(cast(status_id as varchar), status) as value, status as label
from staging.stg_jira__issues
union all
select connection, issue_id, created_at, 'assignee' as attribute,
    assignee_id as value, cast(null as varchar) as label
from staging.stg_jira__issues
union all
select connection, issue_id, created_at, 'points' as attribute,
    cast(story_points as varchar) as value, cast(null as varchar) as label
from staging.stg_jira__issues
union all
select connection, issue_id, created_at, 'sprint' as attribute,
    coalesce(array_to_string(sprint_ids, ','), '') as value, cast(null as varchar) as label
from staging.stg_jira__issues
