//! The entries: sync and discover.

use std::time::Duration;

use futures::future::BoxFuture;
use warehouse::Warehouse;

use crate::sources::{Job, connector};
use crate::{Connection, Discovery, Limits, Progress, Result, SyncReport};

/// What a run shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncOptions {
    /// Streams to read; empty for all.
    pub streams: Vec<String>,
    /// Whether to forget the cursor and read everything again. Rows stay and are merged.
    pub full: bool,
    /// Whether to look for deleted issues now, not only once a day.
    pub sweep: bool,
    /// Whether to rebuild the tables from the raw zone instead of calling the site.
    pub replay: bool,
    /// Run it belongs to, as [`warehouse::MetaDb::start_run`] gave it; without one the sync is a
    /// run of its own.
    pub run_id: Option<String>,
    /// How far before the cursor reading starts again, because search indexes lag.
    pub look_back: Duration,
    /// Issues of one commit.
    pub batch_issues: usize,
    /// What may be used of the site and of this machine.
    pub limits: Limits,
    /// How long to wait while somebody else writes the tables of the connection.
    pub wait: Duration,
}

impl Default for SyncOptions {
    fn default() -> Self {
        Self {
            streams: Vec::new(),
            full: false,
            sweep: false,
            replay: false,
            run_id: None,
            look_back: Duration::from_secs(300),
            batch_issues: 1000,
            limits: Limits::default(),
            wait: Duration::from_secs(30),
        }
    }
}

/// Reads what is new of a connection into the warehouse, or rebuilds its tables from the raw zone.
pub fn sync<'a>(
    warehouse: &'a Warehouse,
    connection: &'a Connection,
    options: &'a SyncOptions,
    progress: &'a dyn Progress,
) -> BoxFuture<'a, Result<SyncReport>> {
    Box::pin(sync_once(warehouse, connection, options, progress))
}

/// Says what a source is and what is understood of it. Writes nothing.
pub fn discover(connection: &Connection) -> BoxFuture<'_, Result<Discovery>> {
    Box::pin(async move {
        connector(connection)?
            .discover(connection, Limits::default())
            .await
    })
}

async fn sync_once(
    warehouse: &Warehouse,
    connection: &Connection,
    options: &SyncOptions,
    progress: &dyn Progress,
) -> Result<SyncReport> {
    connector(connection)?;
    let job = |run_id| Job {
        warehouse,
        connection,
        options,
        run_id,
        progress,
    };
    if let Some(run_id) = &options.run_id {
        return run(job(run_id)).await;
    }
    let pipeline = if options.replay { "replay" } else { "sync" };
    let run_id = warehouse.meta().start_run(pipeline, "command").await?;
    let outcome = run(job(&run_id)).await;
    let (status, reason) = match &outcome {
        Ok(_) => ("succeeded", None),
        Err(error) => ("failed", Some(error.to_string())),
    };
    let finished = warehouse
        .meta()
        .finish_run(&run_id, status, reason.as_deref())
        .await;
    match (outcome, finished) {
        (Ok(_), Err(error)) => Err(error.into()),
        // The run's own error says more than that its end could not be recorded.
        (outcome, _) => outcome,
    }
}

pub(crate) use warehouse::maintenance::connection_lease as lease_name;

async fn run(job: Job<'_>) -> Result<SyncReport> {
    let connector = connector(job.connection)?;
    let (read, purpose) = match job.options.replay {
        true => (connector.replay(job), "sync --replay"),
        false => (connector.sync(job), "sync"),
    };
    let meta = job.warehouse.meta();
    let name = lease_name(&job.connection.name);
    let lease = meta.lease(&name, purpose, job.options.wait).await?;
    let outcome = lease.hold(read).await;
    // One that is not given back is taken over: the outcome says more.
    let released = lease.release().await;
    let report = outcome?;
    released?;
    Ok(report)
}
