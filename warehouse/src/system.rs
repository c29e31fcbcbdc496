//! The `system` schema: the warehouse describes itself in tables, read afresh by every query.

use std::sync::Arc;

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
use crate::meta::MetaDb;
use crate::release::{ReleaseSummary, Releases};

/// Most runs and steps that the tables show.
const NEWEST: u32 = 10_000;

/// All tables of the schema, by name.
pub(crate) fn tables(
    meta: &MetaDb,
    releases: &Releases,
) -> Vec<(&'static str, Arc<dyn TableProvider>)> {
    use Kind::*;
    [Releases, Runs, Steps, Checks, Connections, Quarantine]
        .into_iter()
        .map(|kind| {
            let table = SystemTable {
                kind,
                meta: meta.clone(),
                releases: releases.clone(),
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
        }
    }

    /// Columns: `name:type`, where the type is t(ext), n(umber) or i(nstant).
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
                 retries:n started_at:i finished_at:i error:t"
            }
            Kind::Checks => "release_id:t name:t table_name:t failing_rows:n",
            Kind::Connections => "connection:t kind:t url:t time_zone:t source_time:i synced_at:i",
            Kind::Quarantine => "connection:t stream:t key:t run_id:t error:t payload:t seen_at:i",
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
    meta: MetaDb,
    releases: Releases,
}

impl SystemTable {
    async fn rows(&self) -> Result<Vec<Value>> {
        Ok(match self.kind {
            Kind::Releases => {
                let releases = self.releases.list().await?;
                to_rows(releases.iter().map(ReleaseSummary::from))
            }
            Kind::Runs => to_rows(self.meta.runs(NEWEST).await?),
            Kind::Steps => to_rows(self.meta.steps(NEWEST).await?),
            Kind::Checks => {
                let releases = self.releases.list().await?;
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
            Kind::Connections => to_rows(self.meta.sources().await?),
            Kind::Quarantine => to_rows(self.meta.quarantined(NEWEST).await?),
        })
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
