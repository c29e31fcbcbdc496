-- What was known at the instant, of the issues that were ever in the sprint.
select
    p.connection,
    p.issue_id,
    p.assignee_id,
    p.from_at,
    case when p.to_at <= cast($2 as timestamp with time zone) then p.to_at end as to_at
from marts.issue_assignee_periods as p
where p.from_at <= cast($2 as timestamp with time zone)
    and exists (
        select 1
        from intermediate.int_delivery__sprint_membership as m
        where m.connection = p.connection and m.issue_id = p.issue_id and m.sprint_id = $1
    )
