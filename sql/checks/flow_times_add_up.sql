select connection, issue_id
from marts.issue_flow
where abs(active_hours + waiting_hours - cycle_time_hours) > 0.001
    or blocked_hours > waiting_hours + 0.001
    or (done_at is not null and coalesce(cycle_time_wipe_hours > cycle_time_hours + 0.001, false))
    or started_at < created_at
    or done_at < coalesce(started_at, created_at)
    or first_done_at > done_at
    or flow_efficiency < 0
    or flow_efficiency > 1
    or (reopened_count = 0 and done_at is distinct from first_done_at)
