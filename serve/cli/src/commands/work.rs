//! `work`: the jobs of this process. So far these are the webhooks of the connections.

use ingest::{Connection, Silent, WorkOptions};
use warehouse::Warehouse;

use super::serve::stop_signal;
use crate::Invocation;
use crate::exit::{Outcome, UsageError};
use crate::settings::Settings;

pub(crate) async fn run(invocation: Invocation) -> anyhow::Result<Outcome> {
    let (settings, warehouse) = super::open(&invocation).await?;
    let connections = connections(&settings, &warehouse)?;
    if connections.is_empty() {
        let message = "no source is configured, so there is nothing to work on; add a [[connections]] table to sprint-reports.toml";
        return Err(UsageError(message.to_string()).into());
    }
    let names: Vec<_> = connections.iter().map(|one| one.name.as_str()).collect();
    println!("working off the webhooks of {}", names.join(", "));
    until_stopped(&warehouse, &connections).await?;
    Ok(Outcome::Done)
}

/// The connections whose events are worked off.
pub(crate) fn connections(
    settings: &Settings,
    warehouse: &Warehouse,
) -> anyhow::Result<Vec<Connection>> {
    let connections = settings.connections.iter();
    connections
        .map(|setting| super::sync::connection(setting, Some(warehouse)))
        .collect()
}

/// Works until the process is asked to stop; what is under way is finished then.
pub(crate) async fn until_stopped(
    warehouse: &Warehouse,
    connections: &[Connection],
) -> anyhow::Result<()> {
    let options = WorkOptions::default();
    ingest::work(warehouse, connections, &options, &Silent, stop_signal()).await?;
    Ok(())
}
