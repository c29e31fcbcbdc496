//! `release list|show|diff|rollback`: what was published.

use std::time::Duration;

use clap::Subcommand;
use transform::{Project, TableDifference};
use warehouse::{Release, ReleaseSummary, Warehouse};

use crate::Invocation;
use crate::exit::Outcome;

/// How long a rollback waits for a refresh to end.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// All releases, the newest first
    List,
    /// One release: its tables, models and tests
    Show {
        /// Its name (r12), an RFC 3339 instant or a day; the current release without it
        release: Option<String>,
    },
    /// What differs between two releases: rows that came, went or changed, by table
    Diff {
        /// The older one: its name (r12), an RFC 3339 instant or a day
        older: String,
        /// The newer one
        newer: String,
        /// Show differing rows, up to so many of each table
        #[arg(long, default_value_t = 0)]
        rows: usize,
    },
    /// Publish an older release again; the next refresh builds on the newest data as usual
    Rollback {
        /// Its name (r12), an RFC 3339 instant or a day
        release: String,
    },
}

pub(crate) async fn run(command: Command, invocation: Invocation) -> anyhow::Result<Outcome> {
    let (_, warehouse) = super::open(&invocation).await?;
    match command {
        Command::List => {
            let releases = warehouse.releases().list().await?;
            let summaries: Vec<ReleaseSummary> =
                releases.iter().map(ReleaseSummary::from).collect();
            if invocation.json {
                super::print_json(&summaries)?;
            } else {
                list(&summaries);
            }
        }
        Command::Show { release } => {
            let release = match release {
                Some(name) => warehouse.releases().find(&name).await?,
                None => warehouse
                    .releases()
                    .latest()
                    .await?
                    .ok_or(warehouse::Error::NoRelease)?,
            };
            if invocation.json {
                super::print_json(&release)?;
            } else {
                show(&release);
            }
        }
        Command::Diff { older, newer, rows } => {
            let older = warehouse.releases().find(&older).await?;
            let newer = warehouse.releases().find(&newer).await?;
            let project = Project::embedded()?;
            let differences = transform::diff(&warehouse, &project, (&older, &newer), rows).await?;
            if invocation.json {
                super::print_json(&differences)?;
            } else {
                diff(&differences);
            }
        }
        Command::Rollback { release } => {
            let run_id = warehouse.meta().start_run("rollback", "command").await?;
            let outcome = roll_back(&warehouse, &release, &run_id).await;
            let (status, reason) = match &outcome {
                Ok(_) => ("succeeded", None),
                Err(error) => ("failed", Some(error.to_string())),
            };
            let meta = warehouse.meta();
            let finished = meta.finish_run(&run_id, status, reason.as_deref()).await;
            let published = outcome?;
            finished?;
            if invocation.json {
                super::print_json(&ReleaseSummary::from(&published))?;
            } else {
                println!(
                    "published the content of {release} as {}",
                    published.release_id
                );
            }
        }
    }
    Ok(Outcome::Done)
}

/// Publishes an older release again, while no refresh is under way.
async fn roll_back(
    warehouse: &Warehouse,
    release: &str,
    run_id: &str,
) -> warehouse::Result<Release> {
    let lease = warehouse
        .meta()
        .lease(warehouse::MODELS_LEASE, "release rollback", PATIENCE)
        .await?;
    let outcome = warehouse.releases().roll_back(release, run_id).await;
    let released = lease.release().await;
    let published = outcome?;
    released?;
    Ok(published)
}

fn diff(differences: &[TableDifference]) {
    if differences.is_empty() {
        println!("the two releases have the same tables");
        return;
    }
    println!(
        "{:<44} {:>8} {:>8} {:>8}",
        "table", "added", "removed", "changed"
    );
    let number = |count: Option<usize>| count.map_or_else(|| "?".to_string(), |n| n.to_string());
    for one in differences {
        println!(
            "{:<44} {:>8} {:>8} {:>8}",
            one.table.to_string(),
            number(one.added),
            number(one.removed),
            number(one.changed)
        );
        for row in &one.rows {
            let key = serde_json::to_string(&row.key).unwrap_or_default();
            if row.columns.is_empty() {
                println!("  {} {key}", row.change);
            }
            for (column, (before, after)) in &row.columns {
                println!("  {} {key} {column}: {before} → {after}", row.change);
            }
        }
    }
}

fn list(releases: &[ReleaseSummary]) {
    if releases.is_empty() {
        println!("no release yet; `sprint-reports refresh` publishes the first");
        return;
    }
    println!(
        "{:<10} {:<26} {:<26} {:>6} {:>6}",
        "release", "published", "data until", "tables", "tests"
    );
    for release in releases {
        println!(
            "{:<10} {:<26} {:<26} {:>6} {:>6}",
            release.release_id,
            instant(Some(release.published_at)),
            instant(release.data_time),
            release.tables,
            release.checks_passed
        );
    }
}

fn show(release: &Release) {
    println!("release     {}", release.release_id);
    println!("published   {}", instant(Some(release.published_at)));
    println!("data until  {}", instant(release.data_time));
    println!("run         {}", release.run_id);
    println!("tests       {} passed", release.content.checks.len());
    println!("tables");
    for (name, state) in &release.content.tables {
        println!("  {name:<36} version {}", state.version);
    }
    println!("views");
    for name in release.content.views.keys() {
        println!("  {name}");
    }
}

fn instant(instant: Option<chrono::DateTime<chrono::Utc>>) -> String {
    instant.map_or_else(
        || "unknown".to_string(),
        |at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    )
}
