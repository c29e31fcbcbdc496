//! `raw.records`: the raw zone as a table that SQL can read.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::future::BoxFuture;
use schemas::RawRecord;

use super::{RawFile, RawZone};

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    serde_json::from_str(schemas::raw_schema())
        .map_err(|error| error.to_string())
        .and_then(|avro| schemas::arrow_schema(&avro))
        .unwrap_or_else(|_| Arc::new(Schema::empty()))
});

/// The raw zone as a table; equality filters on connection and stream choose the files.
#[derive(Debug)]
pub(crate) struct RawTable {
    zone: RawZone,
}

impl RawTable {
    pub(crate) fn new(zone: RawZone) -> Self {
        Self { zone }
    }
}

impl TableProvider for RawTable {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&SCHEMA)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    // Desugared by hand: the macro's version costs the compiler far more.
    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        _state: &'life1 dyn Session,
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
        let connection = wanted(filters, "connection");
        let stream = wanted(filters, "stream");
        Box::pin(async move {
            let files = self.zone.all_files().await.map_err(external)?;
            let partitions = files
                .into_iter()
                .filter(|file| {
                    connection
                        .as_ref()
                        .is_none_or(|name| *name == file.connection)
                })
                .filter(|file| stream.as_ref().is_none_or(|name| *name == file.stream))
                .map(|file| {
                    let zone = self.zone.clone();
                    Arc::new(FilePartition { zone, file }) as Arc<dyn PartitionStream>
                })
                .collect();
            let plan = StreamingTableExec::try_new(
                self.schema(),
                partitions,
                projection,
                None,
                false,
                limit.filter(|_| filters.is_empty()),
            )?;
            Ok(Arc::new(plan) as Arc<dyn ExecutionPlan>)
        })
    }
}

/// The text that a filter `column = 'text'` asks for.
fn wanted(filters: &[Expr], column: &str) -> Option<String> {
    filters.iter().find_map(|filter| {
        let Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) = filter
        else {
            return None;
        };
        let (Expr::Column(name), Expr::Literal(value, _)) = (left.as_ref(), right.as_ref()) else {
            return None;
        };
        match value {
            ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text))
                if name.name == column =>
            {
                Some(text.clone())
            }
            _ => None,
        }
    })
}

#[derive(Debug)]
struct FilePartition {
    zone: RawZone,
    file: RawFile,
}

impl PartitionStream for FilePartition {
    fn schema(&self) -> &SchemaRef {
        &SCHEMA
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (zone, file) = (self.zone.clone(), self.file.clone());
        let batches = futures::stream::once(async move {
            let records = zone.read(&file).await.map_err(external)?;
            to_batch(&records)
        });
        Box::pin(RecordBatchStreamAdapter::new(
            SchemaRef::clone(&SCHEMA),
            batches,
        ))
    }
}

fn to_batch(records: &[RawRecord]) -> EngineResult<RecordBatch> {
    let text = |part: fn(&RawRecord) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(records.iter().map(part)))
    };
    let instants = |part: fn(&RawRecord) -> Option<i64>| -> ArrayRef {
        let values = TimestampMicrosecondArray::from_iter(records.iter().map(part));
        Arc::new(values.with_timezone("UTC"))
    };
    let columns = vec![
        text(|r| &r.connection),
        text(|r| &r.stream),
        text(|r| &r.key),
        instants(|r| Some(r.fetched_at.timestamp_micros())),
        text(|r| &r.run_id),
        instants(|r| r.source_updated.map(|at| at.timestamp_micros())),
        text(|r| &r.payload),
    ];
    Ok(RecordBatch::try_new(SchemaRef::clone(&SCHEMA), columns)?)
}

fn external(error: crate::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
