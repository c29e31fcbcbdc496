-- The pipelines that are known, and the runs of them that are asked for: a worker claims a row, and
-- renews it while it works. Instants are RFC 3339 text in UTC.
create table pipelines (
    name text primary key,
    -- As the process that read it last understood it, JSON.
    definition text not null,
    -- What a person set; null: as the definition says.
    enabled integer,
    -- The ticks up to here are accounted for in `runs` or `jobs`; null: none was looked for.
    scheduled_until text,
    seen_at text not null
);

create table jobs (
    -- The run it is, or will be.
    run_id text primary key,
    pipeline text not null,
    trigger text not null,
    -- The tick it is of, for scheduled runs.
    scheduled_for text,
    requested_at text not null,
    -- Not to be claimed before.
    due_at text not null,
    state text not null check (state in ('waiting', 'running', 'done')),
    -- 1: it is to be stopped, for this reason.
    cancelled integer not null default 0,
    reason text,
    -- Who works on it, until when without a sign of life, and what it does just now.
    token text,
    process text,
    expires_at text,
    progress text,
    -- How often it was taken over from a worker that had ended.
    takeovers integer not null default 0,
    unique (pipeline, scheduled_for)
);

create unique index jobs_running on jobs (pipeline) where state = 'running';
create index jobs_waiting on jobs (due_at) where state = 'waiting';
create unique index runs_tick on runs (pipeline, scheduled_for) where scheduled_for is not null;
