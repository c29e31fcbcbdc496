-- Links have no history: this is today's. A blocker that we don't read says nothing.
with blocking as (
    select
        l.connection,
        case
            when lower(t.outward) like '%blocked by%' then l.target_issue_id
            else l.source_issue_id
        end as blocker_id,
        case
            when lower(t.outward) like '%blocked by%' then l.source_issue_id
            else l.target_issue_id
        end as issue_id
    from staging.stg_jira__issue_links as l
    left join staging.stg_jira__link_types as t
        on t.connection = l.connection and t.link_type_id = l.link_type_id
    where lower(t.inward) like '%blocked by%'
        or lower(t.outward) like '%blocked by%'
        or (t.link_type_id is null and lower(l.link_type) = 'blocks')
)

select
    b.connection,
    b.issue_id,
    count(distinct b.blocker_id) as blockers
from blocking as b
join marts.issue_status_periods as p
    on p.connection = b.connection and p.issue_id = b.blocker_id and p.to_at is null
where p.status_category is distinct from 'done'
group by b.connection, b.issue_id
