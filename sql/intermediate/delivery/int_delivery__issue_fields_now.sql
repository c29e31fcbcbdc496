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
union all
-- Data Center shows an epic by its key only.
select i.connection, i.issue_id, i.created_at, 'parent' as attribute,
    cast(coalesce(i.parent_id, e.issue_id) as varchar) as value, cast(null as varchar) as label
from staging.stg_jira__issues as i
left join (
    select connection, issue_key, min(issue_id) as issue_id
    from staging.stg_jira__issues
    group by connection, issue_key
) as e
    on e.connection = i.connection and e.issue_key = i.epic_key
