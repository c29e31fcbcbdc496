//! Which rows differ between two versions of a table: only the files that differ are read.

use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;

use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::{concat_batches, take_record_batch};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::prelude::DataFrame;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use schemas::TableName;

use super::Tables;
use super::files::{TableFile, files, same_columns, schema};
use crate::{Error, Result};

/// Most rows of differing files that are compared; beyond it everything counts as changed.
const MOST_COMPARED: u64 = 4_000_000;

/// What differs between two versions of a table.
#[derive(Debug)]
pub enum Changes {
    /// No row.
    Nothing,
    /// Unknown or too much: take everything as changed.
    Everything,
    /// These rows, as they were and as they are.
    Rows(Vec<RecordBatch>),
}

impl Tables {
    /// The rows, with some of their columns, that differ between two versions of a table: those that
    /// only the older one has, and those that only the newer one has. A row that was merely written
    /// again is no difference.
    pub fn changes<'a>(
        &'a self,
        table: &'a TableName,
        columns: &'a [String],
        from: u64,
        to: u64,
    ) -> BoxFuture<'a, Result<Changes>> {
        Box::pin(async move {
            if from == to {
                return Ok(Changes::Nothing);
            }
            // A version that retention has removed can't be compared with.
            let Ok(Some(older)) = self.at(table, Some(from)).await else {
                return Ok(Changes::Everything);
            };
            let Some(newer) = self.at(table, Some(to)).await? else {
                return Ok(Changes::Everything);
            };
            if !same_columns(&schema(table, &older)?, &schema(table, &newer)?) {
                return Ok(Changes::Everything);
            }
            let (mut gone, mut come) = (by_path(files(table, &older)?), files(table, &newer)?);
            come.retain(|file| gone.remove(&file.path).is_none());
            let rows = gone.values().chain(&come).map(TableFile::rows);
            let Some(rows) = rows.sum::<Option<u64>>() else {
                return Ok(Changes::Everything);
            };
            if rows > MOST_COMPARED {
                return Ok(Changes::Everything);
            }
            let gone: Vec<&TableFile> = gone.values().collect();
            let come: Vec<&TableFile> = come.iter().collect();
            let mut difference = Difference::default();
            if let Some(frame) = self.read_files(table, &older, &gone).await? {
                difference.take(frame, columns, true).await?;
            }
            if let Some(frame) = self.read_files(table, &newer, &come).await? {
                difference.take(frame, columns, false).await?;
            }
            difference.finish()
        })
    }
}

fn by_path(files: Vec<TableFile>) -> BTreeMap<String, TableFile> {
    let named = files.into_iter().map(|file| (file.path.clone(), file));
    named.collect()
}

/// Rows of the older files that the newer ones have not shown yet, by a hash of the whole row; and the
/// asked columns of rows that differ for certain.
#[derive(Default)]
struct Difference {
    batches: Vec<RecordBatch>,
    open: HashMap<u128, Vec<(usize, u32)>>,
    found: Vec<RecordBatch>,
}

impl Difference {
    async fn take(&mut self, frame: DataFrame, columns: &[String], is_older: bool) -> Result<()> {
        let mut stream = frame.execute_stream().await.map_err(Error::engine)?;
        while let Some(batch) = stream.try_next().await.map_err(Error::engine)? {
            self.add(&batch, columns, is_older)
                .map_err(|error| Error::Engine(error.to_string()))?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        batch: &RecordBatch,
        columns: &[String],
        is_older: bool,
    ) -> Result<(), ArrowError> {
        let positions: Vec<usize> = columns
            .iter()
            .map(|name| batch.schema().index_of(name))
            .collect::<Result<_, _>>()?;
        let asked = batch.project(&positions)?;
        let hashes = hashes(batch)?;
        if is_older {
            let at = self.batches.len();
            for (row, hash) in hashes.into_iter().enumerate() {
                self.open.entry(hash).or_default().push((at, row as u32));
            }
            self.batches.push(asked);
            return Ok(());
        }
        let mut new = Vec::new();
        for (row, hash) in hashes.into_iter().enumerate() {
            match self.open.entry(hash) {
                Entry::Occupied(mut known) => {
                    known.get_mut().pop();
                    if known.get().is_empty() {
                        known.remove();
                    }
                }
                Entry::Vacant(_) => new.push(row as u32),
            }
        }
        if !new.is_empty() {
            let rows = UInt32Array::from(new);
            self.found.push(take_record_batch(&asked, &rows)?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Changes> {
        let mut left: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (batch, row) in self.open.into_values().flatten() {
            left.entry(batch).or_default().push(row);
        }
        for (batch, rows) in left {
            let rows = UInt32Array::from(rows);
            let taken = take_record_batch(&self.batches[batch], &rows)
                .map_err(|error| Error::Engine(error.to_string()))?;
            self.found.push(taken);
        }
        let Some(first) = self.found.first() else {
            return Ok(Changes::Nothing);
        };
        let all = concat_batches(&first.schema(), &self.found)
            .map_err(|error| Error::Engine(error.to_string()))?;
        Ok(Changes::Rows(vec![all]))
    }
}

/// A hash of every row, of 128 bits: two rows that differ never share one in practice.
fn hashes(batch: &RecordBatch) -> Result<Vec<u128>, ArrowError> {
    let schema = batch.schema();
    let fields = schema.fields().iter();
    let fields = fields.map(|field| SortField::new(field.data_type().clone()));
    let rows = RowConverter::new(fields.collect())?.convert_columns(batch.columns())?;
    let hash = |bytes: &[u8]| {
        let (mut one, mut other) = (DefaultHasher::new(), DefaultHasher::new());
        other.write_u8(1);
        one.write(bytes);
        other.write(bytes);
        (u128::from(one.finish()) << 64) | u128::from(other.finish())
    };
    Ok(rows.iter().map(|row| hash(row.data())).collect())
}
