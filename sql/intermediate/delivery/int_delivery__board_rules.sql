-- Whether a board says by its columns what is done, and whether it estimates in points.
with mapped as (
    select connection, board_id, count(status_id) as statuses
    from staging.stg_jira__board_columns
    group by connection, board_id
)

select
    b.connection,
    b.board_id,
    b.name as board_name,
    coalesce(m.statuses, 0) > 0 as maps_statuses,
    case
        when b.estimation_type is null then null
        else b.estimation_type = 'field'
            and coalesce(b.estimation_field_id, '') not in ('', 'timeoriginalestimate', 'timeestimate')
    end as estimates_in_points
from staging.stg_jira__boards as b
left join mapped as m on m.connection = b.connection and m.board_id = b.board_id
