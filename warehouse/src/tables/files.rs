//! The files behind a version of a table, and reading and writing them one by one.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::dataframe::DataFrame;
use deltalake::DeltaTable;
use deltalake::delta_datafusion::FileSelection;
use deltalake::kernel::{Add, LogicalFileView};
use deltalake::writer::{DeltaWriter, RecordBatchWriter};
use futures::TryStreamExt;
use schemas::TableName;
use serde_json::Value;

use super::Tables;
use crate::{Error, Result};

/// Rows of a file of a model's table. Small enough that a changed key rewrites little, large enough that
/// a table of millions of rows has hundreds of files, not thousands.
pub(super) const ROWS_PER_FILE: usize = 64 << 10;

/// One data file of a table.
pub(super) struct TableFile {
    pub(super) view: LogicalFileView,
    pub(super) path: String,
    stats: Value,
}

impl TableFile {
    /// Rows in it, where its statistics tell.
    pub(super) fn rows(&self) -> Option<u64> {
        self.stats["numRecords"].as_u64()
    }

    /// Its size in bytes.
    pub(super) fn bytes(&self) -> u64 {
        u64::try_from(self.view.size()).unwrap_or_default()
    }

    /// The first and last connection in it, where its statistics tell.
    pub(super) fn connections(&self) -> Option<(&str, &str)> {
        let first = self.stats["minValues"]["connection"].as_str()?;
        Some((first, self.stats["maxValues"]["connection"].as_str()?))
    }

    /// The smallest and largest value of a column of whole numbers, where its statistics tell.
    pub(super) fn range(&self, column: &str) -> Option<(i64, i64)> {
        let low = self.stats["minValues"][column].as_i64()?;
        let high = self.stats["maxValues"][column].as_i64()?;
        Some((low, high))
    }
}

/// The files of an open table.
pub(super) fn files(table: &TableName, delta: &DeltaTable) -> Result<Vec<TableFile>> {
    let failed = |error| Error::table(table, "listing the files of", error);
    let state = delta.snapshot().map_err(failed)?;
    let file = |view: LogicalFileView| TableFile {
        path: view.path().to_string(),
        stats: view
            .stats()
            .and_then(|stats| serde_json::from_str(&stats).ok())
            .unwrap_or_default(),
        view,
    };
    Ok(state.log_data().iter().map(file).collect())
}

/// The columns of an open table.
pub(super) fn schema(table: &TableName, delta: &DeltaTable) -> Result<SchemaRef> {
    let failed = |error| Error::table(table, "reading the columns of", error);
    Ok(delta.snapshot().map_err(failed)?.snapshot().arrow_schema())
}

impl Tables {
    /// The rows of some files of a table; `None` without a file.
    pub(super) async fn read_files(
        &self,
        table: &TableName,
        delta: &DeltaTable,
        files: &[&TableFile],
    ) -> Result<Option<DataFrame>> {
        if files.is_empty() {
            return Ok(None);
        }
        let failed = |error| Error::table(table, "reading files of", error);
        let paths = files.iter().map(|file| file.path.clone());
        let provider = delta
            .table_provider()
            .with_file_selection(FileSelection::from_file_paths(paths))
            .await
            .map_err(failed)?;
        let frame = self.context.read_table(provider);
        frame.map(Some).map_err(Error::engine)
    }
}

/// Writes rows, in their order, into files of bounded size that no version names yet.
pub(super) async fn write_files(
    table: &TableName,
    delta: &DeltaTable,
    rows: DataFrame,
) -> Result<(Vec<Add>, u64)> {
    let failed = |error| Error::table(table, "writing files of", error);
    let mut writer = RecordBatchWriter::for_table(delta).map_err(failed)?;
    let mut stream = rows.execute_stream().await.map_err(Error::engine)?;
    let (mut adds, mut written, mut pending) = (Vec::new(), 0, 0);
    while let Some(batch) = stream.try_next().await.map_err(Error::engine)? {
        let batch = conform(&writer.arrow_schema(), &batch)
            .map_err(|error| Error::Engine(format!("{table}: {error}")))?;
        let mut offset = 0;
        while offset < batch.num_rows() {
            let take = (ROWS_PER_FILE - pending).min(batch.num_rows() - offset);
            writer
                .write(batch.slice(offset, take))
                .await
                .map_err(failed)?;
            (offset, pending) = (offset + take, pending + take);
            written += take as u64;
            if pending == ROWS_PER_FILE {
                adds.extend(writer.flush().await.map_err(failed)?);
                pending = 0;
            }
        }
    }
    if pending > 0 {
        adds.extend(writer.flush().await.map_err(failed)?);
    }
    Ok((adds, written))
}

/// Whether two versions of a table have the same columns.
pub(super) fn same_columns(one: &SchemaRef, other: &SchemaRef) -> bool {
    one.fields() == other.fields()
}

/// A batch with the columns of a table, in its types.
fn conform(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| {
        let column = batch.column(batch.schema().index_of(field.name())?);
        cast(column, field.data_type())
    });
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)
}
