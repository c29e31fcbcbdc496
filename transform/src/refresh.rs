//! One refresh: build what has changed → data tests → publish.
//!
//! A model is built again when its fingerprint differs from the one in the current release: its SQL,
//! how it is kept, and the fingerprints and versions of what it reads.

use std::collections::BTreeSet;
use std::time::Instant;

use chrono::{DateTime, Utc};
use datafusion::prelude::SessionContext;
use futures::future::BoxFuture;
use schemas::TableName;
use serde::Serialize;
use sha2::{Digest, Sha256};
use warehouse::{
    ModelState, NewRelease, Release, Snapshot, Step, TableSource, TableState, Warehouse, fault,
};

use crate::{Error, Materialization, Model, Project, Result, check, graph};

/// What a refresh shall do.
#[derive(Debug, Clone, Default)]
pub struct RefreshOptions {
    /// Models to build, as selectors; all without one.
    pub select: Vec<String>,
    /// Whether to build models whose inputs did not change as well.
    pub full: bool,
}

/// What a refresh did.
#[derive(Debug, Clone, Serialize)]
pub struct RefreshReport {
    /// Run it was.
    pub run_id: String,
    /// Release that was published; `None` when nothing had changed.
    pub release: Option<String>,
    /// The models that are tables, in the order they were run.
    pub models: Vec<ModelRun>,
    /// Data tests that passed.
    pub checks_passed: usize,
}

/// What was done for one model.
#[derive(Debug, Clone, Serialize)]
pub struct ModelRun {
    /// Name of the model.
    pub model: String,
    /// Whether it was up to date already.
    pub skipped: bool,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
}

/// Listener of a refresh.
pub trait Progress: Send + Sync {
    /// A model begins.
    fn building(&self, model: &str, number: usize, of: usize);
    /// The data tests begin.
    fn testing(&self);
    /// All is done.
    fn finished(&self, built: usize, skipped: usize, tests: usize);
}

/// Builds what has changed, tests it, and publishes it as a release.
pub fn refresh<'a>(
    warehouse: &'a Warehouse,
    project: &'a Project,
    options: &'a RefreshOptions,
    progress: &'a dyn Progress,
) -> BoxFuture<'a, Result<RefreshReport>> {
    Box::pin(async move {
        let selected = graph::select(project, &options.select)?;
        let run_id = warehouse.meta().start_run("refresh", "command").await?;
        let current = warehouse.releases().latest().await?;
        let mut refresh = Refresh {
            warehouse,
            project,
            progress,
            current,
            run_id: run_id.clone(),
            content: NewRelease::default(),
            report: RefreshReport {
                run_id: run_id.clone(),
                release: None,
                models: Vec::new(),
                checks_passed: 0,
            },
        };
        let outcome = refresh.run(&selected, options.full).await;
        let (status, reason) = match &outcome {
            Ok(()) => ("succeeded", None),
            Err(error) => ("failed", Some(error.to_string())),
        };
        let finished = warehouse
            .meta()
            .finish_run(&run_id, status, reason.as_deref())
            .await;
        outcome?;
        finished?;
        Ok(refresh.report)
    })
}

struct Refresh<'a> {
    warehouse: &'a Warehouse,
    project: &'a Project,
    progress: &'a dyn Progress,
    current: Option<Release>,
    run_id: String,
    content: NewRelease,
    report: RefreshReport,
}

impl Refresh<'_> {
    fn run<'s>(
        &'s mut self,
        selected: &'s BTreeSet<TableName>,
        full: bool,
    ) -> BoxFuture<'s, Result<()>> {
        Box::pin(async move {
            let mut snapshot = Snapshot::default();
            for contract in schemas::contracts() {
                let table = contract.table();
                if let Some(version) = self.warehouse.tables().version(table).await? {
                    snapshot
                        .tables
                        .insert(table.clone(), TableSource::Delta(Some(version)));
                    self.content
                        .tables
                        .insert(table.clone(), TableState { version });
                }
            }
            let context = self.warehouse.sessions().open(&snapshot).await?;
            let of = self.project.models().len();
            for (number, model) in self.project.models().iter().enumerate() {
                self.progress.building(&model.name.name, number + 1, of);
                let wanted = selected.contains(&model.name);
                self.build(model, &context, wanted, full).await?;
            }
            let built = self
                .report
                .models
                .iter()
                .filter(|model| !model.skipped)
                .count();
            let skipped = self.report.models.len() - built;
            if self.is_published() {
                self.progress.finished(built, skipped, 0);
                return Ok(());
            }
            self.progress.testing();
            let began = Utc::now();
            let checked = check::run(self.project, &context).await;
            self.content.checks = self.step("tests".to_string(), 0, began, checked).await?;
            self.report.checks_passed = self.content.checks.len();
            let data_time = self.warehouse.meta().data_time().await?;
            let content = std::mem::take(&mut self.content);
            let began = Utc::now();
            let published = self
                .warehouse
                .releases()
                .publish(content, &self.run_id, data_time)
                .await
                .map_err(Error::from);
            let release = self
                .step("publish".to_string(), 0, began, published)
                .await?;
            self.report.release = Some(release.release_id);
            self.progress
                .finished(built, skipped, self.report.checks_passed);
            Ok(())
        })
    }

    /// Records how a step went; passes its outcome on.
    async fn step<T>(
        &self,
        name: String,
        rows_out: u64,
        started_at: DateTime<Utc>,
        outcome: Result<T>,
    ) -> Result<T> {
        let step = Step {
            step: name,
            status: if outcome.is_ok() {
                "succeeded"
            } else {
                "failed"
            }
            .to_string(),
            attempts: 1,
            rows_in: 0,
            rows_out,
            bytes: 0,
            requests: 0,
            retries: 0,
            started_at,
            finished_at: Utc::now(),
            error: outcome.as_ref().err().map(ToString::to_string),
        };
        let recorded = self.warehouse.meta().record_step(&self.run_id, &step).await;
        let value = outcome?;
        recorded?;
        Ok(value)
    }

    /// Whether the current release holds exactly these tables and definitions.
    fn is_published(&self) -> bool {
        self.current.as_ref().is_some_and(|current| {
            current.content.tables == self.content.tables
                && current.content.views == self.content.views
                && current.content.models == self.content.models
        })
    }

    async fn build(
        &mut self,
        model: &Model,
        context: &SessionContext,
        wanted: bool,
        full: bool,
    ) -> Result<()> {
        let name = &model.name;
        let fingerprint = self.fingerprint(model);
        let started = Instant::now();
        let known = self.current.as_ref().and_then(|current| {
            let state = current.content.models.get(name)?;
            Some((
                state.fingerprint.clone(),
                current.content.tables.get(name).cloned(),
            ))
        });
        match model.materialization {
            Materialization::View => {
                let view = TableSource::View(model.sql.clone());
                self.warehouse.sessions().set(context, name, view)?;
                self.content.views.insert(name.clone(), model.sql.clone());
                self.content
                    .models
                    .insert(name.clone(), ModelState { fingerprint });
            }
            Materialization::Table => {
                let (state, model_state, skipped) = match known {
                    // A model that was not selected stays as it is, with its old fingerprint.
                    Some((old, Some(state))) if !full && (old == fingerprint || !wanted) => {
                        (state, ModelState { fingerprint: old }, true)
                    }
                    _ => {
                        let began = Utc::now();
                        let written = self.write(model, context).await;
                        let step = model.name.to_string();
                        let rows = written.as_ref().map_or(0, |(_, rows)| *rows);
                        let (version, _) = self.step(step, rows, began, written).await?;
                        (TableState { version }, ModelState { fingerprint }, false)
                    }
                };
                let source = TableSource::Delta(Some(state.version));
                self.warehouse.sessions().set(context, name, source)?;
                self.content.tables.insert(name.clone(), state);
                self.content.models.insert(name.clone(), model_state);
                self.report.models.push(ModelRun {
                    model: name.to_string(),
                    skipped,
                    milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                });
            }
        }
        Ok(())
    }

    fn write<'s>(
        &'s self,
        model: &'s Model,
        context: &'s SessionContext,
    ) -> BoxFuture<'s, Result<(u64, u64)>> {
        Box::pin(async move {
            let failed = |reason: String| Error::Model {
                model: model.name.to_string(),
                file: format!("sql/{}", model.file),
                reason,
            };
            let frame = context
                .sql(&model.sql)
                .await
                .map_err(|error| failed(error.strip_backtrace()))?;
            for field in frame.schema().fields() {
                if !model.columns.contains_key(field.name()) {
                    return Err(failed(format!("column {} is not documented", field.name())));
                }
            }
            if model.columns.len() != frame.schema().fields().len() {
                return Err(failed("a documented column is not there".to_string()));
            }
            fault::point("model.before_write")?;
            let written = self
                .warehouse
                .tables()
                .overwrite(&model.name, frame, &self.run_id)
                .await?;
            fault::point("model.written")?;
            Ok(written)
        })
    }

    fn fingerprint(&self, model: &Model) -> String {
        let mut hash = Sha256::new();
        hash.update(&model.sql);
        hash.update(format!("{:?}", model.materialization));
        for read in &model.reads {
            let version = self.content.tables.get(read).map(|state| state.version);
            let upstream = self
                .content
                .models
                .get(read)
                .map(|state| &state.fingerprint);
            hash.update(format!("{read} {version:?} {upstream:?}\n"));
        }
        hash.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}
