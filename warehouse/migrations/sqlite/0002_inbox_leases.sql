-- Events that sources sent, kept until they are worked off; and who holds what for itself.
-- Instants are RFC 3339 text in UTC.
create table inbox (
    event_id integer primary key autoincrement,
    connection text not null,
    -- What makes two deliveries the same event.
    identifier text not null,
    -- Kind of event, once it was read.
    kind text,
    state text not null check (state in ('pending', 'done', 'refused')),
    attempts integer not null default 0,
    received_at text not null,
    -- Not to be worked off before.
    due_at text not null,
    finished_at text,
    -- Version of the reader that refused it: a newer one tries again.
    reader integer,
    reason text,
    -- How often and why the source had sent it before; which of its queues it came from.
    retry text,
    flow text,
    bytes integer not null,
    body blob not null,
    unique (connection, identifier)
);

create index inbox_pending on inbox (connection, due_at, bytes) where state = 'pending';
create index inbox_finished on inbox (finished_at) where state = 'done';

create table leases (
    name text primary key,
    token text not null,
    purpose text not null,
    process text not null,
    taken_at text not null,
    expires_at text not null
);
