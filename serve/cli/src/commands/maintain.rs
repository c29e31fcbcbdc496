//! `maintain`: compact, vacuum within retention, verify.

use std::time::Duration;

use warehouse::maintenance::{MaintainOptions, Report, Retention, maintain};

use crate::Invocation;
use crate::exit::Outcome;
use crate::output::clean;
use crate::progress::Terminal;
use crate::settings::Settings;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Say what would be done, and do nothing but look
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(arguments: Arguments, invocation: Invocation) -> anyhow::Result<Outcome> {
    let (settings, warehouse) = super::open(&invocation).await?;
    let options = MaintainOptions {
        dry_run: arguments.dry_run,
        ..options(&settings)
    };
    let progress = Terminal::new(invocation.json);
    let report = maintain(&warehouse, &options, &progress).await?;
    if invocation.json {
        super::print_json(&report)?;
    } else {
        show(&report);
    }
    match report.problems.len() {
        0 => Ok(Outcome::Done),
        1 => Err(anyhow::anyhow!(
            "a file that is needed is not as it should be"
        )),
        n => Err(anyhow::anyhow!(
            "{n} files that are needed are not as they should be"
        )),
    }
}

/// What the settings say of maintenance.
pub(crate) fn options(settings: &Settings) -> MaintainOptions {
    let maintain = &settings.maintain;
    let connections = settings.connections.iter();
    MaintainOptions {
        retention: Retention {
            keep_releases_days: maintain.keep_releases_days,
            keep_releases_months: maintain.keep_releases_months,
            keep_raw_days: maintain.keep_raw_days,
            keep_runs_days: maintain.keep_runs_days,
            grace: Duration::from_secs(u64::from(maintain.grace_hours) * 3600),
        },
        connections: connections
            .map(|connection| connection.name.clone())
            .collect(),
        ..MaintainOptions::default()
    }
}

fn show(report: &Report) {
    let verb = if report.dry_run { "would be " } else { "" };
    println!(
        "{:<44} {:>7} {:>7} {:>8} {:>8} {:>8}",
        "table", "files", "after", "deleted", "log", "versions"
    );
    for table in &report.tables {
        let is_touched = table.files_rewritten > 0
            || table.files_deleted + table.log_files_deleted > 0
            || table.skipped.is_some();
        if !is_touched {
            continue;
        }
        println!(
            "{:<44} {:>7} {:>7} {:>8} {:>8} {:>8}",
            table.table,
            table.files_before,
            table.files_after,
            table.files_deleted,
            table.log_files_deleted,
            table.versions_kept
        );
        if let Some(why) = &table.skipped {
            println!("  left as it is: {}", clean(why));
        }
    }
    println!(
        "{} releases kept, {} {verb}removed; {} raw files, {} runs and {} events {verb}removed; \
         {} KiB {verb}freed; {} files verified",
        report.releases_kept,
        report.releases_removed.len(),
        report.raw_files_removed,
        report.runs_removed,
        report.events_removed,
        report.bytes_freed >> 10,
        report.files_verified
    );
    for problem in &report.problems {
        println!(
            "{} {}: {}",
            problem.table,
            clean(&problem.file),
            clean(&problem.problem)
        );
    }
}
