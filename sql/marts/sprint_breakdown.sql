with scope as (
    select *
    from marts.stakeholder_issues
    where not is_subtask
),

valued as (
    select connection, board_id, sprint_id, outcome, committed, added_after_start, start_points,
        end_points, 'issue_type' as dimension, cast(null as varchar) as value_id, issue_type as value
    from scope
    union all
    select connection, board_id, sprint_id, outcome, committed, added_after_start, start_points,
        end_points, 'status' as dimension, cast(status_id as varchar) as value_id, status as value
    from scope
    union all
    select connection, board_id, sprint_id, outcome, committed, added_after_start, start_points,
        end_points, 'priority' as dimension, cast(null as varchar) as value_id, priority as value
    from scope
    union all
    select connection, board_id, sprint_id, outcome, committed, added_after_start, start_points,
        end_points, 'stakeholder' as dimension, stakeholder_id as value_id, stakeholder as value
    from scope
    union all
    select connection, board_id, sprint_id, outcome, committed, added_after_start, start_points,
        end_points, 'discipline_team' as dimension, cast(null as varchar) as value_id,
        discipline_team as value
    from scope
    union all
    select connection, board_id, sprint_id, outcome, committed, added_after_start, start_points,
        end_points, 'assignee' as dimension, assignee_id as value_id,
        coalesce(assignee, assignee_id) as value
    from scope
    union all
    select connection, board_id, sprint_id, outcome, committed, added_after_start, start_points,
        end_points, 'project' as dimension, cast(project_id as varchar) as value_id,
        project_key as value
    from scope
),

totals as (
    select
        connection,
        board_id,
        sprint_id,
        dimension,
        value_id,
        value,
        count(*) filter (where outcome <> 'removed') as issues,
        sum(end_points) filter (where outcome <> 'removed') as points,
        count(*) filter (where committed) as committed_issues,
        sum(start_points) filter (where committed) as committed_points,
        count(*) filter (where outcome = 'completed') as completed_issues,
        sum(end_points) filter (where outcome = 'completed') as completed_points,
        count(*) filter (where outcome = 'not_completed') as not_completed_issues,
        sum(end_points) filter (where outcome = 'not_completed') as not_completed_points,
        count(*) filter (where outcome = 'removed') as removed_issues,
        sum(end_points) filter (where outcome = 'removed') as removed_points,
        count(*) filter (where (committed or added_after_start) and end_points is null)
            as unestimated_issues
    from valued
    group by connection, board_id, sprint_id, dimension, value_id, value
)

select
    connection,
    board_id,
    sprint_id,
    dimension,
    row_number() over (
        partition by connection, sprint_id, dimension
        order by issues desc, value nulls last, value_id nulls last
    ) as ordinal,
    value_id,
    value,
    issues,
    coalesce(points, 0.0) as points,
    committed_issues,
    coalesce(committed_points, 0.0) as committed_points,
    completed_issues,
    coalesce(completed_points, 0.0) as completed_points,
    not_completed_issues,
    coalesce(not_completed_points, 0.0) as not_completed_points,
    removed_issues,
    coalesce(removed_points, 0.0) as removed_points,
    unestimated_issues,
    cast(issues as double) / nullif(
        cast(sum(issues) over (partition by connection, sprint_id, dimension) as double), 0.0
    ) as issue_share
from totals
