-- The pipelines that are known, and the runs of them that are asked for: a worker claims a row, and
-- renews it while it works. Instants are RFC 3339 text in UTC.
create table pipelines (
    name text collate "C" primary key,
    -- As the process that read it last understood it, JSON.
    definition text collate "C" not null,
    -- What a person set; null: as the definition says.
    enabled bigint,
    -- The ticks up to here are accounted for in `runs` or `jobs`; null: none was looked for.
    scheduled_until text collate "C",
    seen_at text collate "C" not null
);

create table jobs (
    -- The run it is, or will be.
    run_id text collate "C" primary key,
    pipeline text collate "C" not null,
    trigger text collate "C" not null,
    -- The tick it is of, for scheduled runs.
    scheduled_for text collate "C",
    requested_at text collate "C" not null,
    -- Not to be claimed before.
    due_at text collate "C" not null,
    state text collate "C" not null check (state in ('waiting', 'running', 'done')),
    -- 1: it is to be stopped, for this reason.
    cancelled bigint not null default 0,
    reason text collate "C",
    -- Who works on it, until when without a sign of life, and what it does just now.
    token text collate "C",
    process text collate "C",
    expires_at text collate "C",
    progress text collate "C",
    -- How often it was taken over from a worker that had ended.
    takeovers bigint not null default 0,
    unique (pipeline, scheduled_for)
);

create unique index jobs_running on jobs (pipeline) where state = 'running';
create index jobs_waiting on jobs (due_at) where state = 'waiting';
create unique index runs_tick on runs (pipeline, scheduled_for) where scheduled_for is not null;
