//! `demo`: the product on a simulated Jira, in the working directory.
//!
//! The simulated history ends when the demo was first run here; later runs in the same folder go
//! on with the same site, as a real one would.

use std::fs;
use std::path::Path;

use anyhow::Context;
use chrono::{DateTime, SubsecRound, Utc};
use ingest::{Auth, Connection, Secret, SyncOptions};
use serde::{Deserialize, Serialize};
use simulator::Simulator;
use transform::{Project, RefreshOptions};
use warehouse::{QueryOptions, Warehouse};

use crate::Invocation;
use crate::exit::Outcome;
use crate::progress::Terminal;
use crate::report;
use crate::settings::make_key;

/// What makes a demo site the same again.
const SITE_FILE: &str = "data/demo.json";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Stop after the first release
    #[arg(long)]
    exit: bool,
    /// Port of HTTP; 0 takes a free one
    #[arg(long, value_name = "N")]
    port_http: Option<u16>,
    /// Port of the PostgreSQL protocol; 0 takes a free one
    #[arg(long, value_name = "N")]
    port_postgres: Option<u16>,
    /// Seed of the simulated history
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

/// The demo site of a folder.
#[derive(Debug, Serialize, Deserialize)]
struct Site {
    seed: u64,
    now: DateTime<Utc>,
}

pub(crate) async fn run(arguments: Arguments, invocation: Invocation) -> anyhow::Result<Outcome> {
    let (settings, warehouse) = super::open(&invocation).await?;
    let quiet = invocation.json;
    // First of all, so that a port in use stops the demo before it has written anything.
    let server = if arguments.exit {
        None
    } else {
        let ports = super::serve::Ports {
            http: arguments.port_http,
            postgres: arguments.port_postgres,
        };
        Some(super::serve::bind(warehouse.clone(), &settings, &ports).await?)
    };
    make_key(Path::new(&settings.metadata.key_file))?;
    let site = site(Path::new(SITE_FILE), arguments.seed)?;
    let jira = Simulator::start(simulator_settings(&site))
        .await
        .context("the simulated Jira")?;
    if !quiet {
        println!("simulated Jira      {}", jira.url());
    }
    let connection = connection(&jira, &site);
    super::sync::one(&warehouse, &connection, &SyncOptions::default(), quiet).await?;
    let project = Project::embedded()?;
    let progress = Terminal::new(quiet);
    let refreshed =
        transform::refresh(&warehouse, &project, &RefreshOptions::default(), &progress).await?;
    show(&warehouse, &refreshed, quiet).await?;
    if let Some(server) = server {
        if !quiet {
            println!("reports over HTTP   http://{}", server.http());
            println!(
                "sprints             http://{}/api/v1/sprints/",
                server.http()
            );
            if let Some(address) = server.postgres() {
                println!(
                    "SQL for BI tools    psql postgres://{address}/sprint_reports   (this machine only, no sign-in yet)"
                );
            }
            println!("SQL                 sprint-reports sql 'select * from sprint_metrics'");
            println!("stop with ctrl-c");
        }
        server.run(super::serve::stop_signal()).await?;
    }
    jira.stop().await;
    Ok(Outcome::Done)
}

/// Prints the report of the sprint that was finished last.
async fn show(
    warehouse: &Warehouse,
    refreshed: &transform::RefreshReport,
    json: bool,
) -> anyhow::Result<()> {
    let sql = include_str!("../../../../sql/queries/sprint_finished_last.sql");
    let rows = warehouse
        .query()
        .run(sql, &QueryOptions::default())
        .await?
        .into_rows()
        .await?;
    let sprint = rows
        .first()
        .context("the simulated history has no finished sprint")?;
    let id = sprint
        .get("sprint_id")
        .and_then(serde_json::Value::as_i64)
        .unwrap_or_default();
    let name = sprint.get("connection").and_then(serde_json::Value::as_str);
    let sprint = serve::sprint_report(warehouse, id, name, None).await?;
    if json {
        return super::print_json(&serde_json::json!({"refresh": refreshed, "report": sprint}));
    }
    print!("{}", report::text(&sprint));
    Ok(())
}

fn simulator_settings(site: &Site) -> simulator::Settings {
    let world = simulator::WorldSettings {
        seed: site.seed,
        now: site.now,
        ..simulator::WorldSettings::default()
    };
    simulator::Settings {
        world,
        ..simulator::Settings::default()
    }
}

fn connection(jira: &Simulator, site: &Site) -> Connection {
    let account = simulator_settings(site).account;
    Connection {
        name: "demo".to_string(),
        url: jira.url().to_string(),
        auth: Auth::Basic,
        email: account.email,
        token: Secret::new(account.token),
        ..Connection::default()
    }
}

/// The site of an earlier demo in this folder, or a new one.
fn site(path: &Path, seed: u64) -> anyhow::Result<Site> {
    if let Ok(text) = fs::read_to_string(path) {
        return serde_json::from_str(&text).with_context(|| {
            format!(
                "{} can't be read; delete the folder data to start anew",
                path.display()
            )
        });
    }
    let site = Site {
        seed,
        now: Utc::now().trunc_subsecs(3),
    };
    fs::create_dir_all("data").context("creating the folder data")?;
    fs::write(path, serde_json::to_vec(&site)?)
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(site)
}
