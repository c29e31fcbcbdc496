select *
from staging.stg_jira__issues
where created_at <= cast($2 as timestamp with time zone)
