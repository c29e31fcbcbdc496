-- A board's filter is today's, and says nothing of what it showed before. What the data does know:
-- the project that the board is located in, and every sprint of the board there ever was.
with of_project as (
    select b.connection, b.board_id, i.issue_id
    from staging.stg_jira__boards as b
    join staging.stg_jira__issues as i
        on i.connection = b.connection and i.project_id = b.project_id
),

by_key as (
    select b.connection, b.board_id, i.issue_id
    from staging.stg_jira__boards as b
    join staging.stg_jira__issues as i
        on i.connection = b.connection and i.project_key = b.project_key
    where b.project_id is null
),

of_sprints as (
    select w.connection, w.board_id, m.issue_id
    from intermediate.int_delivery__sprint_windows as w
    join intermediate.int_delivery__sprint_membership as m
        on m.connection = w.connection and m.sprint_id = w.sprint_id
    where w.board_id is not null
),

together as (
    select connection, board_id, issue_id from of_project
    union
    select connection, board_id, issue_id from by_key
    union
    select connection, board_id, issue_id from of_sprints
)

select t.connection, t.board_id, t.issue_id
from together as t
join staging.stg_jira__issues as i on i.connection = t.connection and i.issue_id = t.issue_id
where not coalesce(i.is_subtask, false)
