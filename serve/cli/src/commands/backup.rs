//! `backup` and `restore`: metadata and lake, consistent.

use std::time::Duration;

use warehouse::maintenance;

use crate::Invocation;
use crate::exit::Outcome;
use crate::progress::Terminal;
use crate::settings::{Settings, store_options};

/// What neither command touches.
const KEY: &str = "the key that secrets are encrypted with is not part of a backup: keep the file of \
     metadata.key_file (or SPRINT_REPORTS_KEY) safe elsewhere; without it stored sign-ins can't be read";

#[derive(Debug, clap::Args)]
pub(crate) struct Backup {
    /// New or empty folder, or s3://BUCKET/PREFIX
    destination: String,
    /// How long to wait for somebody who writes tables, in seconds
    #[arg(long, default_value_t = 60)]
    wait: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// Folder of a backup, or s3://BUCKET/PREFIX
    source: String,
}

pub(crate) async fn backup(arguments: Backup, invocation: Invocation) -> anyhow::Result<Outcome> {
    let (_, warehouse) = super::open(&invocation).await?;
    let destination = place(&arguments.destination);
    let wait = Duration::from_secs(arguments.wait);
    let progress = Terminal::new(invocation.json);
    let options = store_options();
    let report = maintenance::backup(&warehouse, &destination, &options, wait, &progress).await?;
    if invocation.json {
        super::print_json(&report)?;
        return Ok(Outcome::Done);
    }
    println!(
        "{}: {} files, {} KiB, newest release {}, as of {}",
        arguments.destination,
        report.files,
        report.bytes >> 10,
        report.release.as_deref().unwrap_or("none"),
        report
            .taken_at
            .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    );
    for note in &report.notes {
        println!("  {note}");
    }
    println!("{KEY}");
    Ok(Outcome::Done)
}

pub(crate) async fn restore(arguments: Restore, invocation: Invocation) -> anyhow::Result<Outcome> {
    let settings = Settings::load(invocation.config.as_deref())?;
    let config = settings.warehouse()?;
    let source = place(&arguments.source);
    let progress = Terminal::new(invocation.json);
    let report = maintenance::restore(&source, &config, &progress).await?;
    if invocation.json {
        super::print_json(&report)?;
        return Ok(Outcome::Done);
    }
    println!(
        "{} files, {} KiB, newest release {}, as of {}: restored to {} and {}",
        report.files,
        report.bytes >> 10,
        report.release.as_deref().unwrap_or("none"),
        report
            .taken_at
            .to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        config.store_url,
        config.metadata_url
    );
    println!("{KEY}");
    Ok(Outcome::Done)
}

/// The address of a place; a plain path is a folder.
fn place(text: &str) -> String {
    let is_url = ["file:", "s3:"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    match is_url {
        true => text.to_string(),
        false => format!("file:{text}"),
    }
}
