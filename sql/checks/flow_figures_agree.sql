-- Three tables count the same issues: those done on a board, and those open in a project.
with last_days as (
    select connection, board_id, max(day) as day
    from marts.cumulative_flow_daily
    group by connection, board_id
),

right_most as (
    select connection, board_id, max(ordinal) as ordinal
    from staging.stg_jira__board_columns
    where is_last and status_id is not null
    group by connection, board_id
),

in_done as (
    select f.connection, f.board_id, f.issues
    from marts.cumulative_flow_daily as f
    join last_days as l
        on l.connection = f.connection and l.board_id = f.board_id and l.day = f.day
    join right_most as r
        on r.connection = f.connection and r.board_id = f.board_id and r.ordinal = f.ordinal
),

done as (
    select connection, board_id, sum(issues) as issues
    from marts.throughput_weekly
    group by connection, board_id
),

last_open as (
    select connection, project_id, max(day) as day
    from marts.created_vs_resolved_daily
    group by connection, project_id
),

still_open as (
    select i.connection, i.project_id, count(*) filter (where f.done_at is null) as issues
    from marts.issue_flow as f
    join staging.stg_jira__issues as i
        on i.connection = f.connection and i.issue_id = f.issue_id
    where not f.is_subtask
    group by i.connection, i.project_id
)

select d.connection, 'throughput' as figure, d.board_id as id
from in_done as d
left join done as t on t.connection = d.connection and t.board_id = d.board_id
where d.issues <> coalesce(t.issues, 0)
union all
select connection, 'cumulative flow' as figure, board_id as id
from marts.cumulative_flow_daily
where issues < 0 or cumulative_issues > high_water_issues
union all
select c.connection, 'open' as figure, c.project_id as id
from marts.created_vs_resolved_daily as c
join last_open as l
    on l.connection = c.connection and l.project_id = c.project_id and l.day = c.day
join still_open as s on s.connection = c.connection and s.project_id = c.project_id
where c.open <> s.issues
