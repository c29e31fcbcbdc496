-- When an issue was done by the rules of a board: in its right-most column or, where the board maps
-- no status, in category done. Moving between two done statuses is no new completion.
with pairs as (
    select distinct connection, board_id, issue_id
    from intermediate.int_delivery__sprint_issues
),

last_column as (
    select distinct connection, board_id, status_id
    from staging.stg_jira__board_columns
    where is_last and status_id is not null
),

judged as (
    select
        p.connection,
        p.board_id,
        p.issue_id,
        s.from_at,
        s.to_at,
        case
            when coalesce(r.maps_statuses, false) then c.status_id is not null
            else coalesce(s.status_category = 'done', false)
        end as is_done
    from pairs as p
    join marts.issue_status_periods as s
        on s.connection = p.connection and s.issue_id = p.issue_id
    left join intermediate.int_delivery__board_rules as r
        on r.connection = p.connection and r.board_id = p.board_id
    left join last_column as c
        on c.connection = p.connection
        and c.board_id = p.board_id
        and c.status_id = s.status_id
),

compared as (
    select
        connection,
        board_id,
        issue_id,
        from_at,
        to_at,
        is_done,
        case when lag(is_done) over by_issue = is_done then 0 else 1 end as begins
    from judged
    window by_issue as (
        partition by connection, coalesce(board_id, -1), issue_id order by from_at
    )
),

numbered as (
    select
        connection,
        board_id,
        issue_id,
        from_at,
        to_at,
        is_done,
        sum(begins) over (
            partition by connection, coalesce(board_id, -1), issue_id
            order by from_at
            rows between unbounded preceding and current row
        ) as stay
    from compared
)

select
    connection,
    board_id,
    issue_id,
    min(from_at) as done_at,
    case when count(to_at) = count(*) then max(to_at) end as reopened_at
from numbered
where is_done
group by connection, board_id, issue_id, stay
