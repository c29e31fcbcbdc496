-- Version of the mapping that refused the record; 0 for records from before it was noted.
alter table quarantine add column mapping_version bigint not null default 0;

-- What a step says beside its numbers, JSON: issues by project, notes.
alter table steps add column details text collate "C";
