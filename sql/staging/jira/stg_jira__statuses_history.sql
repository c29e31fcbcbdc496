select
    connection,
    status_id,
    name,
    category,
    valid_from,
    valid_to,
    is_initial,
    deleted_at
from jira.statuses_history
