//! Which rows differ between two versions of a table: only the files that differ are read.

use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hasher;

use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::prelude::DataFrame;
use deltalake::DeltaTable;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use schemas::TableName;

use super::Tables;
use super::files::{TableFile, files, same_columns, schema};
use super::log::NEAR;
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
    /// Some rows.
    Rows {
        /// As they were: rows that only the older version has.
        before: Vec<RecordBatch>,
        /// As they are: rows that only the newer version has.
        after: Vec<RecordBatch>,
    },
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
            if let Some(moved) = self.moved(table, from, to).await? {
                if moved.is_empty() {
                    return Ok(Changes::Nothing);
                }
                // Retention may have removed a file that stood in neither version.
                if let Ok(changes) = self.compare_moved(table, columns, to, moved).await {
                    return Ok(changes);
                }
            }
            let (mut gone, mut come) = (by_path(files(table, &older)?), files(table, &newer)?);
            come.retain(|file| gone.remove(&file.path).is_none());
            let gone: Vec<TableFile> = gone.into_values().collect();
            self.compare(table, columns, &[(older, gone)], (newer, come))
                .await
        })
    }

    async fn compare(
        &self,
        table: &TableName,
        columns: &[String],
        gone: &[(DeltaTable, Vec<TableFile>)],
        come: (DeltaTable, Vec<TableFile>),
    ) -> Result<Changes> {
        let all = gone.iter().flat_map(|(_, files)| files).chain(&come.1);
        let rows = all.map(TableFile::rows).sum::<Option<u64>>();
        if rows.is_none_or(|rows| rows > MOST_COMPARED) {
            return Ok(Changes::Everything);
        }
        let mut difference = Difference::default();
        for (delta, files) in gone {
            let files: Vec<&TableFile> = files.iter().collect();
            if let Some(frame) = self.read_files(table, delta, &files).await? {
                difference.take(frame, columns, true).await?;
            }
        }
        let files: Vec<&TableFile> = come.1.iter().collect();
        if let Some(frame) = self.read_files(table, &come.0, &files).await? {
            difference.take(frame, columns, false).await?;
        }
        difference.finish()
    }

    /// What is left of the difference of two versions without commits in between that only moved rows
    /// from file to file. `None` when none of them did, or the log does not reach back.
    async fn moved(&self, table: &TableName, from: u64, to: u64) -> Result<Option<Moved>> {
        if to < from || to - from > NEAR {
            return Ok(None);
        }
        let Some(commits) = self.log_commits(table, from, to).await? else {
            return Ok(None);
        };
        if !commits.iter().any(|commit| commit.rearranges) {
            return Ok(None);
        }
        let mut moved = Moved::default();
        for (version, commit) in (from + 1..).zip(commits) {
            let is_new = |path: &String| moved.come.contains(path);
            if commit.rearranges && !commit.removed.iter().any(is_new) {
                // The new files hold the rows of the older version: as if they had been in it.
                continue;
            }
            for path in commit.removed {
                if !moved.come.remove(&path) {
                    moved.gone.entry(version - 1).or_default().insert(path);
                }
            }
            moved
                .come
                .extend(commit.added.into_iter().map(|(path, _)| path));
        }
        Ok(Some(moved))
    }

    async fn compare_moved(
        &self,
        table: &TableName,
        columns: &[String],
        to: u64,
        moved: Moved,
    ) -> Result<Changes> {
        let open = |version, paths: BTreeSet<String>| async move {
            let missing = || Error::Engine(format!("{table} has no version {version}"));
            let delta = self.at(table, Some(version)).await?.ok_or_else(missing)?;
            let mut found = files(table, &delta)?;
            found.retain(|file| paths.contains(&file.path));
            if found.len() != paths.len() {
                return Err(missing());
            }
            Ok::<_, Error>((delta, found))
        };
        let mut gone = Vec::new();
        for (version, paths) in moved.gone {
            gone.push(open(version, paths).await?);
        }
        let come = open(to, moved.come).await?;
        self.compare(table, columns, &gone, come).await
    }
}

/// Files in which two versions differ by more than the place of rows.
#[derive(Debug, Default)]
struct Moved {
    /// Those that went, by a version that still has them.
    gone: BTreeMap<u64, BTreeSet<String>>,
    /// Those that came and are still there.
    come: BTreeSet<String>,
}

impl Moved {
    fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.come.is_empty()
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

    fn finish(self) -> Result<Changes> {
        let mut before = Vec::new();
        let mut left: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (batch, row) in self.open.into_values().flatten() {
            left.entry(batch).or_default().push(row);
        }
        for (batch, rows) in left {
            let rows = UInt32Array::from(rows);
            let taken = take_record_batch(&self.batches[batch], &rows)
                .map_err(|error| Error::Engine(error.to_string()))?;
            before.push(taken);
        }
        if before.is_empty() && self.found.is_empty() {
            return Ok(Changes::Nothing);
        }
        let after = self.found;
        Ok(Changes::Rows { before, after })
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
