-- Boards of the sprints it is in; of an issue that is in none, the boards of its project.
with of_sprints as (
    select distinct i.connection, i.issue_id, w.board_id
    from (
        select connection, issue_id, unnest(sprint_ids) as sprint_id
        from staging.stg_jira__issues
    ) as i
    join intermediate.int_delivery__sprint_windows as w
        on w.connection = i.connection and w.sprint_id = i.sprint_id
    where w.board_id is not null
),

planned as (
    select distinct connection, issue_id from of_sprints
)

select connection, issue_id, board_id, true as by_sprint
from of_sprints
union all
select i.connection, i.issue_id, b.board_id, false as by_sprint
from staging.stg_jira__issues as i
join staging.stg_jira__boards as b
    on b.connection = i.connection and b.project_id = i.project_id
left join planned as p on p.connection = i.connection and p.issue_id = i.issue_id
where p.issue_id is null
