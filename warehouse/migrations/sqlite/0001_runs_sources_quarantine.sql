-- Runs of pipelines and commands, their steps, what is known of the sources, refused records.
-- Instants are RFC 3339 text in UTC.
create table runs (
    run_id text primary key,
    pipeline text not null,
    trigger text not null,
    status text not null check (status in ('running', 'succeeded', 'failed', 'skipped', 'cancelled')),
    reason text,
    process text not null,
    scheduled_for text,
    started_at text not null,
    finished_at text
);

create table steps (
    run_id text not null references runs (run_id),
    step text not null,
    status text not null,
    attempts integer not null,
    rows_in integer not null,
    rows_out integer not null,
    bytes integer not null,
    requests integer not null,
    retries integer not null,
    started_at text not null,
    finished_at text not null,
    error text,
    primary key (run_id, step)
);

create table sources (
    connection text primary key,
    kind text not null,
    url text not null,
    time_zone text not null,
    -- The source's own clock when the last complete sync began: data is complete up to here.
    source_time text not null,
    synced_at text not null
);

create table quarantine (
    connection text not null,
    stream text not null,
    key text not null,
    run_id text not null,
    error text not null,
    payload text not null,
    seen_at text not null,
    primary key (connection, stream, key)
);
