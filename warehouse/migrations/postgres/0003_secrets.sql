-- Secrets that sources hand out and that must outlive a run. `sealed` is a nonce and what AES-256-GCM
-- makes of the text with the key named by `key_id`; `origin` tells from which setting the secret comes.
create table secrets (
    connection text collate "C" not null,
    name text collate "C" not null,
    origin text collate "C" not null,
    key_id text collate "C" not null,
    sealed bytea not null,
    written_at text collate "C" not null,
    primary key (connection, name)
);
