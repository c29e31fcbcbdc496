-- The one place that says which statuses wait: a word of the status's name. A status in progress
-- whose name says nothing of the kind is one in which somebody works.
with named as (
    select distinct connection, name as status
    from staging.stg_jira__statuses
),

matched as (
    select
        connection,
        status,
        (regexp_match(
            ' ' || regexp_replace(lower(status), '[^a-z]+', ' ', 'g') || ' ',
            ' (blocked|impeded|impediment|wait|waits|waiting|awaits|awaiting|hold|pending|queue|queued|ready|pause|paused|parked|suspended|stalled|deferred) '
        ))[1] as waiting_word
    from named
)

select
    connection,
    status,
    waiting_word is not null as says_waiting,
    waiting_word
from matched
