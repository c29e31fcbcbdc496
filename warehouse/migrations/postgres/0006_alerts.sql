-- Alerts: one row for each that a channel is to tell, kept until it is told or given up.
-- Instants are RFC 3339 text in UTC.
create table alerts (
    -- Sorts by when it was raised.
    alert_id text primary key,
    channel text not null,
    kind text not null,
    severity text not null,
    -- What makes two alerts the same condition.
    dedupe_key text not null,
    -- The alert that this one tells the end of.
    resolves text,
    subject text not null,
    -- Lines, as a JSON array.
    lines text not null,
    pipeline text,
    run_id text,
    connection text,
    link text,
    occurred_at text not null,
    raised_at text not null,
    state text not null check (state in ('pending', 'delivered', 'failed')),
    attempts bigint not null default 0,
    -- Not to be told before; of one that is being told, when its teller is given up.
    due_at text not null,
    -- Who tells it.
    claim text,
    finished_at text,
    -- Why it was given up or is late.
    reason text,
    -- When the condition was over.
    closed_at text
);

-- A condition is told once to a channel until it is over.
create unique index alerts_open on alerts (channel, dedupe_key) where closed_at is null;
create index alerts_pending on alerts (channel, due_at) where state = 'pending';
create index alerts_finished on alerts (finished_at);
