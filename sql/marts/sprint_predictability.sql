-- How well a sprint kept to its plan. Elapsed days are working days: Monday to Friday in the site's zone.
with kept as (
    select
        connection,
        sprint_id,
        count(*) filter (where committed and outcome = 'completed') as issues
    from marts.sprint_scope
    where not is_subtask
    group by connection, sprint_id
)

select
    m.connection,
    m.board_id,
    m.sprint_id,
    m.sprint_name,
    m.state,
    m.provisional,
    m.committed_issues,
    m.committed_points,
    m.completed_issues,
    m.completed_points,
    case
        when m.committed_points > 0 then greatest(
            0.0, 1.0 - abs(m.completed_points - m.committed_points) / m.committed_points
        )
    end as predictability,
    case
        when m.committed_issues > 0 then greatest(
            0.0,
            1.0 - cast(abs(m.completed_issues - m.committed_issues) as double)
                / cast(m.committed_issues as double)
        )
    end as predictability_issues,
    m.say_do_ratio as planning_accuracy,
    cast(coalesce(k.issues, 0) as double) / nullif(cast(m.committed_issues as double), 0.0)
        as planning_accuracy_issues,
    m.completed_points / nullif(m.committed_points, 0.0) as capacity_accuracy,
    cast(m.completed_issues as double) / nullif(cast(m.committed_issues as double), 0.0)
        as capacity_accuracy_issues,
    (m.added_points + m.removed_points) / nullif(m.committed_points, 0.0) as churn_ratio,
    cast(m.carried_over_issues as double)
        / nullif(cast(m.completed_issues + m.not_completed_issues as double), 0.0) as carry_over_ratio,
    c.planned_working_days,
    c.elapsed_working_days,
    m.completed_points / nullif(c.elapsed_working_days, 0.0) as velocity_per_working_day
from marts.sprint_metrics as m
left join kept as k on k.connection = m.connection and k.sprint_id = m.sprint_id
left join intermediate.int_planning__sprint_progress as c
    on c.connection = m.connection and c.sprint_id = m.sprint_id
