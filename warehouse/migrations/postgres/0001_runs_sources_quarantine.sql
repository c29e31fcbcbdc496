-- Runs of pipelines and commands, their steps, what is known of the sources, refused records.
-- Instants are RFC 3339 text in UTC, of one width; text compares byte by byte, as in SQLite.
create table runs (
    run_id text collate "C" primary key,
    pipeline text collate "C" not null,
    trigger text collate "C" not null,
    status text collate "C" not null check (status in ('running', 'succeeded', 'failed', 'skipped', 'cancelled')),
    reason text collate "C",
    process text collate "C" not null,
    scheduled_for text collate "C",
    started_at text collate "C" not null,
    finished_at text collate "C"
);

create table steps (
    run_id text collate "C" not null references runs (run_id),
    step text collate "C" not null,
    status text collate "C" not null,
    attempts bigint not null,
    rows_in bigint not null,
    rows_out bigint not null,
    bytes bigint not null,
    requests bigint not null,
    retries bigint not null,
    started_at text collate "C" not null,
    finished_at text collate "C" not null,
    error text collate "C",
    primary key (run_id, step)
);

create table sources (
    connection text collate "C" primary key,
    kind text collate "C" not null,
    url text collate "C" not null,
    time_zone text collate "C" not null,
    -- The source's own clock when the last complete sync began: data is complete up to here.
    source_time text collate "C" not null,
    synced_at text collate "C" not null
);

create table quarantine (
    connection text collate "C" not null,
    stream text collate "C" not null,
    key text collate "C" not null,
    run_id text collate "C" not null,
    error text collate "C" not null,
    payload text collate "C" not null,
    seen_at text collate "C" not null,
    primary key (connection, stream, key)
);
