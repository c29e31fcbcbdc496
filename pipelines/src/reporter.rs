//! Telling people how runs ended and how old the data is. What can't be told stops no run.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use warehouse::Warehouse;
use warehouse::meta::Claim;

use crate::alerts::{Alert, Alerts, FailedRun, Over};
use crate::{Definition, Ended, Result};

/// Something that a step noticed and that people are told beside how its run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A data test failed.
    TestFailed {
        /// Its name.
        test: String,
        /// Table that it is about.
        table: Option<String>,
        /// Rows that fail it.
        rows: u64,
    },
    /// All data tests passed.
    TestsPassed,
    /// Far fewer issues of a project are visible than before.
    IssuesDropped {
        /// The connection.
        connection: String,
        /// The project.
        project: String,
        /// Issues that are stored.
        before: u64,
        /// Issues that are visible.
        after: u64,
    },
    /// What is visible of a connection was looked at, and was as before.
    IssuesVisible {
        /// The connection.
        connection: String,
    },
}

/// Raises alerts, and says when they are over. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reporter {
    warehouse: Warehouse,
    alerts: Alerts,
    connections: Vec<String>,
}

impl Reporter {
    /// Tells the channels of these alerts; the data of these connections may grow too old, that of others is
    /// not expected to be read any more.
    pub fn new(warehouse: Warehouse, alerts: Alerts, connections: Vec<String>) -> Self {
        Self {
            warehouse,
            alerts,
            connections,
        }
    }

    /// Tells what steps noticed and how a run ended.
    pub(crate) async fn ended(
        &self,
        definition: &Definition,
        claim: &Claim,
        ended: &Ended,
        notices: &[Notice],
    ) {
        let told = async {
            let release = self.release().await;
            let release = release.as_deref();
            let run_id = claim.job.run_id.as_str();
            for notice in notices {
                self.noticed(notice, run_id, release, &definition.alerts)
                    .await?;
            }
            match ended {
                Ended::Failed(reason) => {
                    let alert = Alert::run_failed(FailedRun {
                        pipeline: &definition.name,
                        run_id,
                        step: failed_step(definition, reason),
                        reason,
                        started_at: self.began(run_id).await,
                        release,
                    });
                    self.alerts.raise(&alert, &definition.alerts).await?;
                }
                Ended::Succeeded(_) => {
                    let over = Over::run_succeeded(&definition.name, run_id);
                    self.alerts.over(&over).await?;
                }
                Ended::Cancelled(_) | Ended::HandedBack | Ended::Lost => (),
            }
            Ok::<(), crate::Error>(())
        };
        if let Err(error) = told.await {
            tracing::error!(%error, pipeline = definition.name, "an alert could not be raised");
        }
    }

    async fn noticed(
        &self,
        notice: &Notice,
        run_id: &str,
        release: Option<&str>,
        named: &[String],
    ) -> Result<()> {
        match notice {
            Notice::TestFailed { test, table, rows } => {
                let alert =
                    Alert::data_test_failed(test, table.as_deref(), *rows, Some(run_id), release);
                self.alerts.raise(&alert, named).await?;
            }
            Notice::TestsPassed => {
                self.alerts.over(&Over::data_tests_passed()).await?;
            }
            Notice::IssuesDropped {
                connection,
                project,
                before,
                after,
            } => {
                let alert = Alert::visible_issues_dropped(
                    connection,
                    project,
                    *before,
                    *after,
                    Some(run_id),
                );
                self.alerts.raise(&alert, named).await?;
            }
            // What was missing counts as deleted by now, or is there again: neither is news.
            Notice::IssuesVisible { connection } => {
                self.alerts
                    .over(&Over::all_issues_visible(connection).silently())
                    .await?;
            }
        }
        Ok(())
    }

    /// Tells of connections whose data is older than a limit, and of those that are fresh again.
    pub(crate) async fn freshness(&self, limit: Duration, now: DateTime<Utc>) -> Result<()> {
        let limit = TimeDelta::from_std(limit).unwrap_or(TimeDelta::MAX);
        for source in self.warehouse.meta().sources().await? {
            let is_read = self.connections.contains(&source.connection);
            if !is_read || now - source.source_time <= limit {
                self.alerts
                    .over(&Over::fresh_again(&source.connection))
                    .await?;
                continue;
            }
            let minutes = u64::try_from(limit.num_minutes()).unwrap_or_default();
            let release = self.release().await;
            let alert = Alert::freshness_passed(
                &source.connection,
                source.source_time,
                minutes,
                release.as_deref(),
                now,
            );
            self.alerts.raise(&alert, &[]).await?;
        }
        Ok(())
    }

    async fn release(&self) -> Option<String> {
        let release = self.warehouse.releases().latest().await.ok()??;
        Some(release.release_id)
    }

    async fn began(&self, run_id: &str) -> DateTime<Utc> {
        let run = self.warehouse.meta().run(run_id).await.ok().flatten();
        run.map_or_else(Utc::now, |run| run.started_at)
    }
}

/// The step that a reason begins with.
fn failed_step<'d>(definition: &'d Definition, reason: &str) -> Option<&'d str> {
    let (first, _) = reason.split_once(": ")?;
    let steps = definition.steps.iter();
    steps
        .map(|step| step.name.as_str())
        .find(|name| *name == first)
}
