-- What an issue was when the sprint started (or, for one added later, when it entered) and when the
-- sprint ended (or, for one taken out, when it left). A value at an instant is the "from" of the next
-- change or, without one, the present value.
with moments as (
    select
        connection,
        sprint_id,
        issue_id,
        'start' as moment,
        case when in_at_start then started_at else entered_at end as at
    from intermediate.int_delivery__sprint_issues
    union all
    select
        connection,
        sprint_id,
        issue_id,
        'end' as moment,
        case when in_at_end then ended_at else last_left_at end as at
    from intermediate.int_delivery__sprint_issues
),

next_changes as (
    select m.connection, m.sprint_id, m.issue_id, m.moment, c.field, min(c.n) as n
    from moments as m
    join intermediate.int_planning__tracked_changes as c
        on c.connection = m.connection and c.issue_id = m.issue_id
    where c.changed_at > m.at
        and c.field in ('priority', 'issue_type', 'discipline_team', 'owner', 'reporter')
    group by m.connection, m.sprint_id, m.issue_id, m.moment, c.field
),

former as (
    select
        n.connection,
        n.sprint_id,
        n.issue_id,
        n.moment,
        bool_or(n.field = 'priority') as priority_changed,
        max(c.label_before) filter (where n.field = 'priority') as priority,
        bool_or(n.field = 'issue_type') as issue_type_changed,
        max(c.label_before) filter (where n.field = 'issue_type') as issue_type,
        bool_or(n.field = 'discipline_team') as discipline_team_changed,
        max(c.label_before) filter (where n.field = 'discipline_team') as discipline_team,
        bool_or(n.field = 'owner') as owner_changed,
        -- Of several people the first, as in the present value.
        max(regexp_match(c.id_before, '^\[?\s*([^,\]]+)')[1]) filter (where n.field = 'owner')
            as owner_id,
        max(c.label_before) filter (where n.field = 'owner') as owner,
        bool_or(n.field = 'reporter') as reporter_changed,
        max(c.id_before) filter (where n.field = 'reporter') as reporter_id
    from next_changes as n
    join intermediate.int_planning__tracked_changes as c
        on c.connection = n.connection
        and c.issue_id = n.issue_id
        and c.field = n.field
        and c.n = n.n
    group by n.connection, n.sprint_id, n.issue_id, n.moment
),

people as (
    select
        m.connection,
        m.sprint_id,
        m.issue_id,
        m.moment,
        case when coalesce(f.owner_changed, false) then f.owner_id else o.owner_id end as owner_id,
        case when coalesce(f.owner_changed, false) then f.owner else o.owner end as owner,
        case when coalesce(f.reporter_changed, false) then f.reporter_id else i.reporter_id end
            as reporter_id,
        case when coalesce(f.priority_changed, false) then f.priority else i.priority end as priority,
        case when coalesce(f.issue_type_changed, false) then f.issue_type else i.issue_type end
            as issue_type,
        case
            when coalesce(f.discipline_team_changed, false) then f.discipline_team
            else i.discipline_team
        end as discipline_team
    from moments as m
    join staging.stg_jira__issues as i on i.connection = m.connection and i.issue_id = m.issue_id
    left join intermediate.int_planning__issue_owners as o
        on o.connection = m.connection and o.issue_id = m.issue_id
    left join former as f
        on f.connection = m.connection
        and f.sprint_id = m.sprint_id
        and f.issue_id = m.issue_id
        and f.moment = m.moment
),

statuses as (
    select m.connection, m.sprint_id, m.issue_id, m.moment, p.status_id, p.status, p.status_category
    from moments as m
    join marts.issue_status_periods as p
        on p.connection = m.connection and p.issue_id = m.issue_id
    where (m.at is null and p.to_at is null)
        or (p.from_at <= m.at and (p.to_at is null or p.to_at > m.at))
),

estimates as (
    select m.connection, m.sprint_id, m.issue_id, m.moment, p.story_points
    from moments as m
    join marts.issue_points_periods as p
        on p.connection = m.connection and p.issue_id = m.issue_id
    where (m.at is null and p.to_at is null)
        or (p.from_at <= m.at and (p.to_at is null or p.to_at > m.at))
),

assignees as (
    select m.connection, m.sprint_id, m.issue_id, m.moment, p.assignee_id
    from moments as m
    join marts.issue_assignee_periods as p
        on p.connection = m.connection and p.issue_id = m.issue_id
    where (m.at is null and p.to_at is null)
        or (p.from_at <= m.at and (p.to_at is null or p.to_at > m.at))
),

flags as (
    select distinct m.connection, m.sprint_id, m.issue_id, m.moment
    from moments as m
    join intermediate.int_flow__flag_periods as p
        on p.connection = m.connection and p.issue_id = m.issue_id
    where (m.at is null and p.to_at is null)
        or (p.from_at <= m.at and (p.to_at is null or p.to_at > m.at))
)

select
    m.connection,
    m.sprint_id,
    m.issue_id,
    m.moment,
    s.status_id,
    s.status,
    s.status_category,
    e.story_points,
    v.priority,
    v.issue_type,
    v.discipline_team,
    a.assignee_id,
    au.display_name as assignee,
    coalesce(v.owner_id, v.owner, v.reporter_id) as stakeholder_id,
    case
        when v.owner_id is not null or v.owner is not null
            then coalesce(ou.display_name, v.owner, v.owner_id)
        else coalesce(ru.display_name, v.reporter_id)
    end as stakeholder,
    case
        when v.owner_id is not null or v.owner is not null then 'owner'
        when v.reporter_id is not null then 'reporter'
    end as stakeholder_source,
    fl.issue_id is not null as is_flagged
from moments as m
join people as v
    on v.connection = m.connection
    and v.sprint_id = m.sprint_id
    and v.issue_id = m.issue_id
    and v.moment = m.moment
left join statuses as s
    on s.connection = m.connection
    and s.sprint_id = m.sprint_id
    and s.issue_id = m.issue_id
    and s.moment = m.moment
left join estimates as e
    on e.connection = m.connection
    and e.sprint_id = m.sprint_id
    and e.issue_id = m.issue_id
    and e.moment = m.moment
left join assignees as a
    on a.connection = m.connection
    and a.sprint_id = m.sprint_id
    and a.issue_id = m.issue_id
    and a.moment = m.moment
left join flags as fl
    on fl.connection = m.connection
    and fl.sprint_id = m.sprint_id
    and fl.issue_id = m.issue_id
    and fl.moment = m.moment
left join staging.stg_jira__users as au
    on au.connection = m.connection and au.user_id = a.assignee_id
left join staging.stg_jira__users as ou
    on ou.connection = m.connection and ou.user_id = v.owner_id
left join staging.stg_jira__users as ru
    on ru.connection = m.connection and ru.user_id = v.reporter_id
