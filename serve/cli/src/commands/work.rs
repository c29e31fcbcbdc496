//! `work`: the jobs of this process: what is due, what is asked for, and the webhooks of the connections.

use futures::future::BoxFuture;
use ingest::{Connection, Silent, WorkOptions};
use pipelines::alerts::Alerts;
use pipelines::{Reporter, Worker, WorkerOptions};
use warehouse::Warehouse;

use super::serve::stop_signal;
use crate::Invocation;
use crate::exit::{Outcome, UsageError};
use crate::settings::Settings;

pub(crate) async fn run(invocation: Invocation) -> anyhow::Result<Outcome> {
    let (settings, warehouse) = super::open(&invocation).await?;
    let work = Work::new(&settings, warehouse)?;
    if work.connections.is_empty() {
        let message = "no source is configured, so there is nothing to work on; add a [[connections]] table to sprint-reports.toml";
        return Err(UsageError(message.to_string()).into());
    }
    let names: Vec<_> = work
        .connections
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    println!("working off the webhooks of {}", names.join(", "));
    println!("working on the pipelines: {}", work.pipelines.join(", "));
    work.until_stopped().await?;
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

/// What a process works on.
pub(crate) struct Work {
    warehouse: Warehouse,
    connections: Vec<Connection>,
    pipelines: Vec<String>,
    worker: Worker,
    alerts: Alerts,
}

impl Work {
    pub(crate) fn new(settings: &Settings, warehouse: Warehouse) -> anyhow::Result<Self> {
        let definitions = super::pipeline::definitions(settings)?;
        let pipelines = definitions.names().map(ToString::to_string).collect();
        let jobs = super::pipeline::jobs(settings, &warehouse)?;
        let options = WorkerOptions {
            slots: settings.pipelines.slots,
            schedules: settings.pipelines.schedule,
            freshness: settings.pipelines.freshness(),
            ..WorkerOptions::default()
        };
        let worker = Worker::new(
            warehouse.meta().clone(),
            definitions,
            jobs.shared(),
            options,
        );
        let alerts = super::alerts::alerts(settings, &warehouse)?;
        let names = settings.connections.iter().map(|one| one.name.clone());
        let reporter = Reporter::new(warehouse.clone(), alerts.clone(), names.collect());
        let worker = worker.with_reporter(reporter);
        Ok(Self {
            connections: connections(settings, &warehouse)?,
            alerts,
            warehouse,
            pipelines,
            worker,
        })
    }

    /// Works until the process is asked to stop; what is under way is finished then, or given back.
    pub(crate) async fn until_stopped(&self) -> anyhow::Result<()> {
        let options = WorkOptions::default();
        // Boxed by type: the compiler need not look into both at once.
        let events: BoxFuture<'_, anyhow::Result<()>> = Box::pin(async {
            let connections = &self.connections;
            ingest::work(
                &self.warehouse,
                connections,
                &options,
                &Silent,
                stop_signal(),
            )
            .await?;
            Ok(())
        });
        let runs: BoxFuture<'_, anyhow::Result<()>> =
            Box::pin(async { Ok(self.worker.work(stop_signal()).await?) });
        let alerts: BoxFuture<'_, anyhow::Result<()>> = Box::pin(async {
            self.alerts.run(stop_signal()).await;
            Ok(())
        });
        tokio::try_join!(events, runs, alerts)?;
        Ok(())
    }
}
