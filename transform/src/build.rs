//! Building one model: as a view, as a whole table, or by the keys that changes affect.

use std::time::Instant;

use chrono::Utc;
use datafusion::prelude::{DataFrame, SessionContext, col};
use futures::future::BoxFuture;
use warehouse::{Keys, ModelState, TableSource, TableState, fault};

use crate::affected::Scope;
use crate::refresh::{ModelRun, Refresh};
use crate::{Error, Materialization, Model, Result, compile};

/// What became of a model's table.
struct Built {
    version: u64,
    rows: u64,
    /// Keys computed again; `None` for all.
    keys: Option<usize>,
}

impl Refresh<'_> {
    /// Brings a model up to date, or takes it over from the current release.
    pub(crate) fn build<'s>(
        &'s mut self,
        model: &'s Model,
        context: &'s SessionContext,
        wanted: bool,
        full: bool,
    ) -> BoxFuture<'s, Result<()>> {
        Box::pin(async move {
            let state = ModelState {
                fingerprint: self.fingerprint(model),
                definition: model.definition.clone(),
                inputs: model
                    .inputs
                    .iter()
                    .filter_map(|input| {
                        let version = self.content.tables.get(input)?.version;
                        Some((input.clone(), version))
                    })
                    .collect(),
            };
            if model.materialization == Materialization::View {
                let view = TableSource::View(model.sql.clone());
                self.warehouse.sessions().set(context, &model.name, view)?;
                let views = &mut self.content.views;
                views.insert(model.name.clone(), model.sql.clone());
                self.content.models.insert(model.name.clone(), state);
                return Ok(());
            }
            self.table(model, context, state, wanted, full).await
        })
    }

    async fn table(
        &mut self,
        model: &Model,
        context: &SessionContext,
        state: ModelState,
        wanted: bool,
        full: bool,
    ) -> Result<()> {
        let name = &model.name;
        let started = Instant::now();
        let known = self.current.as_ref().and_then(|current| {
            let state = current.content.models.get(name)?;
            Some((state.clone(), current.content.tables.get(name)?.version))
        });
        let scope = match &known {
            Some(_) if full => Scope::All,
            Some((old, _)) if !wanted || old.fingerprint == state.fingerprint => Scope::Nothing,
            Some((old, _)) => {
                let now = &self.content.tables;
                self.differences.scope(model, old, now, context).await?
            }
            None => Scope::All,
        };
        let (version, state, run) = match (known, scope) {
            (Some((old, version)), Scope::Nothing) => {
                // A model that was not selected stays as it is, with its old fingerprint.
                let state = if wanted { state } else { old };
                (version, state, None)
            }
            (known, scope) => {
                let began = Utc::now();
                let base = known.map(|(_, version)| version);
                let written = self.write(model, context, scope, base).await;
                let rows = written.as_ref().map_or((0, 0), |built| {
                    (built.keys.unwrap_or_default() as u64, built.rows)
                });
                let built = self.step(name.to_string(), rows, began, written).await?;
                (built.version, state, Some(built.keys))
            }
        };
        let source = TableSource::Delta(Some(version));
        self.warehouse.sessions().set(context, name, source)?;
        self.content
            .tables
            .insert(name.clone(), TableState { version });
        self.content.models.insert(name.clone(), state);
        self.report.models.push(ModelRun {
            model: name.to_string(),
            skipped: run.is_none(),
            keys: run.flatten(),
            milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        Ok(())
    }

    fn write<'s>(
        &'s self,
        model: &'s Model,
        context: &'s SessionContext,
        scope: Scope,
        base: Option<u64>,
    ) -> BoxFuture<'s, Result<Built>> {
        Box::pin(async move {
            let frame = frame(model, context).await?;
            fault::point("model.before_write")?;
            let tables = self.warehouse.tables();
            let built = match (scope, &model.incremental, base) {
                // Versions that no release names are left by a refresh that failed.
                (Scope::Keys(keys), Some(incremental), Some(base))
                    if tables.version(&model.name).await? == Some(base) =>
                {
                    let by = &incremental.by;
                    let rows = restricted(model, frame, by, &keys)?;
                    let patched = tables.patch(&model.name, base, by, &keys, rows, &self.run_id);
                    let (version, rows) = patched.await?;
                    Built {
                        version,
                        rows,
                        keys: Some(keys.len()),
                    }
                }
                _ => {
                    let frame = match &model.incremental {
                        Some(incremental) => sorted(model, frame, &incremental.by)?,
                        None => frame,
                    };
                    let written = tables.overwrite(&model.name, frame, &self.run_id);
                    let (version, rows) = written.await?;
                    Built {
                        version,
                        rows,
                        keys: None,
                    }
                }
            };
            fault::point("model.written")?;
            Ok(built)
        })
    }
}

/// The statement of a model, its columns compared with the documented ones.
async fn frame(model: &Model, context: &SessionContext) -> Result<DataFrame> {
    let plan = compile::planned(model, context).await?;
    Ok(DataFrame::new(context.state(), plan))
}

fn restricted(model: &Model, frame: DataFrame, by: &str, keys: &Keys) -> Result<DataFrame> {
    let condition = frame.parse_sql_expr(&keys.condition(by));
    let rows = condition.and_then(|condition| frame.filter(condition));
    rows.map_err(|error| failed(model, error.strip_backtrace()))
}

/// Rows of one key side by side, so that few files hold those that change together.
fn sorted(model: &Model, frame: DataFrame, by: &str) -> Result<DataFrame> {
    let order = ["connection", by].map(|column| col(column).sort(true, false));
    let rows = frame.sort(order.to_vec());
    rows.map_err(|error| failed(model, error.strip_backtrace()))
}

fn failed(model: &Model, reason: String) -> Error {
    Error::Model {
        model: model.name.to_string(),
        file: format!("sql/{}", model.file),
        reason,
    }
}
