-- A sprint counts on its origin board only, so that no sum over boards counts it twice.
with sprints as (
    select
        connection,
        board_id,
        sprint_id,
        state,
        ended_at > started_at as lasted,
        -- Newest first; active sprints have no number.
        case
            when state = 'closed' and ended_at > started_at then row_number() over (
                partition by connection, board_id, state, ended_at > started_at
                order by ended_at desc, sprint_id desc
            )
        end as age
    from marts.sprint_metrics
    where board_id is not null
),

boards as (
    select
        connection,
        board_id,
        count(*) filter (where state = 'closed') as board_sprints,
        count(*) filter (where age <= 3) as last_3,
        count(*) filter (where age <= 6) as last_6
    from sprints
    group by connection, board_id
),

parts as (
    select
        s.connection,
        s.board_id,
        p.project_key,
        max(p.project_id) as project_id,
        count(*) filter (where s.state = 'closed') as sprints,
        count(*) filter (where s.state = 'active') as active_sprints,
        sum(p.committed_issues) filter (where s.state = 'closed') as committed_issues,
        sum(p.committed_points) filter (where s.state = 'closed') as committed_points,
        sum(p.completed_issues) filter (where s.state = 'closed') as completed_issues,
        sum(p.completed_points) filter (where s.state = 'closed') as completed_points,
        sum(p.not_completed_issues) filter (where s.state = 'closed') as not_completed_issues,
        sum(p.not_completed_points) filter (where s.state = 'closed') as not_completed_points,
        sum(p.added_issues) filter (where s.state = 'closed') as added_issues,
        sum(p.added_points) filter (where s.state = 'closed') as added_points,
        sum(p.removed_issues) filter (where s.state = 'closed') as removed_issues,
        sum(p.removed_points) filter (where s.state = 'closed') as removed_points,
        sum(p.carried_over_issues) filter (where s.state = 'closed') as carried_over_issues,
        sum(p.carried_over_points) filter (where s.state = 'closed') as carried_over_points,
        sum(p.say_do_ratio * p.committed_points) filter (where s.state = 'closed') as kept_points,
        sum(p.completed_points) filter (where s.age <= 3) as points_3,
        sum(p.completed_points) filter (where s.age <= 6) as points_6,
        sum(p.completed_issues + p.completed_outside_issues) filter (where s.state = 'active')
            as active_done_issues,
        sum(p.not_completed_issues) filter (where s.state = 'active') as active_remaining_issues,
        sum(p.completed_points) filter (where s.state = 'active') as active_completed_points,
        sum(p.not_completed_points) filter (where s.state = 'active') as active_remaining_points,
        sum(p.flagged_issues) filter (where s.state = 'active') as active_flagged_issues,
        -- What the project had in the board's sprints.
        sum(p.completed_issues + p.completed_outside_issues + p.not_completed_issues) as issues,
        sum(p.completed_points + p.completed_outside_points + p.not_completed_points) as points
    from marts.project_sprint_metrics as p
    join sprints as s on s.connection = p.connection and s.sprint_id = p.sprint_id
    group by s.connection, s.board_id, p.project_key
),

shared as (
    select
        connection,
        board_id,
        project_key,
        count(*) over by_board > 1 as is_shared_board,
        cast(issues as double)
            / nullif(cast(sum(issues) over by_board as double), 0.0) as issue_share,
        points / nullif(sum(points) over by_board, 0.0) as point_share
    from parts
    window by_board as (partition by connection, board_id)
),

weighed as (
    select
        connection,
        board_id,
        project_key,
        is_shared_board,
        issue_share,
        point_share,
        -- Without points, the issues alone.
        coalesce(0.7 * point_share + 0.3 * issue_share, issue_share) as weight
    from shared
)

select
    p.connection,
    p.board_id,
    b.board_name,
    p.project_id,
    p.project_key,
    j.name as project_name,
    w.is_shared_board,
    p.sprints,
    p.active_sprints,
    coalesce(p.committed_issues, 0) as committed_issues,
    coalesce(p.committed_points, 0.0) as committed_points,
    coalesce(p.completed_issues, 0) as completed_issues,
    coalesce(p.completed_points, 0.0) as completed_points,
    coalesce(p.not_completed_issues, 0) as not_completed_issues,
    coalesce(p.not_completed_points, 0.0) as not_completed_points,
    coalesce(p.added_issues, 0) as added_issues,
    coalesce(p.added_points, 0.0) as added_points,
    coalesce(p.removed_issues, 0) as removed_issues,
    coalesce(p.removed_points, 0.0) as removed_points,
    coalesce(p.carried_over_issues, 0) as carried_over_issues,
    coalesce(p.carried_over_points, 0.0) as carried_over_points,
    cast(p.completed_issues as double)
        / nullif(cast(p.completed_issues + p.not_completed_issues as double), 0.0)
        as completion_ratio,
    coalesce(p.kept_points, 0.0) / nullif(p.committed_points, 0.0) as say_do_ratio,
    coalesce(p.points_3, 0.0) / nullif(cast(c.last_3 as double), 0.0) as velocity_mean_3,
    coalesce(p.points_6, 0.0) / nullif(cast(c.last_6 as double), 0.0) as velocity_mean_6,
    coalesce(p.active_done_issues, 0) as active_done_issues,
    coalesce(p.active_remaining_issues, 0) as active_remaining_issues,
    coalesce(p.active_completed_points, 0.0) as active_completed_points,
    coalesce(p.active_remaining_points, 0.0) as active_remaining_points,
    coalesce(p.active_flagged_issues, 0) as active_flagged_issues,
    w.issue_share,
    w.point_share,
    w.weight,
    row_number() over (
        partition by p.connection, p.board_id order by w.weight desc nulls last, p.project_key
    ) = 1 as is_primary
from parts as p
join boards as c on c.connection = p.connection and c.board_id = p.board_id
join weighed as w
    on w.connection = p.connection and w.board_id = p.board_id and w.project_key = p.project_key
left join intermediate.int_delivery__board_rules as b
    on b.connection = p.connection and b.board_id = p.board_id
left join staging.stg_jira__projects as j
    on j.connection = p.connection and j.project_id = p.project_id
