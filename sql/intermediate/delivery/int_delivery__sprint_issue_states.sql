-- Every instant from T0 to T1 at which an issue's part in a sprint may change, and its part from then
-- on. Sub-tasks are in no total. A change at T0 belongs to the start; leaving at T1 is the
-- completion's own doing.
with members as (
    select
        s.connection,
        s.sprint_id,
        s.board_id,
        s.issue_id,
        s.started_at,
        s.ended_at
    from intermediate.int_delivery__sprint_issues as s
    join staging.stg_jira__issues as i
        on i.connection = s.connection and i.issue_id = s.issue_id
    where not coalesce(i.is_subtask, false)
),

visits as (
    select
        s.connection,
        s.sprint_id,
        s.issue_id,
        s.started_at,
        s.ended_at,
        m.entered_at,
        m.left_at
    from members as s
    join intermediate.int_delivery__sprint_membership as m
        on m.connection = s.connection
        and m.sprint_id = s.sprint_id
        and m.issue_id = s.issue_id
),

stays_in_done as (
    select
        s.connection,
        s.sprint_id,
        s.issue_id,
        s.started_at,
        s.ended_at,
        d.done_at,
        d.reopened_at
    from members as s
    join intermediate.int_delivery__done_periods as d
        on d.connection = s.connection
        and d.issue_id = s.issue_id
        and coalesce(d.board_id, -1) = coalesce(s.board_id, -1)
),

estimates as (
    select
        s.connection,
        s.sprint_id,
        s.issue_id,
        s.started_at,
        s.ended_at,
        p.story_points,
        p.from_at,
        p.to_at
    from members as s
    join marts.issue_points_periods as p
        on p.connection = s.connection and p.issue_id = s.issue_id
),

instants as (
    select connection, sprint_id, issue_id, started_at as at
    from members
    union
    select connection, sprint_id, issue_id, entered_at as at
    from visits
    where entered_at > started_at and (ended_at is null or entered_at <= ended_at)
    union
    select connection, sprint_id, issue_id, left_at as at
    from visits
    where left_at > started_at and (ended_at is null or left_at < ended_at)
    union
    select connection, sprint_id, issue_id, done_at as at
    from stays_in_done
    where done_at > started_at and (ended_at is null or done_at <= ended_at)
    union
    select connection, sprint_id, issue_id, reopened_at as at
    from stays_in_done
    where reopened_at > started_at and (ended_at is null or reopened_at <= ended_at)
    union
    select connection, sprint_id, issue_id, from_at as at
    from estimates
    where from_at > started_at and (ended_at is null or from_at <= ended_at)
),

inside as (
    select t.connection, t.sprint_id, t.issue_id, t.at
    from instants as t
    join visits as v
        on v.connection = t.connection
        and v.sprint_id = t.sprint_id
        and v.issue_id = t.issue_id
    where v.entered_at <= t.at
        and (v.left_at is null or v.left_at > t.at or coalesce(v.left_at >= v.ended_at, false))
),

done as (
    select t.connection, t.sprint_id, t.issue_id, t.at, d.done_at > d.started_at as in_sprint
    from instants as t
    join stays_in_done as d
        on d.connection = t.connection
        and d.sprint_id = t.sprint_id
        and d.issue_id = t.issue_id
    where d.done_at <= t.at and (d.reopened_at is null or d.reopened_at > t.at)
),

estimated as (
    select t.connection, t.sprint_id, t.issue_id, t.at, e.story_points
    from instants as t
    join estimates as e
        on e.connection = t.connection
        and e.sprint_id = t.sprint_id
        and e.issue_id = t.issue_id
    where e.from_at <= t.at and (e.to_at is null or e.to_at > t.at)
)

select
    t.connection,
    t.sprint_id,
    t.issue_id,
    t.at,
    i.issue_id is not null as is_in_sprint,
    i.issue_id is not null and d.issue_id is null as is_remaining,
    i.issue_id is not null and coalesce(d.in_sprint, false) as is_completed,
    e.story_points
from instants as t
left join inside as i
    on i.connection = t.connection
    and i.sprint_id = t.sprint_id
    and i.issue_id = t.issue_id
    and i.at = t.at
left join done as d
    on d.connection = t.connection
    and d.sprint_id = t.sprint_id
    and d.issue_id = t.issue_id
    and d.at = t.at
left join estimated as e
    on e.connection = t.connection
    and e.sprint_id = t.sprint_id
    and e.issue_id = t.issue_id
    and e.at = t.at
