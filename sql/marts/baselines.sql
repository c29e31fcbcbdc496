-- Every sprint that has started has the baseline of its start. Others, pinned by people, will have
-- another kind and instant.
select
    s.connection,
    cast(s.sprint_id as varchar) || '@start' as baseline_id,
    'start' as kind,
    s.board_id,
    s.sprint_id,
    s.started_at as pinned_at,
    s.issue_id,
    i.issue_key,
    coalesce(i.is_subtask, false) as is_subtask,
    i.project_id,
    i.project_key,
    v.issue_type,
    v.status_id,
    v.status,
    v.status_category,
    v.priority,
    v.story_points,
    v.discipline_team,
    v.assignee_id,
    v.assignee,
    v.stakeholder_id,
    v.stakeholder,
    v.stakeholder_source,
    v.is_flagged
from intermediate.int_delivery__sprint_issues as s
join staging.stg_jira__issues as i on i.connection = s.connection and i.issue_id = s.issue_id
join intermediate.int_planning__sprint_issue_values as v
    on v.connection = s.connection
    and v.sprint_id = s.sprint_id
    and v.issue_id = s.issue_id
    and v.moment = 'start'
where s.in_at_start
