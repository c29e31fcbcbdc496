-- Secrets that sources hand out and that must outlive a run. `sealed` is a nonce and what AES-256-GCM
-- makes of the text with the key named by `key_id`; `origin` tells from which setting the secret comes.
create table secrets (
    connection text not null,
    name text not null,
    origin text not null,
    key_id text not null,
    sealed blob not null,
    written_at text not null,
    primary key (connection, name)
);
