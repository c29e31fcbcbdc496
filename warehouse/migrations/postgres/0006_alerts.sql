-- Alerts: one row for each that a channel is to tell, kept until it is told or given up.
-- Instants are RFC 3339 text in UTC.
create table alerts (
    -- Sorts by when it was raised.
    alert_id text collate "C" primary key,
    channel text collate "C" not null,
    kind text collate "C" not null,
    severity text collate "C" not null,
    -- What makes two alerts the same condition.
    dedupe_key text collate "C" not null,
    -- The alert that this one tells the end of.
    resolves text collate "C",
    subject text collate "C" not null,
    -- Lines, as a JSON array.
    lines text collate "C" not null,
    pipeline text collate "C",
    run_id text collate "C",
    connection text collate "C",
    link text collate "C",
    occurred_at text collate "C" not null,
    raised_at text collate "C" not null,
    state text collate "C" not null check (state in ('pending', 'delivered', 'failed')),
    attempts bigint not null default 0,
    -- Not to be told before; of one that is being told, when its teller is given up.
    due_at text collate "C" not null,
    -- Who tells it.
    claim text collate "C",
    finished_at text collate "C",
    -- Why it was given up or is late.
    reason text collate "C",
    -- When the condition was over.
    closed_at text collate "C"
);

-- A condition is told once to a channel until it is over.
create unique index alerts_open on alerts (channel, dedupe_key) where closed_at is null;
create index alerts_pending on alerts (channel, due_at) where state = 'pending';
create index alerts_finished on alerts (finished_at);
