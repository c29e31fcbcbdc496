//! The catalog of a session: tables are opened, and views planned, when first named.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::datasource::ViewTable;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::TableType;
use datafusion::prelude::SessionContext;
use futures::future::BoxFuture;
use parking_lot::RwLock;
use schemas::TableName;

use super::TableSource;
use crate::tables::{self, Tables};

/// The one catalog of a session.
#[derive(Debug, Default)]
pub(super) struct LakeCatalog {
    schemas: Mutex<BTreeMap<String, Arc<LakeSchema>>>,
    /// Schemas that others made, such as `pg_catalog`.
    foreign: Mutex<BTreeMap<String, Arc<dyn SchemaProvider>>>,
}

impl LakeCatalog {
    pub(super) fn add(&self, name: &str, schema: LakeSchema) {
        locked(&self.schemas).insert(name.to_string(), Arc::new(schema));
    }

    pub(super) fn set(&self, name: &TableName, source: TableSource) {
        if let Some(schema) = locked(&self.schemas).get(&name.schema) {
            schema.set(&name.name, source);
        }
    }
}

impl CatalogProvider for LakeCatalog {
    fn schema_names(&self) -> Vec<String> {
        let own = locked(&self.schemas);
        let foreign = locked(&self.foreign);
        own.keys().chain(foreign.keys()).cloned().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match locked(&self.schemas).get(name).cloned() {
            Some(schema) => Some(schema),
            None => locked(&self.foreign).get(name).cloned(),
        }
    }

    fn register_schema(
        &self,
        name: &str,
        schema: Arc<dyn SchemaProvider>,
    ) -> EngineResult<Option<Arc<dyn SchemaProvider>>> {
        Ok(locked(&self.foreign).insert(name.to_string(), schema))
    }
}

/// One schema of the catalog.
#[derive(Debug)]
pub(super) struct LakeSchema {
    name: String,
    lake: Option<Tables>,
    state: Weak<RwLock<SessionState>>,
    sources: Mutex<BTreeMap<String, TableSource>>,
    opened: Mutex<BTreeMap<String, Arc<dyn TableProvider>>>,
}

impl LakeSchema {
    pub(super) fn new(name: &str, lake: Option<Tables>, context: &SessionContext) -> Self {
        let sources = schemas::contracts()
            .iter()
            .filter(|contract| contract.table().schema == name)
            .map(|contract| {
                let empty = Arc::new(EmptyTable::new(contract.arrow_schema()));
                (contract.table().name.clone(), TableSource::Provider(empty))
            })
            .collect();
        Self {
            name: name.to_string(),
            lake,
            state: context.state_weak_ref(),
            sources: Mutex::new(sources),
            opened: Mutex::default(),
        }
    }

    pub(super) fn set(&self, name: &str, source: TableSource) {
        locked(&self.sources).insert(name.to_string(), source);
        locked(&self.opened).remove(name);
    }

    async fn open(&self, name: &str) -> EngineResult<Option<Arc<dyn TableProvider>>> {
        if let Some(provider) = locked(&self.opened).get(name).cloned() {
            return Ok(Some(provider));
        }
        let Some(source) = locked(&self.sources).get(name).cloned() else {
            return Ok(None);
        };
        let provider = match source {
            TableSource::Provider(provider) => provider,
            TableSource::View(sql) => self.view(sql).await?,
            TableSource::Delta(version) => match self.delta(name, version).await? {
                Some(provider) => provider,
                None => return Ok(None),
            },
        };
        locked(&self.opened).insert(name.to_string(), Arc::clone(&provider));
        Ok(Some(provider))
    }

    async fn view(&self, sql: String) -> EngineResult<Arc<dyn TableProvider>> {
        let ended = || DataFusionError::Internal("the session has ended".to_string());
        let state = self.state.upgrade().ok_or_else(ended)?.read().clone();
        let plan = Box::pin(state.create_logical_plan(&sql)).await?;
        Ok(Arc::new(ViewTable::new(plan, Some(sql))))
    }

    async fn delta(
        &self,
        name: &str,
        version: Option<u64>,
    ) -> EngineResult<Option<Arc<dyn TableProvider>>> {
        let table = TableName::new(&self.name, name);
        let external = |error: crate::Error| DataFusionError::External(Box::new(error));
        let found = match &self.lake {
            Some(lake) => lake.at(&table, version).await.map_err(external)?,
            None => None,
        };
        match found {
            Some(delta) => {
                let provider = tables::provider(&table, &delta).await;
                provider.map(Some).map_err(external)
            }
            None => Ok(schemas::contract(&table)
                .map(|contract| Arc::new(EmptyTable::new(contract.arrow_schema())) as _)),
        }
    }
}

impl SchemaProvider for LakeSchema {
    fn table_names(&self) -> Vec<String> {
        locked(&self.sources).keys().cloned().collect()
    }

    fn table_exist(&self, name: &str) -> bool {
        locked(&self.sources).contains_key(name)
    }

    // Desugared by hand: the macro's version costs the compiler far more.
    fn table<'life0, 'life1, 'async_trait>(
        &'life0 self,
        name: &'life1 str,
    ) -> BoxFuture<'async_trait, EngineResult<Option<Arc<dyn TableProvider>>>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.open(name))
    }

    fn table_type<'life0, 'life1, 'async_trait>(
        &'life0 self,
        name: &'life1 str,
    ) -> BoxFuture<'async_trait, EngineResult<Option<TableType>>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        let kind = locked(&self.sources).get(name).map(|source| match source {
            TableSource::View(_) => TableType::View,
            _ => TableType::Base,
        });
        Box::pin(async move { Ok(kind) })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
