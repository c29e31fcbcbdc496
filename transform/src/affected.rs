//! From changes of the inputs to the keys of a model that must be computed again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use futures::future::BoxFuture;
use schemas::TableName;
use warehouse::{Changes, Keys, ModelState, TableSource, TableState, Warehouse};

use crate::inputs::CHANGED;
use crate::project::{Affected, Model};
use crate::{Error, Project, Result};

/// Most keys that are computed again one by one; beyond it the whole model is cheaper.
const MOST_KEYS: usize = 10_000;

/// What of a model must be computed again.
#[derive(Debug)]
pub(crate) enum Scope {
    /// Nothing: no input has changed.
    Nothing,
    /// The rows of these keys.
    Keys(Keys),
    /// Everything.
    All,
}

/// Differences of tables between the versions that models were built from and now; each is read once.
pub(crate) struct Differences<'a> {
    warehouse: &'a Warehouse,
    project: &'a Project,
    known: HashMap<(TableName, u64), Arc<Changes>>,
}

impl<'a> Differences<'a> {
    pub(crate) fn new(warehouse: &'a Warehouse, project: &'a Project) -> Self {
        Self {
            warehouse,
            project,
            known: HashMap::new(),
        }
    }

    async fn of(&mut self, table: &TableName, from: u64, to: u64) -> Result<Arc<Changes>> {
        let key = (table.clone(), from);
        if let Some(known) = self.known.get(&key) {
            return Ok(Arc::clone(known));
        }
        let columns = self.project.watched(table);
        let changes = self.warehouse.tables().changes(table, &columns, from, to);
        let changes = Arc::new(changes.await?);
        self.known.insert(key, Arc::clone(&changes));
        Ok(changes)
    }

    /// What of a model must be computed again, now that its inputs are at these versions.
    pub(crate) fn scope<'s>(
        &'s mut self,
        model: &'s Model,
        state: &'s ModelState,
        now: &'s BTreeMap<TableName, TableState>,
        context: &'s SessionContext,
    ) -> BoxFuture<'s, Result<Scope>> {
        Box::pin(async move {
            if state.definition != model.definition {
                return Ok(Scope::All);
            }
            let mut keys = Keys::default();
            for input in &model.inputs {
                let versions = (state.inputs.get(input), now.get(input).map(|at| at.version));
                let (from, to) = match versions {
                    (None, None) => continue,
                    (Some(from), Some(to)) => (*from, to),
                    _ => return Ok(Scope::All),
                };
                let changes = self.of(input, from, to).await?;
                match (&*changes, &model.incremental) {
                    (Changes::Nothing, _) => {}
                    (Changes::Rows { before, after }, Some(incremental)) => {
                        let rows: Vec<RecordBatch> = before.iter().chain(after).cloned().collect();
                        let found = match incremental.affected.get(input) {
                            Some(Affected::Same) => Keys::from_batches(&incremental.by, &rows)?,
                            Some(Affected::Sql(sql)) => {
                                let found = select(model, context, &rows, sql).await?;
                                Keys::from_batches(&incremental.by, &found)?
                            }
                            Some(Affected::All) | None => return Ok(Scope::All),
                        };
                        keys.extend(found);
                    }
                    _ => return Ok(Scope::All),
                }
                if keys.len() > MOST_KEYS {
                    return Ok(Scope::All);
                }
            }
            if keys.is_empty() {
                Ok(Scope::Nothing)
            } else {
                Ok(Scope::Keys(keys))
            }
        })
    }
}

/// The keys that a statement over the changed rows gives.
async fn select(
    model: &Model,
    context: &SessionContext,
    changed: &[RecordBatch],
    sql: &str,
) -> Result<Vec<RecordBatch>> {
    let failed = |reason: String| Error::Model {
        model: model.name.to_string(),
        file: format!("sql/{}", model.file.replace(".sql", ".yml")),
        reason: format!("affected: {reason}"),
    };
    let Some(first) = changed.first() else {
        return Ok(Vec::new());
    };
    let table = MemTable::try_new(first.schema(), vec![changed.to_vec()])
        .map_err(|error| failed(error.strip_backtrace()))?;
    let name = TableName::new("marts", CHANGED);
    warehouse::set(context, &name, TableSource::Provider(Arc::new(table)))?;
    let frame = context.sql(sql).await;
    let frame = frame.map_err(|error| failed(error.strip_backtrace()))?;
    let found = frame.collect().await;
    found.map_err(|error| failed(error.strip_backtrace()))
}
