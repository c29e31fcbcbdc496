-- The rule of what an incident is: the word "incident" or "outage" in the name of its type, or one of
-- these labels. Sub-tasks are none.
with judged as (
    select
        connection,
        issue_id,
        issue_key,
        project_id,
        created_at,
        case
            when lower(issue_type) ~ '(^|[^a-z])(incident|outage)s?([^a-z]|$)' then 'issue_type'
            when lower(' ' || array_to_string(labels, ' ') || ' ')
                ~ ' (incident|outage|production-incident|prod-incident) ' then 'label'
        end as rule
    from staging.stg_jira__issues
    where coalesce(is_subtask, false) = false
),

-- Resolved since the last stay outside of category done ended; not before that is over.
resolutions as (
    select
        connection,
        issue_id,
        max(to_at) filter (where status_category is distinct from 'done') as left_open_at,
        bool_or(to_at is null and status_category = 'done') as is_done
    from marts.issue_status_periods
    group by connection, issue_id
)

select
    j.connection,
    j.issue_id,
    j.issue_key,
    j.project_id,
    j.rule,
    j.created_at,
    case when coalesce(r.is_done, false) then coalesce(r.left_open_at, j.created_at) end
        as resolved_at
from judged as j
left join resolutions as r on r.connection = j.connection and r.issue_id = j.issue_id
where j.rule is not null
