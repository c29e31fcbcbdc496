-- With what was deleted since: it was there.
select
    connection,
    board_id,
    ordinal,
    status_key,
    name,
    status_id,
    is_last,
    valid_from,
    valid_to,
    is_initial
from jira.board_columns_history
