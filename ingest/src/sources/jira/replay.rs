//! Rebuilding the tables of a connection from the raw zone, without calling the site.
//!
//! Listings are replayed run by run, so that what disappeared is marked as deleted at the same
//! instant as then; issues and changelogs file by file, in landing order. A mark tells that a
//! replay is under way; the next sync finishes one that was interrupted.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemas::{RawRecord, TableName};
use warehouse::{Commit, RawFile, Warehouse, fault};

use super::context::Context;
use super::streams::children::{self, Family};
use super::streams::issues::mark_name;
use super::streams::sweep::{self, ABSENCES};
use super::streams::{
    BOARDS, CHANGELOGS, FIELDS, ISSUES, REFERENCE, batch, people, reference, remote_links,
    sprint_reports, worklogs,
};
use crate::land::{self, Landing, Received};
use crate::{Connection, Event, Progress, Result, StreamReport, SyncReport};

/// Mark that is set while the tables are being rebuilt.
pub(super) const OPEN: &str = "replay_open";

/// A landed listing.
struct Landed {
    stream: &'static str,
    file: RawFile,
    fetched_at: DateTime<Utc>,
    run_id: String,
}

/// Rebuilds all tables of a connection.
pub(crate) async fn replay(
    warehouse: &Warehouse,
    connection: &Connection,
    run_id: &str,
    progress: &dyn Progress,
) -> Result<SyncReport> {
    let name = &connection.name;
    let marked = |value: i64| Commit {
        run_id: run_id.to_string(),
        marks: vec![(mark_name(name, OPEN), value)],
    };
    let plain = Commit {
        run_id: run_id.to_string(),
        marks: Vec::new(),
    };
    let issues_table = TableName::new("jira", ISSUES);
    warehouse
        .tables()
        .clear(&issues_table, name, &marked(1))
        .await?;
    let own = schemas::contracts().iter().map(schemas::Contract::table);
    let own = own.filter(|table| table.schema == "jira");
    // What the site says of itself is in no record.
    for table in own.filter(|table| table.name != ISSUES && table.name != "sites") {
        warehouse.tables().clear(table, name, &plain).await?;
    }
    fault::point("ingest.replay.cleared")?;
    let mut landing = Landing::open(warehouse, name, run_id, false).await?;
    let mut reports = Box::pin(listings(
        warehouse,
        connection,
        &mut landing,
        &plain,
        progress,
    ))
    .await?;
    people::replay(warehouse, name, &plain).await?;
    let context = Context::load(warehouse, connection).await?;
    let mut changelogs = StreamReport::of(CHANGELOGS);
    progress.event(&Event::Started { stream: CHANGELOGS });
    for file in warehouse.raw().files(name, CHANGELOGS).await? {
        let histories = read(warehouse, &file).await?;
        let report = &mut changelogs;
        batch::append_histories(
            warehouse,
            &context,
            &mut landing,
            &histories,
            &plain,
            report,
        )
        .await?;
        progress.event(&Event::Committed {
            stream: CHANGELOGS,
            records: report.read,
        });
    }
    progress.event(&Event::Started { stream: ISSUES });
    let mut replayed = StreamReport::of(ISSUES);
    // Before the issues: what belongs to a deleted issue goes with it.
    let worked = Box::pin(worklogs::replay(warehouse, name, &mut landing, &plain)).await?;
    let linked = Box::pin(remote_links::replay(warehouse, name, &mut landing, &plain)).await?;
    let reported = Box::pin(sprint_reports::replay(
        warehouse,
        name,
        &mut landing,
        &plain,
    ))
    .await?;
    let mut family = Family::new();
    let report = &mut replayed;
    let carried = Some(&mut family);
    Box::pin(issues(
        warehouse,
        &context,
        &mut landing,
        run_id,
        report,
        carried,
    ))
    .await?;
    let mut done = marked(-1);
    done.marks
        .push((mark_name(name, "mapping"), context.fingerprint()));
    warehouse
        .tables()
        .upsert(&issues_table, Vec::new(), &done)
        .await?;
    reports.extend([
        replayed,
        changelogs,
        family.links,
        family.comments,
        worked,
        linked,
        reported,
    ]);
    for report in &reports {
        let (records, changed) = (report.read, report.changed());
        progress.event(&Event::Finished {
            stream: report.stream,
            records,
            changed,
        });
    }
    Ok(SyncReport {
        connection: name.clone(),
        run_id: run_id.to_string(),
        streams: reports,
        notes: Vec::new(),
        dropped: None,
        source_time: None,
        time_zone: None,
        requests: 0,
        retries: 0,
        bytes: 0,
    })
}

/// Merges all issues of the raw zone, in landing order, with what they carry if that is asked for.
pub(super) async fn issues(
    warehouse: &Warehouse,
    context: &Context,
    landing: &mut Landing<'_>,
    run_id: &str,
    report: &mut StreamReport,
    mut family: Option<&mut Family>,
) -> Result<()> {
    let commit = Commit {
        run_id: run_id.to_string(),
        marks: Vec::new(),
    };
    let connection = &context.connection;
    let mut absences = Vec::new();
    for file in warehouse.raw().files(connection, ABSENCES).await? {
        let landed = warehouse.raw().read(&file).await?;
        let at = landed.first().map(|record| record.fetched_at);
        absences.extend(at.map(|at| (at, received(landed))));
    }
    absences.sort_by_key(|(at, _)| *at);
    let mut absences = absences.into_iter().peekable();
    for file in warehouse.raw().files(connection, ISSUES).await? {
        let landed = warehouse.raw().read(&file).await?;
        let Some(received_at) = landed.first().map(|record| record.fetched_at) else {
            continue;
        };
        let records = received(landed);
        while let Some((at, found)) = absences.next_if(|(at, _)| *at < received_at) {
            sweep::apply(warehouse, connection, &found, at, &commit, report).await?;
        }
        sweep::revive(warehouse, connection, &records, &commit).await?;
        if let Some(family) = family.as_deref_mut() {
            let at = received_at;
            children::merge(
                warehouse, connection, landing, &records, at, &commit, family,
            )
            .await?;
        }
        let (rows, _) = batch::map_issues(context, landing, &records, report).await?;
        batch::merge_issues(warehouse, rows, &commit, report).await?;
    }
    for (at, found) in absences {
        sweep::apply(warehouse, connection, &found, at, &commit, report).await?;
    }
    Ok(())
}

/// Replays the listings, one run after the other.
async fn listings(
    warehouse: &Warehouse,
    connection: &Connection,
    landing: &mut Landing<'_>,
    commit: &Commit,
    progress: &dyn Progress,
) -> Result<Vec<StreamReport>> {
    let mut reports: BTreeMap<&'static str, StreamReport> = BTreeMap::new();
    let mut fields: Option<(Vec<Received>, DateTime<Utc>)> = None;
    let landed = landed(warehouse, &connection.name).await?;
    for run in landed.chunk_by(|one, next| one.run_id == next.run_id) {
        let mut todo: Vec<(&'static str, Vec<Received>, DateTime<Utc>)> = Vec::new();
        for listing in run {
            let records = read(warehouse, &listing.file).await?;
            todo.push((
                listing.stream,
                land::listing_of(records),
                listing.fetched_at,
            ));
        }
        // The parts that fields play follow the boards, also where only the boards have changed.
        let has = |stream: &str| todo.iter().any(|(of, _, _)| *of == stream);
        if let (true, false, Some((records, at))) = (has(BOARDS), has(FIELDS), fields.clone()) {
            todo.push((FIELDS, records, at));
        }
        todo.sort_by_key(|(stream, _, _)| REFERENCE.iter().position(|one| one == stream));
        for (stream, records, received_at) in todo {
            progress.event(&Event::Started { stream });
            let report = reference::write(
                warehouse,
                connection,
                landing,
                commit,
                stream,
                &records,
                received_at,
            )
            .await?;
            reports.insert(stream, report);
            if stream == FIELDS {
                fields = Some((records, received_at));
            }
        }
    }
    let in_order = REFERENCE.iter().filter_map(|stream| reports.remove(stream));
    Ok(in_order.collect())
}

/// All landed listings, in the order they were received.
async fn landed(warehouse: &Warehouse, connection: &str) -> Result<Vec<Landed>> {
    let mut landed = Vec::new();
    for stream in REFERENCE {
        for file in warehouse.raw().files(connection, stream).await? {
            let records = warehouse.raw().read(&file).await?;
            let Some(first) = records.first() else {
                continue;
            };
            let (fetched_at, run_id) = (first.fetched_at, first.run_id.clone());
            landed.push(Landed {
                stream,
                file,
                fetched_at,
                run_id,
            });
        }
    }
    landed.sort_by_key(|listing| listing.fetched_at);
    Ok(landed)
}

async fn read(warehouse: &Warehouse, file: &RawFile) -> Result<Vec<Received>> {
    Ok(received(warehouse.raw().read(file).await?))
}

pub(super) fn received(landed: Vec<RawRecord>) -> Vec<Received> {
    let records = landed.into_iter().map(|record| Received {
        key: record.key,
        source_updated: record.source_updated,
        payload: record.payload,
    });
    records.collect()
}
