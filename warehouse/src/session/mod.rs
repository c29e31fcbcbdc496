//! Query sessions: the only place where a `SessionContext` is made.

mod catalog;
mod functions;
mod interrupt;
mod postgres;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use deltalake::delta_datafusion::planner::DeltaPlanner;
use futures::future::BoxFuture;
use schemas::TableName;

use crate::raw::RawZone;
use crate::release::Release;
use crate::system::System;
use crate::tables::Tables;
use crate::{Config, Error, Result};

use catalog::{LakeCatalog, LakeSchema};

pub use postgres::VERSION as POSTGRES_VERSION;

/// Name of the database that SQL clients see.
pub(crate) const CATALOG: &str = "sprint_reports";
/// Where names without a schema are looked for.
const SCHEMA: &str = "marts";

/// Schemas of the catalog, in the direction the data flows.
pub(crate) const SCHEMAS: [&str; 7] = [
    "raw",
    "jira",
    "git",
    "staging",
    "intermediate",
    "marts",
    "system",
];

/// Where a table of a session comes from.
#[derive(Debug, Clone)]
pub enum TableSource {
    /// A version of a Delta table; the newest one when none is named.
    Delta(Option<u64>),
    /// A view, as SQL.
    View(String),
    /// Something else that the engine can read.
    Provider(Arc<dyn TableProvider>),
}

/// The tables and views that a session sees. Source tables that are not named, or do not exist
/// yet, are empty.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Tables and views by name.
    pub tables: BTreeMap<TableName, TableSource>,
}

impl Snapshot {
    /// The newest version of every source table.
    pub fn newest_sources() -> Self {
        let tables = schemas::contracts()
            .iter()
            .map(|contract| (contract.table().clone(), TableSource::Delta(None)))
            .collect();
        Self { tables }
    }
}

impl From<&Release> for Snapshot {
    fn from(release: &Release) -> Self {
        let tables = release
            .content
            .tables
            .iter()
            .map(|(name, state)| (name.clone(), TableSource::Delta(Some(state.version))));
        let views = release
            .content
            .views
            .iter()
            .map(|(name, sql)| (name.clone(), TableSource::View(sql.clone())));
        Self {
            tables: tables.chain(views).collect(),
        }
    }
}

/// Makes sessions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sessions {
    runtime: Arc<RuntimeEnv>,
    tables: Tables,
    raw: RawZone,
    system: System,
}

impl Sessions {
    pub(crate) fn new(
        runtime: Arc<RuntimeEnv>,
        tables: Tables,
        raw: RawZone,
        system: System,
    ) -> Self {
        Self {
            runtime,
            tables,
            raw,
            system,
        }
    }

    /// A session for the queries of users: as [`Sessions::open`], and for PostgreSQL clients a
    /// catalog of theirs; functions that make much from nothing are bounded,
    /// and every query can be stopped.
    pub(crate) fn open_for_queries<'a>(
        &'a self,
        snapshot: &'a Snapshot,
    ) -> BoxFuture<'a, Result<SessionContext>> {
        Box::pin(async move {
            let context = self.open(snapshot).await?;
            postgres::install(&context)?;
            crate::query::bound(&context);
            let state = context.state_ref();
            let interruptible = SessionStateBuilder::new_from_existing(context.state())
                .with_physical_optimizer_rule(Arc::new(interrupt::Interruptible))
                .build();
            *state.write() = interruptible;
            Ok(context)
        })
    }

    /// A session over a snapshot, with `raw` and `system` beside it. Tables are opened, and views
    /// planned, when a query first names them.
    pub fn open<'a>(&'a self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<SessionContext>> {
        Box::pin(async move {
            let context = context(Arc::clone(&self.runtime));
            let catalog = LakeCatalog::default();
            for name in SCHEMAS {
                let schema = LakeSchema::new(name, Some(self.tables.clone()), &context);
                for (table, source) in &snapshot.tables {
                    if table.schema == name {
                        schema.set(&table.name, source.clone());
                    }
                }
                catalog.add(name, schema);
            }
            let raw = Arc::new(crate::raw::RawTable::new(self.raw.clone()));
            catalog.set(
                &TableName::new("raw", "records"),
                TableSource::Provider(raw),
            );
            for (name, provider) in crate::system::tables(&self.system) {
                catalog.set(
                    &TableName::new("system", name),
                    TableSource::Provider(provider),
                );
            }
            context.register_catalog(CATALOG, Arc::new(catalog));
            Ok(context)
        })
    }

    /// Adds or replaces a table or view of an open session.
    pub fn set(
        &self,
        context: &SessionContext,
        name: &TableName,
        source: TableSource,
    ) -> Result<()> {
        set(context, name, source)
    }
}

/// A session without a lake: the catalog with all its schemas, the source tables empty. For unit
/// tests of models and for compiling them.
pub fn blank() -> SessionContext {
    let context = context(Arc::new(RuntimeEnv::default()));
    let catalog = LakeCatalog::default();
    for name in SCHEMAS {
        catalog.add(name, LakeSchema::new(name, None, &context));
    }
    context.register_catalog(CATALOG, Arc::new(catalog));
    context
}

/// Adds or replaces a table or view of an open session.
pub fn set(context: &SessionContext, name: &TableName, source: TableSource) -> Result<()> {
    let catalog = context.catalog(CATALOG);
    let schema = catalog.and_then(|catalog| catalog.schema(&name.schema));
    let schema = schema
        .as_ref()
        .and_then(|schema| schema.downcast_ref::<LakeSchema>());
    let schema =
        schema.ok_or_else(|| Error::query(format!("there is no schema '{}'", name.schema)))?;
    schema.set(&name.name, source);
    Ok(())
}

/// The memory, disk and caches that all sessions of a process share.
pub(crate) fn runtime(config: &Config) -> Result<Arc<RuntimeEnv>> {
    let top = std::num::NonZeroUsize::MIN.saturating_add(4);
    let pool = TrackConsumersPool::new(FairSpillPool::new(config.memory_bytes), top);
    let mut builder = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool));
    if let Some(folder) = &config.spill_dir {
        builder = builder.with_temp_file_path(folder);
    }
    builder.build_arc().map_err(Error::engine)
}

/// A session without any table, for reading and writing single Delta tables.
pub(crate) fn plain(runtime: Arc<RuntimeEnv>) -> SessionContext {
    context(runtime)
}

fn context(runtime: Arc<RuntimeEnv>) -> SessionContext {
    let config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        .set_str("datafusion.execution.time_zone", "UTC")
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        // Knows the plan nodes of Delta writes; plans everything else as usual.
        .with_query_planner(DeltaPlanner::new())
        .build();
    let context = SessionContext::new_with_state(state);
    for function in functions::all() {
        context.register_udf(function);
    }
    context
}
