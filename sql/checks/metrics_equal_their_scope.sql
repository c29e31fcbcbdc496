with recount as (
    select
        connection,
        sprint_id,
        count(*) filter (where committed) as committed,
        count(*) filter (where added_after_start) as added,
        count(*) as issues
    from marts.sprint_scope
    where not is_subtask
    group by connection, sprint_id
)

select m.connection, m.sprint_id
from marts.sprint_metrics as m
left join recount as r on r.connection = m.connection and r.sprint_id = m.sprint_id
where m.committed_issues <> coalesce(r.committed, 0)
    or m.added_issues <> coalesce(r.added, 0)
    or m.completed_issues + m.completed_outside_issues + m.not_completed_issues
        + m.removed_issues <> coalesce(r.issues, 0)
