-- The field that plays the part of the owner is in no column: it is taken from the issue as the source
-- sent it. It may hold a person, an option or a text; of several the first.
with owner_fields as (
    select connection, '"' || min(field_id) || '":' as json_key
    from staging.stg_jira__fields
    where role = 'owner'
    group by connection
),

sent as (
    select
        i.connection,
        i.issue_id,
        ltrim(
            substr(i.fields_json, strpos(i.fields_json, f.json_key) + length(f.json_key)), ' ['
        ) as rest
    from staging.stg_jira__issues as i
    join owner_fields as f on f.connection = i.connection
    where strpos(i.fields_json, f.json_key) > 0
),

-- The value alone: a string, or an object whose parts may be objects. Quotes in strings are escaped.
cut as (
    select
        connection,
        issue_id,
        regexp_match(
            rest,
            '^(\{(?:[^{}"]|"(?:[^"\\]|\\.)*"|\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\})*\}|"(?:[^"\\]|\\.)*")'
        )[1] as value
    from sent
    where starts_with(rest, '{') or starts_with(rest, '"')
),

parts as (
    select
        connection,
        issue_id,
        coalesce(
            regexp_match(value, '"accountId"\s*:\s*"([^"]+)"')[1],
            regexp_match(value, '"key"\s*:\s*"([^"]+)"')[1],
            regexp_match(value, '"id"\s*:\s*"([^"]+)"')[1],
            regexp_match(value, '"name"\s*:\s*"([^"]+)"')[1]
        ) as owner_id,
        coalesce(
            regexp_match(value, '"value"\s*:\s*"((?:[^"\\]|\\.)*)"')[1],
            regexp_match(value, '"displayName"\s*:\s*"((?:[^"\\]|\\.)*)"')[1],
            regexp_match(value, '"name"\s*:\s*"((?:[^"\\]|\\.)*)"')[1],
            regexp_match(value, '^"((?:[^"\\]|\\.)*)"$')[1]
        ) as owner
    from cut
)

select
    connection,
    issue_id,
    owner_id,
    nullif(replace(replace(owner, '\"', '"'), '\\', '\'), '') as owner
from parts
where owner_id is not null or owner <> ''
