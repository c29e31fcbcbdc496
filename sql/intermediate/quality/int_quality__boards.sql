-- How issues stand and stood in the columns of their boards, as the columns are today.
with mapped as (
    select connection, board_id, status_id, min(ordinal) as ordinal, min(name) as column_name
    from staging.stg_jira__board_columns
    where status_id is not null
    group by connection, board_id, status_id
),

stays as (
    select
        b.connection,
        b.issue_id,
        b.board_id,
        p.status,
        p.status_category,
        m.ordinal,
        p.from_at,
        p.to_at,
        local_date(p.from_at, coalesce(s.time_zone, 'UTC')) as day,
        lag(m.ordinal) over by_board as previous_ordinal,
        lag(p.status_category) over by_board as previous_category
    from intermediate.int_quality__issue_boards as b
    join intermediate.int_delivery__board_rules as r
        on r.connection = b.connection and r.board_id = b.board_id
    join marts.issue_status_periods as p
        on p.connection = b.connection and p.issue_id = b.issue_id
    left join mapped as m
        on m.connection = b.connection
        and m.board_id = b.board_id
        and m.status_id = p.status_id
    left join staging.stg_jira__sites as s on s.connection = b.connection
    where r.maps_statuses
    window by_board as (partition by b.connection, b.issue_id, b.board_id order by p.from_at)
),

-- Moves back to another category have a check of their own.
backwards as (
    select
        connection,
        'backwards_through_status' as check_id,
        issue_id,
        board_id,
        'moves back to an earlier column: ' || cast(count(*) as varchar) || ', the last on '
            || cast(max(day) as varchar) as evidence
    from stays
    where ordinal < previous_ordinal and status_category = previous_category
    group by connection, issue_id, board_id
),

invisible as (
    select
        connection,
        'not_visible_on_board' as check_id,
        issue_id,
        board_id,
        'in "' || coalesce(status, '?') || '" since ' || cast(day as varchar)
            || ', a status that no column of the board shows' as evidence
    from stays
    where to_at is null and ordinal is null and coalesce(status_category, '') <> 'done'
),

shared as (
    select
        b.connection,
        'issue_on_multiple_boards' as check_id,
        b.issue_id,
        'in sprints of ' || cast(count(*) as varchar) || ' boards: '
            || string_agg(coalesce(o.name, cast(b.board_id as varchar)), ', ' order by b.board_id)
            as evidence
    from intermediate.int_quality__issue_boards as b
    left join staging.stg_jira__boards as o
        on o.connection = b.connection and o.board_id = b.board_id
    where b.by_sprint
    group by b.connection, b.issue_id
    having count(*) > 1
)

select
    connection,
    check_id,
    'issue:' || cast(issue_id as varchar) || '/board:' || cast(board_id as varchar) as subject,
    issue_id,
    cast(null as bigint) as sprint_id,
    board_id,
    evidence
from backwards
union all
select
    connection,
    check_id,
    'issue:' || cast(issue_id as varchar) || '/board:' || cast(board_id as varchar) as subject,
    issue_id,
    cast(null as bigint) as sprint_id,
    board_id,
    evidence
from invisible
union all
select
    connection,
    check_id,
    'issue:' || cast(issue_id as varchar) as subject,
    issue_id,
    cast(null as bigint) as sprint_id,
    cast(null as bigint) as board_id,
    evidence
from shared
