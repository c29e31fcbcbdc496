//! One refresh: build what has changed → data tests → publish.
//!
//! A model is looked at again when its fingerprint differs from the one in the current release: its SQL,
//! how it is kept, and the fingerprints and versions of what it reads. Of an incremental model only the
//! rows of the keys that the changes of its inputs affect are then computed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use datafusion::prelude::SessionContext;
use futures::future::BoxFuture;
use schemas::TableName;
use serde::Serialize;
use sha2::{Digest, Sha256};
use warehouse::{NewRelease, Release, Snapshot, Step, TableSource, TableState, Warehouse};

use crate::affected::Differences;
use crate::{Error, Model, Project, Result, check, graph};

/// What a refresh shall do.
#[derive(Debug, Clone)]
pub struct RefreshOptions {
    /// Models to build, as selectors; all without one. What they read is built where it never was; other
    /// models stay as they are, or unbuilt.
    pub select: Vec<String>,
    /// Whether to build models whose inputs did not change as well.
    pub full: bool,
    /// Run it belongs to, as [`warehouse::MetaDb`] gave it; without one the refresh is a run of its own.
    pub run_id: Option<String>,
    /// How long to wait while another refresh is under way.
    pub wait: Duration,
}

impl Default for RefreshOptions {
    fn default() -> Self {
        Self {
            select: Vec::new(),
            full: false,
            run_id: None,
            wait: Duration::from_secs(30),
        }
    }
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
    /// Keys whose rows were computed again; `None` when all rows were.
    pub keys: Option<usize>,
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
        let meta = warehouse.meta();
        if let Some(run_id) = &options.run_id {
            return alone(warehouse, project, options, progress, &selected, run_id).await;
        }
        let run_id = meta.start_run("refresh", "command").await?;
        let outcome = alone(warehouse, project, options, progress, &selected, &run_id).await;
        let (status, reason) = match &outcome {
            Ok(_) => ("succeeded", None),
            Err(error) => ("failed", Some(error.to_string())),
        };
        let finished = meta.finish_run(&run_id, status, reason.as_deref()).await;
        let report = outcome?;
        finished?;
        Ok(report)
    })
}

/// Refreshes while nobody else computes models or changes what is published.
async fn alone(
    warehouse: &Warehouse,
    project: &Project,
    options: &RefreshOptions,
    progress: &dyn Progress,
    selected: &BTreeSet<TableName>,
    run_id: &str,
) -> Result<RefreshReport> {
    let lease = warehouse
        .meta()
        .lease(warehouse::MODELS_LEASE, "refresh", options.wait)
        .await?;
    let work = async {
        let mut refresh = Refresh {
            warehouse,
            project,
            progress,
            current: warehouse.releases().latest().await?,
            differences: Differences::new(warehouse, project),
            run_id: run_id.to_string(),
            content: NewRelease {
                functions: project.functions().clone(),
                ..NewRelease::default()
            },
            report: RefreshReport {
                run_id: run_id.to_string(),
                release: None,
                models: Vec::new(),
                checks_passed: 0,
            },
        };
        refresh.run(selected, options.full).await?;
        Ok::<_, Error>(refresh.report)
    };
    let outcome = lease.hold(work).await;
    let released = lease.release().await;
    let report = outcome?;
    released?;
    Ok(report)
}

pub(crate) struct Refresh<'a> {
    pub(crate) warehouse: &'a Warehouse,
    project: &'a Project,
    progress: &'a dyn Progress,
    pub(crate) current: Option<Release>,
    pub(crate) run_id: String,
    pub(crate) content: NewRelease,
    pub(crate) report: RefreshReport,
    pub(crate) differences: Differences<'a>,
}

impl<'a> Refresh<'a> {
    fn run<'s>(
        &'s mut self,
        selected: &'s BTreeSet<TableName>,
        full: bool,
    ) -> BoxFuture<'s, Result<()>> {
        Box::pin(async move {
            let mut snapshot = Snapshot::default();
            self.content.tables = self.sources(full).await?;
            for (table, state) in &self.content.tables {
                let source = TableSource::Delta(Some(state.version));
                snapshot.tables.insert(table.clone(), source);
            }
            let context = self.warehouse.sessions().open(&snapshot).await?;
            let models = self.needed(selected);
            let of = models.len();
            for (number, model) in models.into_iter().enumerate() {
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
            let there = &self.content.models;
            let checked = check::run(self.project, there, &context).await;
            self.content.checks = self
                .step("tests".to_string(), (0, 0), began, checked)
                .await?;
            self.report.checks_passed = self.content.checks.len();
            self.describe(&context).await?;
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
                .step("publish".to_string(), (0, 0), began, published)
                .await?;
            self.report.release = Some(release.release_id);
            self.progress
                .finished(built, skipped, self.report.checks_passed);
            Ok(())
        })
    }

    /// The versions of the source tables. Where nothing but the place of rows has changed since the current
    /// release, they are its own, so that maintenance makes no release.
    async fn sources(&self, full: bool) -> Result<BTreeMap<TableName, TableState>> {
        let tables = self.warehouse.tables();
        let current = self.current.as_ref().map(|current| &current.content.tables);
        let (mut newest, mut is_same) = (BTreeMap::new(), !full);
        let mut known = BTreeMap::new();
        for contract in schemas::contracts() {
            let table = contract.table();
            let Some(version) = tables.version(table).await? else {
                continue;
            };
            newest.insert(table.clone(), TableState { version });
            let before = current.and_then(|current| current.get(table));
            let since = before.map(|state| state.version);
            is_same = is_same
                && (since == Some(version)
                    || since.is_some() && tables.version_since(table, since).await? == since);
            known.extend(before.map(|state| (table.clone(), state.clone())));
        }
        Ok(if is_same { known } else { newest })
    }

    /// The models of the new release: those that are selected, those that the current one has, and all that
    /// these read.
    fn needed(&self, selected: &BTreeSet<TableName>) -> Vec<&'a Model> {
        let current = self.current.as_ref();
        let is_known =
            |name| current.is_some_and(|current| current.content.models.contains_key(name));
        let mut needed: BTreeSet<&TableName> = BTreeSet::new();
        let models = self.project.models();
        for model in models.iter().rev() {
            let name = &model.name;
            if selected.contains(name) || is_known(name) || needed.contains(name) {
                needed.insert(name);
                needed.extend(&model.reads);
            }
        }
        let is_needed = |model: &&'a Model| needed.contains(&model.name);
        models.iter().filter(is_needed).collect()
    }

    /// Names the catalog of the models; writes it where a release of the same models has not.
    async fn describe(&mut self, context: &SessionContext) -> Result<()> {
        let hash = self.project.hash(&self.content.models);
        let releases = self.warehouse.releases();
        if !releases.has_catalog(&hash).await? {
            let catalog = self.project.catalog(context, &self.content.models).await?;
            releases.save_catalog(&hash, &catalog).await?;
        }
        self.content.catalog = Some(hash);
        Ok(())
    }

    /// Records how a step went; passes its outcome on.
    pub(crate) async fn step<T>(
        &self,
        name: String,
        rows: (u64, u64),
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
            rows_in: rows.0,
            rows_out: rows.1,
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
                && current.content.functions == self.content.functions
        })
    }

    pub(crate) fn fingerprint(&self, model: &Model) -> String {
        let mut hash = Sha256::new();
        hash.update(&model.definition);
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
