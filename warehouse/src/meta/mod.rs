//! The metadata database: runs, steps, sources, quarantine, the inbox, leases, secrets. SQLite or
//! PostgreSQL, reached through sqlx; every statement is written once, for both.

mod alert;
mod cleanup;
pub(crate) mod db;
mod inbox;
mod lease;
mod migrate;
mod place;
mod queue;
mod run;
mod secret;
mod snapshot;
mod source;
mod state;
mod transfer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use crate::{Error, Events, Result, SecretKey};
use db::{Db, Reads, Replica, Use};
use place::Place;

pub use alert::{AlertRow, ClaimedAlert, NewAlert};
pub use inbox::{Accepted, FinishedEvent, InboxCount, InboxEvent, InboxLimits, InboxRow, NewEvent};
pub use lease::Lease;
pub use queue::{Beat, CLAIM_LIFE, Claim, Job, PipelineRow, Tick};
pub use run::{RunRow, Step, StepRow};
pub use secret::SecretPlace;
pub(crate) use snapshot::SnapshotPlace;
pub use source::{Quarantined, Source};
pub use state::{MetaState, ReplicaState};

/// Connections to a SQLite file: it has one writer at a time anyway.
const SQLITE_CONNECTIONS: u32 = 4;
/// Longest text that identifies something; an index entry of PostgreSQL takes no more than 2,704 bytes.
const LONGEST_NAME: usize = 800;

/// What the metadata database needs beside its URL.
#[derive(Clone)]
pub struct MetadataOptions {
    /// Read-only copies: `postgres://USER@HOST/DATABASE`.
    pub replicas: Vec<String>,
    /// Password, for addresses that have none.
    pub password: Option<String>,
    /// Most connections to PostgreSQL that this process holds, and to each of its copies.
    pub connections: u32,
}

impl Default for MetadataOptions {
    fn default() -> Self {
        Self {
            replicas: Vec::new(),
            password: None,
            connections: 8,
        }
    }
}

impl fmt::Debug for MetadataOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataOptions")
            .field("replicas", &self.replicas.len())
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("connections", &self.connections)
            .finish()
    }
}

/// Handle of the metadata database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MetaDb {
    pool: Db,
    /// Its commits are on the disk before they return; those of the pool survive a kill, but the last
    /// of them not a loss of power.
    durable: Db,
    /// For reads that may be a little late.
    reads: Reads,
    place: Place,
    /// Told of every event that this process accepts.
    arrived: Arc<Notify>,
    key: Option<SecretKey>,
    /// Told of runs.
    events: Option<Events>,
}

impl MetaDb {
    pub(crate) async fn open(
        url: &str,
        key: Option<SecretKey>,
        options: &MetadataOptions,
    ) -> Result<Self> {
        let password = options.password.as_deref();
        let place = Place::parse(url, password)?;
        let replicas = replicas(&place, options)?;
        let failed = |error| cannot_open(&place, error);
        let (pool, durable) = match &place {
            Place::Sqlite(path) => {
                if let Some(folder) = Path::new(path).parent() {
                    std::fs::create_dir_all(folder).map_err(|error| Error::MetadataUrl {
                        url: place.to_string(),
                        reason: format!("can't create the folder: {error}"),
                    })?;
                }
                let pool = Db::new(&place, Use::All, SQLITE_CONNECTIONS).map_err(failed)?;
                (pool, Db::new(&place, Use::Durable, 1).map_err(failed)?)
            }
            Place::Postgres(_) => {
                let connections = options.connections.max(2);
                let pool = Db::new(&place, Use::All, connections).map_err(failed)?;
                (pool.clone(), pool)
            }
        };
        migrate::migrate(&pool.hasty())
            .await
            .map_err(|error| match error {
                Error::Meta { source, .. } | Error::MetaGone { source, .. } => failed(source),
                other => other,
            })?;
        Ok(Self {
            reads: Reads::new(pool.hasty(), replicas),
            pool,
            durable,
            place,
            arrived: Arc::default(),
            key,
            events: None,
        })
    }

    /// The same, telling of runs.
    pub(crate) fn with_events(mut self, events: Events) -> Self {
        self.events = Some(events);
        self
    }

    /// Tells that a run began or ended.
    fn tell(&self, kind: &str, run: serde_json::Value) {
        if let Some(events) = &self.events {
            events.publish(kind, run);
        }
    }
}

fn replicas(primary: &Place, options: &MetadataOptions) -> Result<Vec<Replica>> {
    let mut replicas = Vec::new();
    for url in &options.replicas {
        let place = Place::parse(url, options.password.as_deref())?;
        let (Place::Postgres(_), Place::Postgres(_)) = (primary, &place) else {
            return Err(Error::MetadataUrl {
                url: place.to_string(),
                reason: "metadata.replicas are copies of a PostgreSQL database, and metadata.url names none"
                    .to_string(),
            });
        };
        let replica = Replica::new(place.clone(), options.connections.max(1));
        replicas.push(replica.map_err(|error| cannot_open(&place, error))?);
    }
    Ok(replicas)
}

/// Why a database can't be opened, and what to do.
fn cannot_open(place: &Place, error: sqlx::Error) -> Error {
    let refuse = |reason: String| Error::MetadataUrl {
        url: place.to_string(),
        reason,
    };
    let code = error.as_database_error().and_then(|error| error.code());
    match code.as_deref() {
        Some("28P01" | "28000") => refuse(format!("{error}; correct the user or the password")),
        Some("3D000") => refuse(format!("{error}; create it, as with `createdb`")),
        Some("42501") => refuse(format!(
            "{error}; let the user create tables there, as the owner of the database may"
        )),
        _ => match error {
            sqlx::Error::Configuration(reason) => refuse(reason.to_string()),
            error if db::is_untrusted(&error) => refuse(format!(
                "no trusted connection: {error}; name the authority in sslrootcert, or say with sslmode what is enough"
            )),
            other if db::is_gone(&other) => Error::MetaAway {
                place: place.to_string(),
                source: other,
            },
            other => Error::meta("opening")(other),
        },
    }
}

/// A text as both databases keep it: PostgreSQL has no NUL characters.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A text that identifies something, as both databases keep it.
fn name(text: &str) -> String {
    let text = clean(text);
    if text.len() <= LONGEST_NAME {
        return text;
    }
    let digest = Sha256::digest(&text);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let start = text.floor_char_boundary(LONGEST_NAME - digest.len() - 3);
    format!("{}…{digest}", &text[..start])
}

fn to_text(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

fn to_instant(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).map_or(DateTime::UNIX_EPOCH, |instant| instant.to_utc())
}
