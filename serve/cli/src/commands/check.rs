//! `check`: what is wrong with the set-up, and what to do.

use std::collections::BTreeSet;

use ingest::Connection;
use serde::Serialize;
use warehouse::Warehouse;

use crate::Invocation;
use crate::exit::Outcome;
use crate::settings::{AlertChannel, Settings};

/// Webhooks that wait longer are a finding.
const LATE_MINUTES: i64 = 10;
/// A copy of the metadata database that is further behind is one too, in seconds.
const LATE_COPY: f64 = 60.0;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    ok: bool,
    says: String,
}

impl Finding {
    fn good(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            ok: true,
            says: says.into(),
        }
    }

    fn bad(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            ok: false,
            says: says.into(),
        }
    }
}

pub(crate) async fn run(invocation: Invocation) -> anyhow::Result<Outcome> {
    let settings = Settings::load(invocation.config.as_deref())?;
    let mut findings = vec![Finding::good("settings", "read")];
    let config = settings.warehouse()?;
    let opened = Warehouse::open(&config).await;
    match &opened {
        Ok(warehouse) => {
            findings.push(Finding::good("store", &settings.store.url));
            findings.extend(metadata(warehouse).await);
            findings.push(releases(warehouse).await);
            findings.extend(webhooks(warehouse, &settings).await);
        }
        Err(error) => {
            use warehouse::Error;
            let what = match error {
                Error::MetadataUrl { .. }
                | Error::MetaAway { .. }
                | Error::Migrate(_)
                | Error::NewerMetadata { .. } => "metadata",
                Error::StoreUrl { .. } | Error::Store { .. } => "store",
                _ => "store and metadata",
            };
            findings.push(Finding::bad(what, error.to_string()));
        }
    }
    findings.push(models().await);
    findings.push(pipelines(&settings, opened.as_ref().ok()).await);
    if settings.connections.is_empty() {
        findings.push(Finding::good("connections", "none configured"));
    }
    for setting in &settings.connections {
        let what = format!("connection {}", setting.name);
        findings.push(
            match super::sync::connection(setting, opened.as_ref().ok()) {
                Ok(connection) => source(what, &connection).await,
                Err(error) => Finding::bad(what, error.to_string()),
            },
        );
    }
    findings.extend(settings.alerts.iter().map(alert_channel));
    show(&findings, invocation.json)?;
    let bad = findings.iter().filter(|finding| !finding.ok).count();
    if bad > 0 {
        anyhow::bail!("{bad} of {} checks failed", findings.len());
    }
    Ok(Outcome::Done)
}

/// Which database, whether it answers, and its copies.
async fn metadata(warehouse: &Warehouse) -> Vec<Finding> {
    let state = match warehouse.meta().state().await {
        Ok(state) => state,
        Err(error) => return vec![Finding::bad("metadata", error.to_string())],
    };
    let says = format!(
        "{}, {}, schema {} is this version's",
        state.database, state.software, state.schema
    );
    let mut findings = vec![Finding::good("metadata", says)];
    for replica in state.replicas {
        let says = |rest: String| format!("{}{rest}", replica.database);
        findings.push(match (&replica.error, replica.behind_seconds) {
            (Some(error), _) => Finding::bad(
                "metadata copy",
                says(format!(" does not answer, the primary does: {error}")),
            ),
            (None, Some(behind)) if behind > LATE_COPY => {
                Finding::bad("metadata copy", says(format!(" is {behind:.0} s behind")))
            }
            (None, Some(behind)) => {
                Finding::good("metadata copy", says(format!(", {behind:.0} s behind")))
            }
            (None, None) => Finding::good(
                "metadata copy",
                says(", does not say how late it is".to_string()),
            ),
        });
    }
    findings
}

async fn releases(warehouse: &Warehouse) -> Finding {
    match warehouse.releases().latest().await {
        Ok(Some(release)) => Finding::good("release", format!("{} is current", release.release_id)),
        Ok(None) => Finding::good("release", "none yet; run `sync`, then `refresh`"),
        Err(error) => Finding::bad("release", error.to_string()),
    }
}

/// Events that wait or were refused, of every connection that accepts webhooks or has some.
async fn webhooks(warehouse: &Warehouse, settings: &Settings) -> Vec<Finding> {
    let counts = match warehouse.meta().inbox_counts().await {
        Ok(counts) => counts,
        Err(error) => return vec![Finding::bad("webhooks", error.to_string())],
    };
    let accepting = settings.connections.iter();
    let accepting = accepting.filter(|connection| !connection.webhook_secret.is_empty());
    let mut names: BTreeSet<&str> = accepting
        .map(|connection| connection.name.as_str())
        .collect();
    names.extend(counts.iter().map(|count| count.connection.as_str()));
    let finding = |name: &str| {
        let of = |state: &str| {
            let mut counts = counts.iter();
            counts.find(|count| count.connection == name && count.state == state)
        };
        let refused = of("refused").map_or(0, |count| count.events);
        let refused = match refused {
            0 => String::new(),
            refused => format!(
                "; {refused} were refused, `select * from system.quarantine where stream = 'webhooks'` says why"
            ),
        };
        let what = format!("webhooks {name}");
        let Some(pending) = of("pending") else {
            return Finding::good(what, format!("none wait{refused}"));
        };
        let minutes = (chrono::Utc::now() - pending.oldest).num_minutes();
        let says = format!("{} wait, the oldest for {minutes} min", pending.events);
        match minutes < LATE_MINUTES {
            true => Finding::good(what, says + &refused),
            false => Finding::bad(
                what,
                format!("{says}; run `work` or `all`, its log says why they wait{refused}"),
            ),
        }
    };
    names.into_iter().map(finding).collect()
}

/// The settings of an alert channel; nobody is told anything.
fn alert_channel(setting: &AlertChannel) -> Finding {
    let what = format!("alerts {}", setting.name);
    match super::alerts::channel(setting) {
        Ok(channel) => Finding::good(what, channel.receiver()),
        Err(error) => Finding::bad(what, error.to_string()),
    }
}

/// Every model planned, none run.
async fn models() -> Finding {
    let project = match transform::Project::embedded() {
        Ok(project) => project,
        Err(error) => return Finding::bad("models", error.to_string()),
    };
    let wrong = project.compile().await;
    if wrong.is_empty() {
        return Finding::good("models", format!("{} compile", project.models().len()));
    }
    let texts: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    Finding::bad("models", texts.join("; "))
}

/// Definitions of pipelines, and runs that wait.
async fn pipelines(settings: &Settings, warehouse: Option<&Warehouse>) -> Finding {
    let definitions = match super::pipeline::definitions(settings) {
        Ok(definitions) => definitions,
        Err(error) => return Finding::bad("pipelines", error.to_string()),
    };
    let names: Vec<&str> = definitions.names().collect();
    let says = names.join(", ");
    let channels: Vec<&str> = settings
        .alerts
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    for one in definitions.iter() {
        let mut named = one.alerts.iter();
        if let Some(unknown) = named.find(|name| !channels.contains(&name.as_str())) {
            return Finding::bad(
                "pipelines",
                format!(
                    "{} alerts '{unknown}', and there is no [[alerts]] of this name",
                    one.file
                ),
            );
        }
    }
    let Some(warehouse) = warehouse else {
        return Finding::good("pipelines", says);
    };
    match warehouse.meta().open_jobs(None).await {
        Ok(jobs) => {
            let late = chrono::Utc::now() - chrono::TimeDelta::minutes(LATE_MINUTES);
            let waits = |job: &&warehouse::meta::Job| job.state == "waiting" && job.due_at < late;
            match jobs.iter().find(waits) {
                Some(job) => Finding::bad(
                    "pipelines",
                    format!(
                        "a run of {} waits since {}; is `work` or `all` running?",
                        job.pipeline, job.due_at
                    ),
                ),
                None => Finding::good("pipelines", says),
            }
        }
        Err(error) => Finding::bad("pipelines", error.to_string()),
    }
}

/// Reachability, credentials, clock and time zone of a source.
async fn source(what: String, connection: &Connection) -> Finding {
    match ingest::discover(connection).await {
        Ok(site) => {
            let off = (site.source_time - chrono::Utc::now()).num_seconds();
            let clock = if off.abs() < 120 {
                "clocks agree".to_string()
            } else {
                format!("its clock is {off} s off this machine's; reading goes by its clock")
            };
            let says = format!(
                "reachable as {}, time zone {}, {} projects, {} boards, {clock}",
                site.account,
                site.time_zone,
                site.projects.len(),
                site.boards.len()
            );
            Finding::good(what, says)
        }
        Err(error) => Finding::bad(what, error.to_string()),
    }
}

fn show(findings: &[Finding], json: bool) -> anyhow::Result<()> {
    if json {
        return super::print_json(&findings);
    }
    for finding in findings {
        let mark = if finding.ok { "ok  " } else { "FAIL" };
        println!(
            "{mark}  {:<22} {}",
            finding.what,
            crate::output::clean(&finding.says)
        );
    }
    Ok(())
}
