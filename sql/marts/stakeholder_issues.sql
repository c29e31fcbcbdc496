-- The scope of a sprint with who and what each issue was for when it ended.
select
    s.connection,
    s.board_id,
    s.sprint_id,
    s.issue_id,
    s.issue_key,
    s.is_subtask,
    i.project_id,
    coalesce(i.project_key, regexp_replace(i.issue_key, '-[0-9]+$', '')) as project_key,
    v.issue_type,
    v.status_id,
    v.status,
    v.status_category,
    v.priority,
    v.discipline_team,
    v.assignee_id,
    v.assignee,
    v.stakeholder_id,
    v.stakeholder,
    v.stakeholder_source,
    v.is_flagged,
    s.committed,
    s.added_after_start,
    s.outcome,
    s.start_points,
    s.end_points,
    s.carried_over,
    s.prior_sprints
from marts.sprint_scope as s
join staging.stg_jira__issues as i on i.connection = s.connection and i.issue_id = s.issue_id
join intermediate.int_planning__sprint_issue_values as v
    on v.connection = s.connection
    and v.sprint_id = s.sprint_id
    and v.issue_id = s.issue_id
    and v.moment = 'end'
