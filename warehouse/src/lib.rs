//! Storage and query engine: raw zone, Delta tables, releases, metadata, sessions, query service.
//!
//! [`Warehouse::open`] is the one entry. Everything that touches an object store, a Delta table, a
//! DataFusion session or the metadata database does so through the handles it gives out; no other
//! crate opens them itself.

mod catalog;
mod error;
pub mod events;
pub mod fault;
mod key;
pub mod maintenance;
pub mod meta;
mod query;
mod raw;
mod release;
mod session;
mod store;
mod system;
mod tables;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use catalog::{Catalog, ColumnDoc, Metric, ModelDoc};
pub use error::{Error, Result};
pub use events::{Event, Events};
pub use key::SecretKey;
pub use meta::{Lease, MetaDb, MetadataOptions, Source, Step};
pub use query::{
    Command, Description, Origin, Param, QueryOptions, QueryService, QueryStream, commands,
};
pub use raw::{RawFile, RawZone};
pub use release::{
    CheckOutcome, ModelState, NewRelease, Release, ReleaseSummary, Releases, TableFunction,
    TableState,
};
pub use session::{POSTGRES_VERSION, Sessions, Snapshot, TableSource, blank, set};
pub use store::{Store, StoreOptions};
pub use tables::{Changes, Commit, Keys, Tables, Written, batch_to_rows, rows_to_batch};

/// Name of the lease on the tables of the models and on what is published: whoever writes them holds it.
pub const MODELS_LEASE: &str = "models";

/// Where the warehouse keeps its data and what it may use.
#[derive(Clone)]
pub struct Config {
    /// Lake: `file:PATH` or `s3://BUCKET/PREFIX`.
    pub store_url: String,
    /// What the store needs beside its URL.
    pub store_options: StoreOptions,
    /// Metadata database: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`.
    pub metadata_url: String,
    /// Redis that carries events between processes, `redis://…`; empty: they stay in this process.
    pub redis_url: String,
    /// What the metadata database needs beside its URL.
    pub metadata_options: MetadataOptions,
    /// Key that secrets are stored with; without one, none can be.
    pub key: Option<SecretKey>,
    /// Memory that running queries and refreshes may hold, in bytes; beyond it they spill.
    pub memory_bytes: usize,
    /// Folder for spilled data; the system's temporary folder when empty.
    pub spill_dir: Option<PathBuf>,
    /// Longest time a query may take.
    pub query_deadline: Duration,
    /// Most rows a query may return.
    pub query_rows: u64,
    /// Longest query text, in bytes.
    pub query_bytes: usize,
    /// Most queries that run at once; others wait.
    pub query_slots: usize,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address of the metadata database may hold a password.
        f.debug_struct("Config")
            .field("store_url", &self.store_url)
            .field("store_options", &self.store_options)
            .field("metadata_options", &self.metadata_options)
            .field("key", &self.key)
            .field("memory_bytes", &self.memory_bytes)
            .field("query_deadline", &self.query_deadline)
            .finish_non_exhaustive()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store_url: "file:./data/lake".to_string(),
            store_options: StoreOptions::default(),
            metadata_url: "sqlite:./data/meta.db".to_string(),
            redis_url: String::new(),
            metadata_options: MetadataOptions::default(),
            key: None,
            memory_bytes: 512 << 20,
            spill_dir: None,
            query_deadline: Duration::from_secs(300),
            query_rows: 10_000_000,
            query_bytes: 256 << 10,
            query_slots: 32,
        }
    }
}

/// The lake and its metadata. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Warehouse {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    raw: RawZone,
    tables: Tables,
    releases: Releases,
    meta: MetaDb,
    sessions: Sessions,
    query: QueryService,
    events: Events,
}

impl Warehouse {
    /// Opens the lake and the metadata database, creating both where they don't exist.
    pub async fn open(config: &Config) -> Result<Self> {
        let store = Store::open(&config.store_url, &config.store_options).await?;
        let events = Events::open(&config.redis_url, &config.store_url)?;
        let meta = MetaDb::open(
            &config.metadata_url,
            config.key.clone(),
            &config.metadata_options,
        )
        .await?
        .with_events(events.clone());
        let raw = RawZone::new(store.clone());
        let runtime = session::runtime(config)?;
        let tables = Tables::new(store.clone(), Arc::clone(&runtime));
        let releases = Releases::new(store, events.clone());
        let log = query::QueryLog::default();
        let sessions = Sessions::new(
            runtime,
            tables.clone(),
            raw.clone(),
            system::System {
                meta: meta.clone(),
                releases: releases.clone(),
                queries: log.clone(),
            },
        );
        let query = QueryService::new(config, sessions.clone(), releases.clone(), log);
        Ok(Self {
            inner: Arc::new(Inner {
                raw,
                tables,
                releases,
                meta,
                sessions,
                query,
                events,
            }),
        })
    }

    /// Records of the sources exactly as received.
    pub fn raw(&self) -> &RawZone {
        &self.inner.raw
    }

    /// The Delta tables.
    pub fn tables(&self) -> &Tables {
        &self.inner.tables
    }

    /// The published releases.
    pub fn releases(&self) -> &Releases {
        &self.inner.releases
    }

    /// Runs, steps, sources, quarantine, the inbox, leases, secrets.
    pub fn meta(&self) -> &MetaDb {
        &self.inner.meta
    }

    /// Sessions over a chosen set of table versions.
    pub fn sessions(&self) -> &Sessions {
        &self.inner.sessions
    }

    /// What has just happened.
    pub fn events(&self) -> &Events {
        &self.inner.events
    }

    /// Read-only queries over a release.
    pub fn query(&self) -> &QueryService {
        &self.inner.query
    }
}
