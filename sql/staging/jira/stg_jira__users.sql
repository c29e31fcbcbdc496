select
    connection,
    user_id,
    display_name,
    email,
    account_type,
    is_active,
    time_zone,
    is_stub
from jira.users
where deleted_at is null
