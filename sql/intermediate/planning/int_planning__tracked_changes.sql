-- Changes of what an issue is. Left out are order and sprint, which say where it is planned, and entries
-- that only echo other events: work logged, comments, attachments, links to other tools, the new key and
-- the workflow that come with a move.
with roles as (
    select connection, name, role, min(field_id) as field_id
    from staging.stg_jira__fields
    where role is not null
    group by connection, name, role
),

-- Old entries, and Data Center, leave the id of a field out.
recognised as (
    select
        c.connection,
        c.issue_id,
        greatest(c.changed_at, i.created_at) as changed_at,
        c.history_id,
        c.ordinal,
        coalesce(c.field_id, named.field_id, c.field) as field_id,
        c.field,
        i.story_points_field_id,
        nullif(c.from_value, '') as id_before,
        nullif(c.from_string, '') as label_before,
        nullif(c.to_value, '') as id_after,
        nullif(c.to_string, '') as label_after
    from staging.stg_jira__changelog_items as c
    join staging.stg_jira__issues as i
        on i.connection = c.connection and i.issue_id = c.issue_id
    left join roles as named
        on named.connection = c.connection and named.name = c.field and c.field_id is null
    where c.field not in (
        'Rank', 'Sprint', 'Key', 'Workflow', 'timespent', 'timeestimate', 'WorklogId',
        'WorklogTimeSpent', 'Comment', 'Attachment', 'RemoteIssueLink', 'RemoteWorkItemLink',
        'Epic Child', 'Epic Rank', 'statuscategorychangedate', 'lastViewed'
    )
),

labelled as (
    select
        r.connection,
        r.issue_id,
        case
            when r.field_id = r.story_points_field_id then 'story_points'
            when f.role in ('discipline_team', 'owner', 'flagged') then f.role
            when f.role = 'epic_link' then 'parent'
            when r.field in ('IssueParentAssociation', 'Parent', 'Epic Link', 'Parent Link')
                then 'parent'
            when r.field_id = 'issuetype' then 'issue_type'
            when r.field_id = 'duedate' then 'due_on'
            when r.field_id = 'timeoriginalestimate' then 'original_estimate'
            when r.field_id in ('fixVersions', 'Fix Version') then 'fix_versions'
            when r.field_id in ('versions', 'Version') then 'affects_versions'
            when r.field_id in ('components', 'Component') then 'components'
            when r.field_id in ('issuelinks', 'Link') then 'links'
            else coalesce(case when f.is_custom then f.name else f.field_id end, r.field)
        end as field,
        r.changed_at,
        r.history_id,
        r.ordinal,
        r.id_before,
        r.label_before,
        r.id_after,
        r.label_after
    from recognised as r
    left join staging.stg_jira__fields as f
        on f.connection = r.connection and f.field_id = r.field_id
    where f.role is null or f.role not in ('sprint', 'rank')
)

select
    connection,
    issue_id,
    field,
    row_number() over (
        partition by connection, issue_id, field order by changed_at, history_id, ordinal
    ) as n,
    changed_at,
    id_before,
    -- Of long texts only their digest: they are compared, not shown.
    case when length(label_before) > 255 then md5(label_before) else label_before end as label_before,
    id_after,
    case when length(label_after) > 255 then md5(label_after) else label_after end as label_after
from labelled
