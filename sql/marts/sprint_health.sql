-- Each part is 1 at best and 0 at worst, and null where it can't be told; the score is the weighted mean
-- of those that can.
with flagged_known as (
    select distinct connection
    from staging.stg_jira__fields
    where role = 'flagged'
),

scope as (
    select
        connection,
        sprint_id,
        count(*) as issues,
        count(*) filter (where prior_sprints > 0) as carried_in_issues,
        count(*) filter (where outcome = 'not_completed' and is_flagged) as flagged_issues
    from marts.stakeholder_issues
    where not is_subtask and outcome <> 'removed'
    group by connection, sprint_id
),

measured as (
    select
        m.connection,
        m.board_id,
        m.sprint_id,
        m.sprint_name,
        m.state,
        m.provisional,
        c.elapsed_ratio,
        m.scope_change_ratio,
        -- By points where the sprint has any.
        case
            when m.completed_points + m.not_completed_points > 0
                then m.completed_points / (m.completed_points + m.not_completed_points)
            else m.completion_ratio
        end as completed_ratio,
        cast(s.carried_in_issues as double) / nullif(cast(s.issues as double), 0.0)
            as carried_in_ratio,
        case
            when coalesce(r.estimates_in_points, m.committed_points > 0)
                then cast(m.unestimated_issues as double)
                    / nullif(cast(m.committed_issues + m.added_issues as double), 0.0)
        end as unestimated_ratio,
        case
            when f.connection is not null
                then cast(s.flagged_issues as double) / nullif(cast(s.issues as double), 0.0)
        end as flagged_ratio
    from marts.sprint_metrics as m
    left join scope as s on s.connection = m.connection and s.sprint_id = m.sprint_id
    left join flagged_known as f on f.connection = m.connection
    left join intermediate.int_delivery__board_rules as r
        on r.connection = m.connection and r.board_id = m.board_id
    left join intermediate.int_planning__sprint_progress as c
        on c.connection = m.connection and c.sprint_id = m.sprint_id
),

parts as (
    select
        *,
        case
            when not provisional then completed_ratio
            when elapsed_ratio > 0.0 and completed_ratio is not null
                then least(1.0, completed_ratio / least(1.0, elapsed_ratio))
        end as progress_part,
        -- The functions that choose among values pass over nulls.
        case
            when scope_change_ratio is not null then greatest(0.0, 1.0 - abs(scope_change_ratio))
        end as scope_part,
        1.0 - carried_in_ratio as carry_over_part,
        1.0 - unestimated_ratio as estimates_part,
        1.0 - flagged_ratio as unblocked_part
    from measured
)

select
    connection,
    board_id,
    sprint_id,
    sprint_name,
    state,
    provisional,
    elapsed_ratio,
    completed_ratio,
    scope_change_ratio,
    carried_in_ratio,
    unestimated_ratio,
    flagged_ratio,
    progress_part,
    scope_part,
    carry_over_part,
    estimates_part,
    unblocked_part,
    (
        coalesce(0.4 * progress_part, 0.0)
        + coalesce(0.2 * scope_part, 0.0)
        + coalesce(0.15 * carry_over_part, 0.0)
        + coalesce(0.1 * estimates_part, 0.0)
        + coalesce(0.15 * unblocked_part, 0.0)
    ) / nullif(
        case when progress_part is null then 0.0 else 0.4 end
        + case when scope_part is null then 0.0 else 0.2 end
        + case when carry_over_part is null then 0.0 else 0.15 end
        + case when estimates_part is null then 0.0 else 0.1 end
        + case when unblocked_part is null then 0.0 else 0.15 end,
        0.0
    ) as score
from parts
