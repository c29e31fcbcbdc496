//! The query service in this process; values are written as PostgreSQL writes them.

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use futures::TryStreamExt;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType};
use tests::Refused;
use warehouse::{QueryOptions, Warehouse};

use crate::wire::Failure;

pub(crate) struct InProcess {
    lake: Warehouse,
}

impl InProcess {
    pub(crate) fn new(lake: Warehouse) -> Self {
        Self { lake }
    }
}

#[async_trait]
impl AsyncDB for InProcess {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        let options = QueryOptions::default();
        let stream = self
            .lake
            .query()
            .run(sql, &options)
            .await
            .map_err(failure)?;
        let types = stream
            .schema()
            .fields()
            .iter()
            .map(|field| kind(field.data_type()))
            .collect();
        let batches: Vec<_> = stream.try_collect().await.map_err(failure)?;
        Ok(DBOutput::Rows {
            types,
            rows: batches.iter().flat_map(rows).collect(),
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "in-process"
    }

    fn error_sql_state(error: &Failure) -> Option<String> {
        Some(error.0.sqlstate.clone())
    }
}

fn failure(error: warehouse::Error) -> Failure {
    Failure(Refused {
        sqlstate: error.sqlstate().to_string(),
        message: error.to_string(),
    })
}

fn kind(data_type: &DataType) -> DefaultColumnType {
    match data_type {
        kind if kind.is_integer() => DefaultColumnType::Integer,
        kind if kind.is_numeric() => DefaultColumnType::FloatingPoint,
        _ => DefaultColumnType::Text,
    }
}

fn rows(batch: &RecordBatch) -> Vec<Vec<String>> {
    (0..batch.num_rows())
        .map(|row| {
            let columns = batch.columns().iter();
            columns.map(|column| shown(text(column, row))).collect()
        })
        .collect()
}

/// A value as PostgreSQL's text format has it; `None` is null.
fn text(column: &dyn Array, row: usize) -> Option<String> {
    if column.is_null(row) || *column.data_type() == DataType::Null {
        return None;
    }
    let boolean = |values: &BooleanArray| if values.value(row) { "t" } else { "f" };
    Some(match column.data_type() {
        DataType::Boolean => boolean(column.as_boolean()).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            let items = (0..items.len()).map(|item| text(&items, item).unwrap_or("NULL".into()));
            format!("{{{}}}", items.collect::<Vec<_>>().join(","))
        }
        _ => {
            let options = FormatOptions::default()
                .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
                .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f+00"));
            let formatter = ArrayFormatter::try_new(column, &options).unwrap();
            formatter.value(row).to_string()
        }
    })
}

/// As the files write it.
pub(crate) fn shown(value: Option<String>) -> String {
    match value {
        None => "NULL".to_string(),
        Some(text) if text.is_empty() => "(empty)".to_string(),
        Some(text) => text,
    }
}
