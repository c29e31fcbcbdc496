//! Keeping the lake in shape: few and clustered files, a short log, only what kept releases need, and a look
//! at whether all of it is there. [`maintain`] is the one entry; [`backup`] and [`restore`] copy all there is.
//!
//! The order makes every moment a safe one to be killed at: files are deleted last, after everything that
//! names them is gone or known not to need them, and a file is named only after it was written.

mod backup;
mod lake;
mod releases;
mod report;
mod restore;

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use schemas::TableName;

use crate::meta::Step;
use crate::tables::Compacted;
use crate::{Error, Lease, Result, Warehouse, fault};

pub use backup::{BackupReport, backup};
pub use report::{Problem, Report, TableReport};
pub use restore::{RestoreReport, restore};

use lake::Lake;
use releases::{sort_out, versions};

/// Name of the lease that maintenance and backups hold: files are deleted by its holder only.
const LEASE: &str = "maintenance of the lake";
/// How long to wait for a connection's lease; a table that somebody writes is left for the next time.
const WAIT: Duration = Duration::from_secs(2);

/// What is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Every release that was current at some instant of so many days is kept.
    pub keep_releases_days: u32,
    /// Of so many months, the last release of each is kept.
    pub keep_releases_months: u32,
    /// Raw records are kept for so many days; 0: for ever, so that tables can be rebuilt from them.
    pub keep_raw_days: u32,
    /// Runs, their steps and events that were worked off are kept for so many days.
    pub keep_runs_days: u32,
    /// Nothing is deleted that was in use, or written, so shortly ago: refreshes that run and queries that
    /// are open may need it.
    pub grace: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep_releases_days: 30,
            keep_releases_months: 13,
            keep_raw_days: 0,
            keep_runs_days: 90,
            grace: Duration::from_secs(24 * 3600),
        }
    }
}

/// What maintenance shall do.
#[derive(Debug, Clone, Default)]
pub struct MaintainOptions {
    /// What is kept.
    pub retention: Retention,
    /// Whether to say only what would be done.
    pub dry_run: bool,
    /// Connections that may write tables, beside those that have.
    pub connections: Vec<String>,
    /// Run it belongs to, as [`crate::MetaDb::start_run`] gave it; without one it is a run of its own.
    pub run_id: Option<String>,
    /// The instant from which ages count; now without one.
    pub now: Option<DateTime<Utc>>,
}

/// Listener of long work on the lake.
pub trait Progress: Send + Sync {
    /// A part of the work begins: what it is about, its number and how many there are.
    fn at(&self, part: &str, number: usize, of: usize);
    /// Something is done.
    fn done(&self, text: &str);
}

/// Name of the lease on the tables of a connection: whoever writes them holds it.
pub fn connection_lease(connection: &str) -> String {
    format!("connection '{connection}'")
}

/// Compacts and clusters the tables, removes what retention does not keep, and verifies what is left.
/// What is missing is in the report, not an error.
pub fn maintain<'a>(
    warehouse: &'a Warehouse,
    options: &'a MaintainOptions,
    progress: &'a dyn Progress,
) -> BoxFuture<'a, Result<Report>> {
    Box::pin(async move {
        let meta = warehouse.meta();
        let lease = meta.lease(LEASE, "maintain", Duration::ZERO).await?;
        let outcome = lease.hold(as_run(warehouse, options, progress)).await;
        let released = lease.release().await;
        let report = outcome?;
        released?;
        Ok(report)
    })
}

fn as_run<'a>(
    warehouse: &'a Warehouse,
    options: &'a MaintainOptions,
    progress: &'a dyn Progress,
) -> BoxFuture<'a, Result<Report>> {
    Box::pin(run(warehouse, options, progress))
}

async fn run(
    warehouse: &Warehouse,
    options: &MaintainOptions,
    progress: &dyn Progress,
) -> Result<Report> {
    let meta = warehouse.meta();
    let run_id = match &options.run_id {
        Some(run_id) => run_id.clone(),
        None => meta.start_run("maintain", "command").await?,
    };
    let now = options.now.unwrap_or_else(Utc::now);
    let mut work = Work {
        warehouse,
        options,
        progress,
        now,
        report: Report::new(&run_id, options.dry_run),
        run_id,
    };
    let outcome = work.all().await;
    if options.run_id.is_none() {
        let problems = work.report.problems.len();
        let (status, reason) = match &outcome {
            Ok(()) if problems == 0 => ("succeeded", None),
            Ok(()) => ("failed", Some(format!("{problems} problems were found"))),
            Err(error) => ("failed", Some(error.to_string())),
        };
        let finished = meta
            .finish_run(&work.run_id, status, reason.as_deref())
            .await;
        outcome?;
        finished?;
    } else {
        outcome?;
    }
    Ok(work.report)
}

struct Work<'a> {
    warehouse: &'a Warehouse,
    options: &'a MaintainOptions,
    progress: &'a dyn Progress,
    now: DateTime<Utc>,
    run_id: String,
    report: Report,
}

impl Work<'_> {
    fn all(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.steps())
    }

    async fn steps(&mut self) -> Result<()> {
        let tables = self.warehouse.tables().names().await?;
        let began = Utc::now();
        let outcome = Box::pin(self.compact(&tables)).await;
        self.step("compact", began, outcome).await?;
        let began = Utc::now();
        let outcome = Box::pin(self.releases()).await;
        let lake = self.step("releases", began, outcome).await?;
        let began = Utc::now();
        let outcome = self.vacuum(&tables, &lake).await;
        self.step("vacuum", began, outcome).await?;
        let began = Utc::now();
        let outcome = self.raw().await;
        self.step("raw", began, outcome).await?;
        let began = Utc::now();
        let outcome = self.metadata(&lake).await;
        self.step("metadata", began, outcome).await?;
        Ok(())
    }

    /// Records how a step went, with what the report says by then; passes its outcome on.
    async fn step<T>(
        &self,
        name: &str,
        started_at: DateTime<Utc>,
        outcome: Result<T>,
    ) -> Result<T> {
        let is_ok = outcome.is_ok();
        let rows = match name {
            "compact" => self
                .report
                .tables
                .iter()
                .map(|table| table.rows_rewritten)
                .sum(),
            _ => 0,
        };
        let step = Step {
            step: name.to_string(),
            status: if is_ok { "succeeded" } else { "failed" }.to_string(),
            attempts: 1,
            rows_in: rows,
            rows_out: 0,
            bytes: 0,
            requests: 0,
            retries: 0,
            started_at,
            finished_at: Utc::now(),
            error: outcome.as_ref().err().map(ToString::to_string),
        };
        let meta = self.warehouse.meta();
        let recorded = meta.record_step(&self.run_id, &step).await;
        let value = outcome?;
        recorded?;
        let details = self.report.details(name);
        meta.detail_step(&self.run_id, name, &details).await?;
        Ok(value)
    }

    async fn compact(&mut self, names: &[TableName]) -> Result<()> {
        for (number, name) in names.iter().enumerate() {
            let mut report = TableReport::new(name);
            let tables = self.warehouse.tables();
            // The tables of models are written sorted, and patched with their small neighbours.
            let Some(contract) = schemas::contract(name) else {
                report.files_before = tables.file_count(name).await.unwrap_or_default();
                report.files_after = report.files_before;
                self.report.tables.push(report);
                continue;
            };
            self.progress
                .at(&format!("files of {name}"), number + 1, names.len());
            let rewrite = match tables.rewrite(contract).await {
                Ok(rewrite) => rewrite,
                // What is wrong with the table, the verification says.
                Err(error @ (Error::Table { .. } | Error::Engine(_))) => {
                    report.skipped = Some(error.to_string());
                    self.report.tables.push(report);
                    continue;
                }
                Err(error) => return Err(error),
            };
            report.files_before = rewrite.files;
            report.files_after = rewrite.files;
            report.files_rewritten = rewrite.chosen;
            if rewrite.chosen > 0 && !self.options.dry_run {
                match self.as_writer(tables.compact(contract, &self.run_id)).await {
                    Ok(done) => {
                        report.files_before = done.before;
                        report.files_after = done.after;
                        report.rows_rewritten = done.rows;
                    }
                    Err(error) if is_only_of_the_table(&error) => {
                        report.files_rewritten = 0;
                        report.skipped = Some(error.to_string());
                    }
                    Err(error) => return Err(error),
                }
            }
            self.report.tables.push(report);
        }
        let rewritten = self.report.tables.iter().map(|table| table.files_rewritten);
        self.progress
            .done(&format!("{} files written anew", rewritten.sum::<usize>()));
        Ok(())
    }

    /// Does some work as the only writer of all tables.
    async fn as_writer(&self, work: impl Future<Output = Result<Compacted>>) -> Result<Compacted> {
        let meta = self.warehouse.meta();
        let sources = meta.sources().await?;
        let known = sources.iter().map(|source| source.connection.as_str());
        let named = self.options.connections.iter().map(String::as_str);
        let connections: BTreeSet<&str> = known.chain(named).collect();
        let mut leases: Vec<Lease> = Vec::new();
        for connection in connections {
            let name = connection_lease(connection);
            leases.push(meta.lease(&name, "maintain", WAIT).await?);
        }
        // All are renewed by themselves; losing any of them stops the work.
        let outcome = if leases.is_empty() {
            work.await
        } else {
            let all = leases.iter().map(|lease| Box::pin(lease.lost()));
            tokio::select! {
                outcome = work => outcome,
                _ = futures::future::select_all(all) => Err(Error::LeaseLost(LEASE.to_string())),
            }
        };
        for lease in leases {
            lease.release().await?;
        }
        outcome
    }

    async fn releases(&mut self) -> Result<Lake> {
        let releases = self.warehouse.releases();
        let retention = &self.options.retention;
        let sorted = sort_out(releases.list().await?, retention, self.now);
        self.report.releases_kept = sorted.kept.len();
        let gone = sorted
            .removed
            .iter()
            .map(|release| release.release_id.clone());
        self.report.releases_removed = gone.collect();
        let record = if self.options.dry_run {
            releases.record().await?
        } else {
            releases.remove(&sorted, self.grace(), self.now).await?
        };
        // What was published or rolled back to meanwhile counts.
        let mut kept = releases.list().await?;
        // In a dry run the others are there still; with grace they would be needed for a while.
        if self.options.dry_run && self.options.retention.grace.is_zero() {
            kept.retain(|release| !self.report.releases_removed.contains(&release.release_id));
        }
        self.catalogs(&kept).await?;
        let mut protected = versions(&kept);
        for removed in record.lately {
            for (table, versions) in removed.versions {
                protected.entry(table).or_default().extend(versions);
            }
        }
        self.progress.done(&format!(
            "{} releases kept, {} removed",
            self.report.releases_kept,
            self.report.releases_removed.len()
        ));
        Ok(Lake { kept, protected })
    }

    /// Removes descriptions of models that no kept release names.
    async fn catalogs(&mut self, kept: &[crate::Release]) -> Result<()> {
        let releases = self.warehouse.releases();
        let named: BTreeSet<_> = kept
            .iter()
            .filter_map(|release| release.content.catalog.as_deref())
            .map(|hash| releases.catalog_path(hash))
            .collect();
        let store = releases.store();
        for file in store.files(&store.releases_dir()).await? {
            let is_catalog = file.location.filename();
            let is_catalog = is_catalog.is_some_and(|name| name.starts_with("catalog-"));
            // A refresh writes it before the release that names it.
            if !is_catalog || named.contains(&file.location) || !self.is_old(file.last_modified) {
                continue;
            }
            self.report.catalogs_removed += 1;
            self.report.bytes_freed += file.size;
            if !self.options.dry_run {
                store.delete(&file.location).await?;
            }
        }
        Ok(())
    }

    /// Removes raw files beyond their time; the last of each stream stays, for it says what is known.
    async fn raw(&mut self) -> Result<()> {
        let days = self.options.retention.keep_raw_days;
        if days == 0 {
            return Ok(());
        }
        let before = self.days_ago(days);
        let store = self.warehouse.releases().store();
        let files = store.files(&store.raw_root()).await?;
        for (at, file) in files.iter().enumerate() {
            let folder = |file: &object_store::ObjectMeta| {
                let path = file.location.as_ref().rsplit_once('/');
                path.map(|(folder, _)| folder.to_string())
            };
            let is_last = files
                .get(at + 1)
                .is_none_or(|next| folder(next) != folder(file));
            if is_last || file.last_modified >= before {
                continue;
            }
            self.report.raw_files_removed += 1;
            self.report.bytes_freed += file.size;
            if !self.options.dry_run {
                store.delete(&file.location).await?;
            }
        }
        Ok(())
    }

    /// Forgets runs and events beyond their time.
    async fn metadata(&mut self, lake: &Lake) -> Result<()> {
        let before = self.days_ago(self.options.retention.keep_runs_days);
        let keep = lake.kept.iter().map(|release| release.run_id.clone());
        let meta = self.warehouse.meta();
        let runs = meta.old_runs(before, &keep.collect()).await?;
        self.report.runs_removed = runs.len() as u64;
        self.report.events_removed = meta.old_events(before).await?;
        if !self.options.dry_run {
            meta.forget_runs(&runs).await?;
            meta.forget_events(before).await?;
        }
        fault::point("maintenance.metadata")
    }

    fn days_ago(&self, days: u32) -> DateTime<Utc> {
        let ago = self
            .now
            .checked_sub_signed(TimeDelta::days(i64::from(days)));
        ago.unwrap_or(DateTime::UNIX_EPOCH)
    }

    fn grace(&self) -> TimeDelta {
        TimeDelta::from_std(self.options.retention.grace).unwrap_or(TimeDelta::MAX)
    }

    /// Whether something was written so long ago that nobody waits for it to be named.
    fn is_old(&self, written: DateTime<Utc>) -> bool {
        self.now
            .checked_sub_signed(self.grace())
            .is_some_and(|before| written < before)
    }
}

/// Whether the other tables can be maintained all the same: somebody else writes this one, or wrote
/// meanwhile, or a file of it can't be read, which the verification tells in full.
fn is_only_of_the_table(error: &Error) -> bool {
    matches!(
        error,
        Error::Held { .. } | Error::Table { .. } | Error::Engine(_)
    )
}
