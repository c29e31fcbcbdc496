-- Statuses of one column are one stay. A status that no column maps is a stay in no column.
with mapped as (
    select connection, board_id, status_id, max(ordinal) as ordinal, bool_or(is_last) as is_last
    from staging.stg_jira__board_columns
    where status_id is not null
    group by connection, board_id, status_id
),

judged as (
    select
        b.connection,
        b.board_id,
        b.issue_id,
        p.from_at,
        p.to_at,
        m.ordinal,
        case
            when coalesce(r.maps_statuses, false) then coalesce(m.is_last, false)
            else coalesce(p.status_category = 'done', false)
        end as is_done
    from intermediate.int_flow__board_issues as b
    join marts.issue_status_periods as p
        on p.connection = b.connection and p.issue_id = b.issue_id
    left join intermediate.int_delivery__board_rules as r
        on r.connection = b.connection and r.board_id = b.board_id
    left join mapped as m
        on m.connection = b.connection
        and m.board_id = b.board_id
        and m.status_id = p.status_id
),

compared as (
    select
        connection,
        board_id,
        issue_id,
        from_at,
        to_at,
        ordinal,
        is_done,
        case
            when lag(is_done) over by_issue = is_done
                and lag(ordinal) over by_issue is not distinct from ordinal
                then 0
            else 1
        end as begins
    from judged
    window by_issue as (partition by connection, board_id, issue_id order by from_at)
),

numbered as (
    select
        connection,
        board_id,
        issue_id,
        from_at,
        to_at,
        ordinal,
        is_done,
        sum(begins) over (
            partition by connection, board_id, issue_id
            order by from_at
            rows between unbounded preceding and current row
        ) as stay
    from compared
),

stays as (
    select
        connection,
        board_id,
        issue_id,
        stay,
        ordinal,
        is_done,
        min(from_at) as from_at,
        case when count(to_at) = count(*) then max(to_at) end as to_at
    from numbered
    group by connection, board_id, issue_id, stay, ordinal, is_done
),

furthest as (
    select
        connection,
        board_id,
        issue_id,
        stay,
        ordinal,
        is_done,
        from_at,
        to_at,
        lag(ordinal) over by_issue as ordinal_before,
        lead(ordinal) over by_issue as ordinal_after,
        max(ordinal) over (
            partition by connection, board_id, issue_id
            order by stay
            rows between unbounded preceding and 1 preceding
        ) as furthest_before
    from stays
    window by_issue as (partition by connection, board_id, issue_id order by stay)
)

select
    connection,
    board_id,
    issue_id,
    cast(stay as bigint) as stay,
    from_at,
    to_at,
    ordinal,
    is_done,
    ordinal_before,
    ordinal_after,
    furthest_before
from furthest
