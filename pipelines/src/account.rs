//! Accounting for ticks: each becomes a run to be done, or a run that was skipped and why.

use chrono::{DateTime, TimeDelta, Utc};
use warehouse::MetaDb;
use warehouse::meta::{PipelineRow, Tick};

use crate::{CatchUp, Definition, Definitions, Overlap, Result, Schedule};

/// A tick that is looked at later than this was missed: nothing ran that would have looked.
const LATE: TimeDelta = TimeDelta::minutes(5);
/// Most ticks that are accounted for at once.
const BATCH: usize = 500;

/// Accounts for what is due by an instant. Any number of processes may do so at once. Returns how many ticks
/// were accounted for by this call.
pub async fn account(
    meta: &MetaDb,
    definitions: &Definitions,
    now: DateTime<Utc>,
) -> Result<usize> {
    let rows = meta.pipelines().await?;
    let mut accounted = 0;
    for definition in definitions.iter() {
        let row = rows.iter().find(|row| row.name == definition.name);
        if let (Some(row), Some(schedule)) = (row, &definition.schedule) {
            accounted += one(meta, definition, schedule, row, now).await?;
        }
    }
    Ok(accounted)
}

async fn one(
    meta: &MetaDb,
    definition: &Definition,
    schedule: &Schedule,
    row: &PipelineRow,
    now: DateTime<Utc>,
) -> Result<usize> {
    let name = &definition.name;
    if !row.enabled.unwrap_or(definition.enabled) {
        if row.scheduled_until.is_some() {
            meta.enable_pipeline(name, row.enabled).await?;
        }
        return Ok(0);
    }
    let Some(mut from) = row.scheduled_until else {
        meta.account_ticks(name, None, now, &[]).await?;
        return Ok(0);
    };
    let due = schedule.ticks(from, now);
    let last = due.last().copied();
    for batch in due.chunks(BATCH) {
        let Some(until) = batch.last().copied() else {
            break;
        };
        let ticks = fates(meta, definition, batch, last, now).await?;
        if !meta.account_ticks(name, Some(from), until, &ticks).await? {
            // Another process was faster.
            return Ok(0);
        }
        from = until;
    }
    Ok(due.len())
}

/// What becomes of some ticks; `last` is the last of all that are due.
async fn fates(
    meta: &MetaDb,
    definition: &Definition,
    ticks: &[DateTime<Utc>],
    last: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<Vec<Tick>> {
    let mut open = meta.open_jobs(Some(&definition.name)).await?;
    let mut fates = Vec::new();
    // The run that stands in the way of the next one.
    let mut before = open.last().map(|job| format!("run {}", job.run_id));
    for at in ticks {
        let is_missed = now - *at > LATE;
        let skip = |reason: String| Tick::Skip(*at, reason);
        let trigger = if is_missed { "catch-up" } else { "schedule" };
        let fate = match (is_missed, definition.catch_up) {
            (true, CatchUp::None) => skip("missed: nothing ran when it was due".to_string()),
            (true, CatchUp::Latest) if Some(*at) != last => {
                let by = last.map(|last| last.to_rfc3339()).unwrap_or_default();
                skip(format!(
                    "missed: nothing ran when it was due; the run of {by} stands for it"
                ))
            }
            (true, CatchUp::All) => Tick::Run(*at, trigger),
            _ => match (definition.overlap, &before) {
                (Overlap::Skip, Some(before)) => skip(format!("{before} was still under way")),
                (Overlap::Cancel, _) => {
                    let reason = format!("the run of {} takes its place", at.to_rfc3339());
                    for job in open.drain(..) {
                        meta.cancel_run(&job.run_id, &reason).await?;
                    }
                    Tick::Run(*at, trigger)
                }
                _ => Tick::Run(*at, trigger),
            },
        };
        if matches!(fate, Tick::Run(..)) {
            before = Some(format!("the run of {}", at.to_rfc3339()));
        }
        fates.push(fate);
    }
    Ok(fates)
}
