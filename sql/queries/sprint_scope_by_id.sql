-- The issues of one sprint, as its report lists them.
select
    c.issue_id, c.issue_key, i.summary, c.issue_type, c.is_subtask, c.discipline_team,
    c.assignee_id, c.entered_at, c.left_at, c.committed, c.added_after_start, c.outcome, c.done_at,
    c.start_points, c.end_points, c.re_entered, c.carried_over, c.prior_sprints
from marts.sprint_scope as c
left join jira.issues as i on i.connection = c.connection and i.issue_id = c.issue_id
where c.connection = $connection and c.sprint_id = $sprint_id
order by c.outcome, c.issue_id
