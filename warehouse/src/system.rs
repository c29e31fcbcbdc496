//! The `system` schema: the warehouse describes itself in tables, read afresh by every query.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::json::ReaderBuilder;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::Result;
use crate::catalog::Catalog;
use crate::meta::MetaDb;
use crate::query::QueryLog;
use crate::release::{ReleaseSummary, Releases};

/// Most runs, steps and events that the tables show.
const NEWEST: u32 = 10_000;

/// What the tables are read from. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct System {
    pub(crate) meta: MetaDb,
    pub(crate) releases: Releases,
    pub(crate) queries: QueryLog,
}

/// All tables of the schema, by name.
pub(crate) fn tables(system: &System) -> Vec<(&'static str, Arc<dyn TableProvider>)> {
    use Kind::*;
    [
        Releases,
        Runs,
        Steps,
        Checks,
        Connections,
        Quarantine,
        Freshness,
        Queries,
        Webhooks,
        Models,
        Columns,
        Lineage,
        Metrics,
        Alerts,
    ]
    .into_iter()
    .map(|kind| {
        let table = SystemTable {
            kind,
            system: system.clone(),
        };
        (kind.name(), Arc::new(table) as Arc<dyn TableProvider>)
    })
    .collect()
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Releases,
    Runs,
    Steps,
    Checks,
    Connections,
    Quarantine,
    Freshness,
    Queries,
    Webhooks,
    Models,
    Columns,
    Lineage,
    Metrics,
    Alerts,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Releases => "releases",
            Kind::Runs => "runs",
            Kind::Steps => "steps",
            Kind::Checks => "checks",
            Kind::Connections => "connections",
            Kind::Quarantine => "quarantine",
            Kind::Freshness => "freshness",
            Kind::Queries => "queries",
            Kind::Webhooks => "webhooks",
            Kind::Models => "models",
            Kind::Columns => "columns",
            Kind::Lineage => "lineage",
            Kind::Metrics => "metrics",
            Kind::Alerts => "alerts",
        }
    }

    /// Columns: `name:type`, where the type is t(ext), n(umber), b(oolean) or i(nstant).
    fn columns(self) -> &'static str {
        match self {
            Kind::Releases => {
                "release_id:t published_at:i data_time:i run_id:t tables:n checks_passed:n"
            }
            Kind::Runs => {
                "run_id:t pipeline:t trigger:t status:t reason:t scheduled_for:i started_at:i \
                 finished_at:i"
            }
            Kind::Steps => {
                "run_id:t step:t status:t attempts:n rows_in:n rows_out:n bytes:n requests:n \
                 retries:n started_at:i finished_at:i error:t details:t"
            }
            Kind::Checks => "release_id:t name:t table_name:t failing_rows:n",
            Kind::Connections => "connection:t kind:t url:t time_zone:t source_time:i synced_at:i",
            Kind::Quarantine => {
                "connection:t stream:t key:t run_id:t error:t payload:t seen_at:i \
                 mapping_version:n"
            }
            // Age: seconds from the source's clock at the last sync until now; of data not yet in
            // a release, too.
            Kind::Freshness => {
                "connection:t source_time:i synced_at:i age_seconds:n release_id:t \
                 release_data_time:i release_age_seconds:n"
            }
            Kind::Queries => {
                "query_id:t request_id:t protocol:t release_id:t status:t rows:n milliseconds:n \
                 sqlstate:t error:t started_at:i finished_at:i query:t"
            }
            Kind::Webhooks => {
                "connection:t identifier:t kind:t state:t attempts:n reason:t retry:t flow:t bytes:n \
                 received_at:i due_at:i finished_at:i"
            }
            // Of the current release; lists separated by commas.
            Kind::Models => {
                "name:t kind:t grain:t description:t owner:t key_columns:t reads:t file:t sql:t"
            }
            Kind::Columns => "table_name:t column_name:t is_key:b description:t",
            Kind::Metrics => {
                "id:t name:t formula:t grain:t unit:t table_name:t column_name:t source:t version:n"
            }
            Kind::Alerts => {
                "alert_id:t channel:t kind:t severity:t subject:t pipeline:t run_id:t connection:t \
                 dedupe_key:t resolves:t state:t attempts:n reason:t occurred_at:i raised_at:i due_at:i \
                 finished_at:i closed_at:i"
            }
            // Values of a column come from these; a column without a row is computed from none.
            Kind::Lineage => "table_name:t column_name:t from_table:t from_column:t",
        }
    }

    fn schema(self) -> SchemaRef {
        let fields: Vec<Field> = self
            .columns()
            .split_whitespace()
            .filter_map(|column| column.split_once(':'))
            .map(|(name, kind)| {
                let data_type = match kind {
                    "n" => DataType::Int64,
                    "b" => DataType::Boolean,
                    "i" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                    _ => DataType::Utf8,
                };
                Field::new(name, data_type, true)
            })
            .collect();
        Arc::new(Schema::new(fields))
    }
}

#[derive(Debug)]
struct SystemTable {
    kind: Kind,
    system: System,
}

impl SystemTable {
    async fn rows(&self) -> Result<Vec<Value>> {
        Ok(match self.kind {
            Kind::Releases => {
                let releases = self.system.releases.list().await?;
                to_rows(releases.iter().map(ReleaseSummary::from))
            }
            Kind::Runs => to_rows(self.system.meta.runs(NEWEST).await?),
            Kind::Steps => to_rows(self.system.meta.steps(NEWEST).await?),
            Kind::Checks => {
                let releases = self.system.releases.list().await?;
                let checks = releases.iter().flat_map(|release| {
                    release.content.checks.iter().map(|check| {
                        json!({
                            "release_id": release.release_id,
                            "name": check.name,
                            "table_name": check.table.as_ref().map(ToString::to_string),
                            "failing_rows": check.failing_rows,
                        })
                    })
                });
                checks.collect()
            }
            Kind::Connections => to_rows(self.system.meta.sources().await?),
            Kind::Quarantine => to_rows(self.system.meta.quarantined(NEWEST).await?),
            Kind::Freshness => self.freshness().await?,
            Kind::Queries => to_rows(self.system.queries.rows()),
            Kind::Webhooks => to_rows(self.system.meta.inbox(NEWEST).await?),
            Kind::Models => models(&self.catalog().await?),
            Kind::Columns => columns(&self.catalog().await?),
            Kind::Lineage => lineage(&self.catalog().await?),
            Kind::Metrics => metrics(&self.catalog().await?),
            Kind::Alerts => to_rows(self.system.meta.alerts(NEWEST).await?),
        })
    }

    async fn catalog(&self) -> Result<Catalog> {
        match self.system.releases.latest().await? {
            Some(release) => self.system.releases.catalog(&release).await,
            None => Ok(Catalog::default()),
        }
    }

    async fn freshness(&self) -> Result<Vec<Value>> {
        let now = Utc::now();
        let age = |instant: DateTime<Utc>| (now - instant).num_seconds();
        let release = self.system.releases.latest().await?;
        let data_time = release.as_ref().and_then(|release| release.data_time);
        let sources = self.system.meta.sources().await?;
        let rows = sources.iter().map(|source| {
            json!({
                "connection": source.connection,
                "source_time": source.source_time,
                "synced_at": source.synced_at,
                "age_seconds": age(source.source_time),
                "release_id": release.as_ref().map(|release| &release.release_id),
                "release_data_time": data_time,
                "release_age_seconds": data_time.map(age),
            })
        });
        Ok(rows.collect())
    }

    async fn load(&self) -> EngineResult<MemTable> {
        let external = |error: crate::Error| DataFusionError::External(Box::new(error));
        let rows = self.rows().await.map_err(external)?;
        let schema = self.schema();
        let mut decoder = ReaderBuilder::new(SchemaRef::clone(&schema))
            .with_batch_size(rows.len().max(1))
            .build_decoder()?;
        decoder.serialize(&rows)?;
        MemTable::try_new(schema, vec![decoder.flush()?.into_iter().collect()])
    }
}

fn models(catalog: &Catalog) -> Vec<Value> {
    let rows = catalog.models.iter().map(|(name, model)| {
        let reads: Vec<String> = model.reads.iter().map(ToString::to_string).collect();
        json!({
            "name": name.to_string(), "kind": model.kind, "grain": model.grain,
            "description": model.description, "owner": model.owner, "file": model.file,
            "key_columns": model.key.join(", "), "reads": reads.join(", "), "sql": model.sql,
        })
    });
    rows.collect()
}

fn columns(catalog: &Catalog) -> Vec<Value> {
    let rows = catalog.models.iter().flat_map(|(name, model)| {
        model.columns.iter().map(|(column, doc)| {
            json!({
                "table_name": name.to_string(), "column_name": column,
                "is_key": model.key.contains(column), "description": doc.description,
            })
        })
    });
    rows.collect()
}

fn lineage(catalog: &Catalog) -> Vec<Value> {
    let mut rows = Vec::new();
    for (name, model) in &catalog.models {
        for (column, doc) in &model.columns {
            rows.extend(doc.from.iter().map(|(table, from)| {
                json!({
                    "table_name": name.to_string(), "column_name": column,
                    "from_table": table.to_string(), "from_column": from,
                })
            }));
        }
    }
    rows
}

fn metrics(catalog: &Catalog) -> Vec<Value> {
    let rows = catalog.metrics.iter().map(|metric| {
        json!({
            "id": metric.id, "name": metric.name, "formula": metric.formula, "grain": metric.grain,
            "unit": metric.unit, "table_name": metric.table, "column_name": metric.column,
            "source": metric.source, "version": metric.version,
        })
    });
    rows.collect()
}

impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        self.kind.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    // Desugared by hand: the macro's version costs the compiler far more.
    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        state: &'life1 dyn Session,
        projection: Option<&'life2 Vec<usize>>,
        filters: &'life3 [Expr],
        limit: Option<usize>,
    ) -> BoxFuture<'async_trait, EngineResult<Arc<dyn ExecutionPlan>>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            self.load()
                .await?
                .scan(state, projection, filters, limit)
                .await
        })
    }
}

/// Rows by their serialised form; an instant that serde wrote stays readable for Arrow.
fn to_rows<T: serde::Serialize>(records: impl IntoIterator<Item = T>) -> Vec<Value> {
    records
        .into_iter()
        .filter_map(|record| serde_json::to_value(record).ok())
        .collect()
}
