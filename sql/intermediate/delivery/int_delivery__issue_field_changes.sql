-- A system field is named by its own id ('status', 'assignee'). Old entries, and Data Center, leave
-- the id out; a field with a part to play is then recognised by its name.
with roles as (
    select connection, name, role, min(field_id) as field_id
    from staging.stg_jira__fields
    where role is not null
    group by connection, name, role
),

recognised as (
    select
        c.connection,
        c.issue_id,
        c.changed_at,
        c.history_id,
        c.ordinal,
        c.field,
        c.from_value,
        c.from_string,
        coalesce(c.field_id, named.field_id, c.field) as field_id
    from staging.stg_jira__changelog_items as c
    left join roles as named
        on named.connection = c.connection and named.name = c.field and c.field_id is null
),

attributed as (
    select
        r.connection,
        r.issue_id,
        -- A change dated before the issue's creation belongs to its creation.
        greatest(r.changed_at, i.created_at) as changed_at,
        r.history_id,
        r.ordinal,
        r.from_value,
        r.from_string,
        case
            when r.field_id = 'status' then 'status'
            when r.field_id = 'assignee' then 'assignee'
            when s.field_id is not null then 'sprint'
            when r.field_id = i.story_points_field_id then 'points'
            -- Each kind of parent once had a field of its own, and some changes are written twice.
            when r.field in ('IssueParentAssociation', 'Parent', 'Epic Link', 'Parent Link')
                or e.field_id is not null then 'parent'
        end as attribute
    from recognised as r
    join staging.stg_jira__issues as i
        on i.connection = r.connection and i.issue_id = r.issue_id
    left join roles as s
        on s.connection = r.connection and s.field_id = r.field_id and s.role = 'sprint'
    left join roles as e
        on e.connection = r.connection and e.field_id = r.field_id and e.role = 'epic_link'
),

-- An issue has one parent: of all that one entry says of it, one value is the former parent.
folded as (
    select connection, issue_id, changed_at, history_id, ordinal, from_value, from_string, attribute
    from attributed
    where attribute <> 'parent'
    union all
    select
        connection,
        issue_id,
        changed_at,
        history_id,
        min(ordinal) as ordinal,
        max(nullif(from_value, '')) as from_value,
        cast(null as varchar) as from_string,
        attribute
    from attributed
    where attribute = 'parent'
    group by connection, issue_id, changed_at, history_id, attribute
)

select
    connection,
    issue_id,
    attribute,
    changed_at,
    row_number() over (
        partition by connection, issue_id, attribute
        order by changed_at, history_id, ordinal
    ) as n,
    case attribute
        when 'status' then coalesce(from_value, from_string)
        when 'assignee' then nullif(from_value, '')
        when 'points' then cast(try_cast(from_string as double) as varchar)
        -- Ids only, whatever separates them.
        when 'parent' then cast(try_cast(from_value as bigint) as varchar)
        when 'sprint' then regexp_replace(coalesce(from_value, ''), '[^0-9,]', '', 'g')
    end as value_before,
    from_string as label_before
from folded
