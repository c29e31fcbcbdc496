select
    connection,
    time_zone
from jira.sites
where deleted_at is null
