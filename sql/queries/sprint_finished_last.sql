-- The sprint that was finished last and had a commitment.
select s.connection, s.sprint_id
from marts.sprint_metrics as s
where s.state = 'closed' and s.committed_issues > 0
order by s.ended_at desc, s.connection, s.sprint_id
limit 1
