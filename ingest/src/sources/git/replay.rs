//! Rebuilding the tables of a connection from the raw zone, without calling the forge. A mark tells that
//! a replay is under way; the next sync finishes one that was interrupted.

use warehouse::{RawFile, Warehouse, fault};

use super::write::Writer;
use super::{
    COMMITS, DEPLOYMENTS, Dialect, ISSUE_REFERENCES, Job, PULL_REQUEST_COMMITS, PULL_REQUESTS,
    REPOSITORIES, table,
};
use crate::land::{Landing, Received, listing_of};
use crate::{Event, Result, SyncReport};

/// Mark of the repositories that is set while the tables are being rebuilt.
const OPEN: &str = "replay_open";

fn open_mark(connection: &str) -> String {
    format!("{connection}/{REPOSITORIES}/{OPEN}")
}

/// Whether a replay was interrupted.
pub(super) async fn is_open(warehouse: &Warehouse, connection: &str) -> Result<bool> {
    let tables = warehouse.tables();
    let mark = tables
        .mark(&table(REPOSITORIES), &open_mark(connection))
        .await?;
    Ok(mark == Some(1))
}

/// Rebuilds all tables of a connection.
pub(super) async fn replay(dialect: &'static dyn Dialect, job: Job<'_>) -> Result<SyncReport> {
    let (warehouse, name) = (job.warehouse, job.connection.name.as_str());
    let mut writer = Writer::new(dialect, warehouse, name, job.run_id);
    let open = writer.commit_of(vec![(open_mark(name), 1)]);
    let plain = writer.commit_of(Vec::new());
    let tables = warehouse.tables();
    tables.clear(&table(REPOSITORIES), name, &open).await?;
    for cleared in [
        PULL_REQUESTS,
        PULL_REQUEST_COMMITS,
        COMMITS,
        DEPLOYMENTS,
        ISSUE_REFERENCES,
    ] {
        tables.clear(&table(cleared), name, &plain).await?;
    }
    fault::point("ingest.git.cleared")?;
    let mut landing = Landing::open(warehouse, name, job.run_id, false).await?;
    for stream in [REPOSITORIES, PULL_REQUESTS, COMMITS, DEPLOYMENTS] {
        job.progress.event(&Event::Started { stream });
        for file in warehouse.raw().files(name, stream).await? {
            Box::pin(one(warehouse, &mut writer, &mut landing, stream, &file)).await?;
            let records = writer.reports.of(stream).read;
            job.progress.event(&Event::Committed { stream, records });
        }
        let report = writer.reports.of(stream);
        job.progress.event(&Event::Finished {
            stream,
            records: report.read,
            changed: report.changed(),
        });
    }
    writer
        .marked(REPOSITORIES, vec![(open_mark(name), -1)])
        .await?;
    Ok(SyncReport {
        connection: name.to_string(),
        run_id: job.run_id.to_string(),
        streams: writer.reports.in_order(),
        notes: Vec::new(),
        dropped: None,
        source_time: None,
        time_zone: None,
        requests: 0,
        retries: 0,
        bytes: 0,
    })
}

/// Replays a file of the raw zone.
async fn one(
    warehouse: &Warehouse,
    writer: &mut Writer<'_>,
    landing: &mut Landing<'_>,
    stream: &'static str,
    file: &RawFile,
) -> Result<()> {
    let landed = warehouse.raw().read(file).await?;
    let Some(received_at) = landed.first().map(|record| record.fetched_at) else {
        return Ok(());
    };
    let records: Vec<Received> = landed
        .into_iter()
        .map(|record| Received {
            key: record.key,
            source_updated: record.source_updated,
            payload: record.payload,
        })
        .collect();
    match stream {
        REPOSITORIES => {
            let records = listing_of(records);
            writer.repositories(landing, &records, received_at).await?;
        }
        PULL_REQUESTS => writer.pull_requests(landing, &records).await?,
        COMMITS => writer.commits(landing, &records, Vec::new()).await?,
        _ => writer.deployments(landing, &records).await?,
    }
    Ok(())
}
