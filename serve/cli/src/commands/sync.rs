//! `sync`: reads the configured sources once, to the end.

use anyhow::Context;
use ingest::{Auth, Connection, OAuthApp, Secret, SyncOptions, SyncReport};
use warehouse::Warehouse;

use crate::Invocation;
use crate::exit::{Outcome, UsageError};
use crate::output::clean;
use crate::progress::Terminal;
use crate::settings::{self, Settings, SettingsError};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this connection
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Only this stream (may be given several times)
    #[arg(long, value_name = "STREAM")]
    stream: Vec<String>,
    /// Read everything again, as if for the first time
    #[arg(long)]
    full: bool,
    /// Look for deleted issues now, not only once a day
    #[arg(long)]
    sweep: bool,
    /// Rebuild the tables from the raw records without calling the source
    #[arg(long, conflicts_with_all = ["full", "sweep"])]
    replay: bool,
}

pub(crate) async fn run(arguments: Arguments, invocation: Invocation) -> anyhow::Result<Outcome> {
    let (settings, warehouse) = super::open(&invocation).await?;
    let chosen = chosen(&settings, arguments.connection.as_deref(), &warehouse)?;
    let options = SyncOptions {
        streams: arguments.stream,
        full: arguments.full,
        sweep: arguments.sweep,
        replay: arguments.replay,
        ..SyncOptions::default()
    };
    let mut reports = Vec::new();
    for connection in &chosen {
        reports.push(one(&warehouse, connection, &options, invocation.json).await?);
    }
    if invocation.json {
        super::print_json(&reports)?;
    }
    Ok(outcome(&reports))
}

/// Reads one connection and shows what came.
pub(crate) async fn one(
    warehouse: &Warehouse,
    connection: &Connection,
    options: &SyncOptions,
    quiet: bool,
) -> anyhow::Result<SyncReport> {
    let progress = Terminal::new(quiet);
    let report = ingest::sync(warehouse, connection, options, &progress)
        .await
        .with_context(|| format!("connection '{}'", connection.name))?;
    if !quiet {
        summary(&report);
    }
    Ok(report)
}

/// What came, in one line, and what is worth knowing about it.
fn summary(report: &SyncReport) {
    println!(
        "{}: {} rows changed, {} requests ({} repeated), {} KiB",
        report.connection,
        report.changed(),
        report.requests,
        report.retries,
        report.bytes >> 10
    );
    for note in &report.notes {
        println!("  {}: {}", note.stream, clean(&note.text));
    }
}

fn outcome(reports: &[SyncReport]) -> Outcome {
    let missing: Vec<String> = reports
        .iter()
        .filter(|report| !report.is_complete())
        .map(|report| {
            format!(
                "{}: {} records are in quarantine; `sprint-reports sql 'select * from \
                 system.quarantine'` says why",
                report.connection,
                report.quarantined()
            )
        })
        .collect();
    if missing.is_empty() {
        Outcome::Done
    } else {
        Outcome::Partly(missing.join("; "))
    }
}

fn chosen(
    settings: &Settings,
    name: Option<&str>,
    warehouse: &Warehouse,
) -> anyhow::Result<Vec<Connection>> {
    let connections: Vec<Connection> = settings
        .connections
        .iter()
        .filter(|connection| name.is_none_or(|name| connection.name == name))
        .map(|setting| connection(setting, Some(warehouse)))
        .collect::<anyhow::Result<_>>()?;
    if connections.is_empty() {
        let message = match name {
            Some(name) => format!("there is no connection '{name}' in the settings"),
            None => "no source is configured; add a [[connections]] table to sprint-reports.toml, \
                     or run `sprint-reports demo` to see the product on a simulated Jira"
                .to_string(),
        };
        return Err(UsageError(message).into());
    }
    Ok(connections)
}

/// A configured connection, its secrets resolved. What signing in hands out is kept in the warehouse.
pub(crate) fn connection(
    setting: &settings::Connection,
    warehouse: Option<&Warehouse>,
) -> anyhow::Result<Connection> {
    let name = &setting.name;
    let secret = |key: &str, text: &str| {
        settings::resolve_secret(&format!("connections.{name}.{key}"), text).map(Secret::new)
    };
    let (public, usual) = match setting.kind.as_str() {
        "github" => ("https://api.github.com", "bearer"),
        "gitlab" => ("https://gitlab.com", "bearer"),
        _ => ("", "basic"),
    };
    let or = |given: &str, usual: &str| if given.is_empty() { usual } else { given }.to_string();
    let url = or(&setting.url, public);
    if url.is_empty() {
        return Err(SettingsError(format!(
            "connections.{name}.url is missing; write it like https://acme.atlassian.net"
        ))
        .into());
    }
    let auth = match or(&setting.auth, usual).as_str() {
        "basic" => Auth::Basic,
        "bearer" => Auth::Bearer,
        "oauth" => Auth::OAuth,
        other => {
            return Err(SettingsError(format!(
                "connections.{name}.auth = \"{other}\": this version knows basic, bearer and oauth"
            ))
            .into());
        }
    };
    let defaults = Connection::default();
    let app = defaults.oauth;
    let connection = Connection {
        name: name.clone(),
        kind: setting.kind.clone(),
        url,
        auth,
        email: setting.email.clone(),
        token: secret("token", &setting.token)?,
        oauth: OAuthApp {
            client_id: setting.client_id.clone(),
            client_secret: secret("client_secret", &setting.client_secret)?,
            refresh_token: secret("refresh_token", &setting.refresh_token)?,
            token_url: setting.token_url.clone().unwrap_or(app.token_url),
        },
        sign_ins: warehouse.map(|warehouse| warehouse.meta().clone()),
        cloud_id: setting.cloud_id.clone(),
        gateway_url: setting.gateway_url.clone().unwrap_or(defaults.gateway_url),
        projects: setting.projects.clone(),
        time_zone: setting.time_zone.clone(),
        insecure: setting.insecure,
        private: setting.private,
        // What is out of range is refused where all of the connection is checked.
        concurrency: Some(u32::try_from(setting.concurrency).unwrap_or(0)),
        requests_per_second: setting.requests_per_second,
        fields: ingest::FieldOverrides {
            story_points: setting.fields.story_points.clone(),
            sprint: setting.fields.sprint.clone(),
            rank: setting.fields.rank.clone(),
            discipline_team: setting.fields.discipline_team.clone(),
            owner: setting.fields.owner.clone(),
        },
    };
    Ok(connection)
}
