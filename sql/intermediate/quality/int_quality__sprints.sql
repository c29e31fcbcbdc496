with windows as (
    select
        w.connection,
        w.sprint_id,
        w.board_id,
        w.sprint_name,
        w.state,
        w.started_at,
        w.planned_end_at,
        w.completed_at,
        t.data_time,
        coalesce(w.ended_at, greatest(w.started_at, t.data_time)) as until_at,
        coalesce(s.time_zone, 'UTC') as time_zone
    from intermediate.int_delivery__sprint_windows as w
    left join intermediate.int_delivery__data_time as t on t.connection = w.connection
    left join staging.stg_jira__sites as s on s.connection = w.connection
),

open_ended as (
    select
        connection,
        'sprint_never_closed' as check_id,
        sprint_id,
        board_id,
        case
            when state = 'closed' then 'closed, but the source tells no instant of completion'
            else 'still active '
                || cast(
                    cast(
                        floor(
                            (date_part('epoch', data_time) - date_part('epoch', planned_end_at))
                            / 86400.0
                        ) as bigint
                    ) as varchar
                ) || ' days after its planned end on '
                || cast(local_date(planned_end_at, time_zone) as varchar)
        end as evidence
    from windows
    where (state = 'closed' and completed_at is null)
        or (state = 'active' and planned_end_at <= data_time - interval '7 days')
),

-- Told of the later one. A board may run sprints side by side, but then velocity counts each alone.
overlapping as (
    select
        b.connection,
        'overlapping_sprints' as check_id,
        b.sprint_id,
        b.board_id,
        'started on ' || cast(local_date(min(b.started_at), min(b.time_zone)) as varchar)
            || ' while these were running: ' || string_agg(
                coalesce(a.sprint_name, cast(a.sprint_id as varchar)), ', ' order by a.sprint_id
            ) as evidence
    from windows as b
    join windows as a
        on a.connection = b.connection and a.board_id = b.board_id
    where a.sprint_id <> b.sprint_id
        and b.started_at < a.until_at
        and (
            a.started_at < b.started_at
            or (a.started_at = b.started_at and a.sprint_id < b.sprint_id)
        )
    group by b.connection, b.sprint_id, b.board_id
)

select
    connection,
    check_id,
    'sprint:' || cast(sprint_id as varchar) as subject,
    cast(null as bigint) as issue_id,
    sprint_id,
    board_id,
    evidence
from open_ended
union all
select
    connection,
    check_id,
    'sprint:' || cast(sprint_id as varchar) as subject,
    cast(null as bigint) as issue_id,
    sprint_id,
    board_id,
    evidence
from overlapping
