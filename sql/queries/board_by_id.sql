-- The boards of all connections that have this id.
select connection, board_id, name as board_name
from staging.stg_jira__boards
where board_id = $board_id and ($connection is null or connection = $connection)
order by connection
