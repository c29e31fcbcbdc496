//! The room of the scheduled jobs, above ingest and transform; see the README.
