//! What steps do.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use ingest::{Connection, SyncOptions, SyncReport};
use schemas::{Blame, Retry};
use transform::{Project, RefreshOptions};
use warehouse::Warehouse;
use warehouse::maintenance::{self, MaintainOptions};

use crate::{Notice, StepKind};

/// How long a step waits while another pipeline, or a command, writes the same tables.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Listener of what steps do.
pub trait Listener: ingest::Progress + transform::Progress + maintenance::Progress {}

impl<T: ingest::Progress + transform::Progress + maintenance::Progress> Listener for T {}

/// What a step gets.
#[derive(Clone, Copy)]
pub struct StepContext<'a> {
    /// The run it belongs to.
    pub run_id: &'a str,
    /// Told of what it does.
    pub listener: &'a dyn Listener,
}

impl std::fmt::Debug for StepContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StepContext")
            .field("run_id", &self.run_id)
            .finish_non_exhaustive()
    }
}

/// What a step did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Records read.
    pub rows_in: u64,
    /// Rows changed.
    pub rows_out: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Requests made.
    pub requests: u64,
    /// Requests repeated.
    pub retries: u64,
    /// What is missing, when not all was done.
    pub missing: Option<String>,
    /// What people should be told.
    pub notices: Vec<Notice>,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What happened and what to do.
    pub text: String,
    /// Who has to act.
    pub blame: Blame,
    /// Whether the same attempt may succeed later.
    pub retry: Retry,
    /// What people should be told beside it.
    pub notices: Vec<Notice>,
}

/// Does steps.
pub trait Steps: Send + Sync {
    /// Does one. It may be stopped at any moment, and done again after that.
    fn perform<'a>(
        &'a self,
        step: &'a StepKind,
        context: StepContext<'a>,
    ) -> BoxFuture<'a, Result<Done, Failure>>;
}

/// The steps of this product: they read sources and compute models.
#[derive(Debug)]
pub struct Jobs {
    warehouse: Warehouse,
    connections: Vec<Connection>,
    project: Project,
    maintain: MaintainOptions,
}

impl Jobs {
    /// Steps over these connections and models, keeping what these options say.
    pub fn new(
        warehouse: Warehouse,
        connections: Vec<Connection>,
        project: Project,
        maintain: MaintainOptions,
    ) -> Self {
        Self {
            warehouse,
            connections,
            project,
            maintain,
        }
    }

    /// As the workers share them.
    pub fn shared(self) -> Arc<dyn Steps> {
        Arc::new(self)
    }

    async fn sync(
        &self,
        names: &[String],
        options: SyncOptions,
        context: StepContext<'_>,
    ) -> Result<Done, Failure> {
        let options = SyncOptions {
            run_id: Some(context.run_id.to_string()),
            wait: PATIENCE,
            ..options
        };
        let user = |text: String| Failure {
            text,
            blame: Blame::User,
            retry: Retry::Never,
            notices: Vec::new(),
        };
        let is_known = |name: &&String| self.connections.iter().any(|one| one.name == **name);
        if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
            return Err(user(format!(
                "there is no connection '{unknown}' in the settings"
            )));
        }
        if self.connections.is_empty() {
            return Err(user(
                "no source is configured; add a [[connections]] table to sprint-reports.toml"
                    .to_string(),
            ));
        }
        let mut done = Done::default();
        let mut missing = Vec::new();
        let mut failures = Vec::new();
        // One that fails does not keep the others from being read.
        for connection in &self.connections {
            if !names.is_empty() && !names.contains(&connection.name) {
                continue;
            }
            let name = &connection.name;
            match ingest::sync(&self.warehouse, connection, &options, context.listener).await {
                Ok(report) => {
                    done.add(&report);
                    if !report.is_complete() {
                        missing.push(format!(
                            "{name}: {} records are in quarantine",
                            report.quarantined()
                        ));
                    }
                }
                Err(error) => failures.push(Failure {
                    text: format!("{name}: {error}"),
                    blame: error.blame(),
                    retry: error.retry(),
                    notices: Vec::new(),
                }),
            }
        }
        if !missing.is_empty() {
            done.missing = Some(missing.join("; "));
        }
        match Failure::all(failures) {
            None => Ok(done),
            Some(failure) => Err(Failure {
                notices: done.notices,
                ..failure
            }),
        }
    }

    async fn refresh(
        &self,
        options: RefreshOptions,
        context: StepContext<'_>,
    ) -> Result<Done, Failure> {
        let options = RefreshOptions {
            run_id: Some(context.run_id.to_string()),
            wait: PATIENCE,
            ..options
        };
        let outcome =
            transform::refresh(&self.warehouse, &self.project, &options, context.listener).await;
        match outcome {
            Ok(report) => {
                let built = report.models.iter().filter(|model| !model.skipped).count();
                Ok(Done {
                    rows_in: report.models.len() as u64,
                    rows_out: built as u64,
                    notices: vec![Notice::TestsPassed],
                    ..Done::default()
                })
            }
            Err(error) => Err(Failure {
                text: error.to_string(),
                blame: error.blame(),
                retry: error.retry(),
                notices: failed_tests(&error),
            }),
        }
    }
}

impl Jobs {
    async fn maintain(&self, context: StepContext<'_>) -> Result<Done, Failure> {
        let options = MaintainOptions {
            run_id: Some(context.run_id.to_string()),
            ..self.maintain.clone()
        };
        let us = |text: String, retry| Failure {
            text,
            blame: Blame::Us,
            retry,
            notices: Vec::new(),
        };
        let report = maintenance::maintain(&self.warehouse, &options, context.listener).await;
        let report = report.map_err(|error| us(error.to_string(), error.retry()))?;
        match report.problems.as_slice() {
            [] => Ok(Done {
                rows_in: report.tables.iter().map(|table| table.rows_rewritten).sum(),
                ..Done::default()
            }),
            [first, others @ ..] => Err(us(
                format!(
                    "{} {}: {} (and {} more); `sprint-reports maintain --dry-run` lists all",
                    first.table,
                    first.file,
                    first.problem,
                    others.len()
                ),
                Retry::Never,
            )),
        }
    }
}

impl Steps for Jobs {
    fn perform<'a>(
        &'a self,
        step: &'a StepKind,
        context: StepContext<'a>,
    ) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            match step {
                StepKind::Sync {
                    connections,
                    streams,
                    full,
                    sweep,
                } => {
                    let options = SyncOptions {
                        streams: streams.clone(),
                        full: *full,
                        sweep: *sweep,
                        ..SyncOptions::default()
                    };
                    self.sync(connections, options, context).await
                }
                StepKind::Refresh { select, full } => {
                    let options = RefreshOptions {
                        select: select.clone(),
                        full: *full,
                        ..RefreshOptions::default()
                    };
                    self.refresh(options, context).await
                }
                StepKind::Maintain {} => self.maintain(context).await,
            }
        })
    }
}

/// A notice for each data test that failed.
fn failed_tests(error: &transform::Error) -> Vec<Notice> {
    let transform::Error::Checks(failed) = error else {
        return Vec::new();
    };
    let notices = failed.iter().map(|check| Notice::TestFailed {
        test: check.name.clone(),
        table: check.table.as_ref().map(ToString::to_string),
        rows: check.rows,
    });
    notices.collect()
}

impl Done {
    fn add(&mut self, report: &SyncReport) {
        let connection = || report.connection.clone();
        match report.dropped.as_deref() {
            None => (),
            Some([]) => self.notices.push(Notice::IssuesVisible {
                connection: connection(),
            }),
            Some(dropped) => {
                let notices = dropped.iter().map(|one| Notice::IssuesDropped {
                    connection: connection(),
                    project: one.project.clone(),
                    before: one.before,
                    after: one.after,
                });
                self.notices.extend(notices);
            }
        }
        self.rows_in += report.streams.iter().map(|stream| stream.read).sum::<u64>();
        self.rows_out += report.changed();
        self.bytes += report.bytes;
        self.requests += report.requests;
        self.retries += report.retries;
    }
}

impl Failure {
    /// Several failures as one: it may be tried again if any of them may.
    fn all(failures: Vec<Failure>) -> Option<Failure> {
        let may = |failure: &&Failure| failure.retry == Retry::Later;
        let leading = failures.iter().find(may).or_else(|| failures.first())?;
        let texts: Vec<&str> = failures.iter().map(|one| one.text.as_str()).collect();
        Some(Failure {
            text: texts.join("; "),
            blame: leading.blame,
            retry: leading.retry,
            notices: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_failures_are_tried_again_if_one_of_them_may() {
        let failure = |text: &str, blame, retry| Failure {
            text: text.to_string(),
            blame,
            retry,
            notices: Vec::new(),
        };
        let user = failure("a", Blame::User, Retry::Never);
        let source = failure("b", Blame::Source, Retry::Later);
        assert_eq!(Failure::all(vec![]), None);
        assert_eq!(
            Failure::all(vec![user.clone(), source]),
            Some(failure("a; b", Blame::Source, Retry::Later))
        );
        assert_eq!(Failure::all(vec![user.clone()]), Some(user));
    }
}
