select
    connection,
    user_id,
    display_name,
    email,
    account_type,
    is_active,
    time_zone
from jira.users
where deleted_at is null
