//! `release list|show`: what was published.

use clap::Subcommand;
use warehouse::{Release, ReleaseSummary};

use crate::Invocation;
use crate::exit::Outcome;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// All releases, the newest first
    List,
    /// One release: its tables, models and tests
    Show {
        /// Its name (r12), an RFC 3339 instant or a day; the current release without it
        release: Option<String>,
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
    }
    Ok(Outcome::Done)
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
