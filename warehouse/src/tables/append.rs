//! Appending immutable records: those whose key is there already are left out.

use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::{concat_batches, take_record_batch};
use datafusion::arrow::row::OwnedRow;
use deltalake::DeltaTable;
use futures::future::BoxFuture;
use schemas::{Contract, Row, TableName};
use serde_json::Value;

use super::compare::{Comparer, Index, Stored};
use super::{Commit, Tables, Written, contract_of, rows_to_batch, sql_text};
use crate::{Error, Result, fault};

impl Tables {
    /// Appends immutable records. Rows whose key is stored already are dropped, so that landing
    /// the same records twice is harmless. Never rewrites a file.
    pub fn append_new<'a>(
        &'a self,
        table: &'a TableName,
        rows: Vec<Row>,
        commit: &'a Commit,
    ) -> BoxFuture<'a, Result<Written>> {
        Box::pin(async move {
            let contract = contract_of(table)?;
            let delta = self.ensure(contract).await?;
            let incoming = Incoming::new(contract, &rows)?;
            let stored = self.stored(contract, &delta, &rows).await?;
            let mut comparer = Comparer::new(contract)?;
            let known = comparer.index(&stored)?;
            let (fresh, old) = incoming.split(|key, _| !known.contains_key(key));
            let written = Written {
                inserted: fresh.len() as u64,
                unchanged: old.len() as u64,
                ..Written::default()
            };
            let fresh = incoming.take(contract, &fresh)?;
            self.commit(contract, delta, Some(fresh), None, commit)
                .await?;
            Ok(written)
        })
    }

    /// Stored rows that a batch may concern: those of its connections whose lookup column lies
    /// between the smallest and the largest value of the batch, which prunes files.
    pub(super) async fn stored(
        &self,
        contract: &Contract,
        delta: &DeltaTable,
        rows: &[Row],
    ) -> Result<Vec<RecordBatch>> {
        let Some(filter) = concerned(contract, rows) else {
            return Ok(Vec::new());
        };
        let batches = self
            .read(contract.table(), delta, Some(filter), None)
            .await?;
        let comparer = Comparer::new(contract)?;
        batches
            .iter()
            .map(|batch| comparer.conform(batch))
            .collect()
    }

    /// Writes new rows (append) and changed rows (merge) in one commit; none when there is nothing
    /// to write and the marks stand already.
    pub(super) async fn commit(
        &self,
        contract: &Contract,
        delta: DeltaTable,
        fresh: Option<RecordBatch>,
        changed: Option<RecordBatch>,
        commit: &Commit,
    ) -> Result<()> {
        let table = contract.table();
        let fresh = fresh.filter(|batch| batch.num_rows() > 0);
        let changed = changed.filter(|batch| batch.num_rows() > 0);
        fault::point(&format!("{table}.before_commit"))?;
        match (fresh, changed) {
            (None, None) => {
                if self.marks_differ(table, commit).await? {
                    let empty = RecordBatch::new_empty(contract.arrow_schema());
                    self.append(table, delta, empty, commit).await?;
                }
            }
            (Some(fresh), None) => self.append(table, delta, fresh, commit).await?,
            (fresh, Some(changed)) => {
                let batches: Vec<_> = fresh.into_iter().chain([changed]).collect();
                let batch = concat_batches(&contract.arrow_schema(), &batches)
                    .map_err(|error| Error::Engine(error.to_string()))?;
                self.merge(contract, delta, batch, commit).await?;
            }
        }
        fault::point(&format!("{table}.committed"))
    }
}

/// SQL condition for the stored rows that a batch may concern.
fn concerned(contract: &Contract, rows: &[Row]) -> Option<String> {
    let mut connections: Vec<&str> = rows
        .iter()
        .filter_map(|row| row.get("connection")?.as_str())
        .collect();
    connections.sort_unstable();
    connections.dedup();
    if connections.is_empty() {
        return None;
    }
    let list: Vec<_> = connections.into_iter().map(sql_text).collect();
    let mut filter = format!("connection in ({})", list.join(", "));
    let lookup = contract.lookup();
    let numbers = || {
        rows.iter()
            .filter_map(|row| row.get(lookup).and_then(Value::as_i64))
    };
    if let (Some(low), Some(high)) = (numbers().min(), numbers().max()) {
        filter.push_str(&format!(" and {lookup} >= {low} and {lookup} <= {high}"));
    }
    Some(filter)
}

/// A batch of rows to be written, one per key.
#[derive(Debug)]
pub(super) struct Incoming {
    batch: RecordBatch,
    index: Index,
}

impl Incoming {
    pub(super) fn new(contract: &Contract, rows: &[Row]) -> Result<Self> {
        let batch = rows_to_batch(contract, rows)?;
        let index = Comparer::new(contract)?.index(std::slice::from_ref(&batch))?;
        Ok(Self { batch, index })
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// Positions of the rows for which a condition holds, and of the others.
    pub(super) fn split(
        &self,
        mut condition: impl FnMut(&OwnedRow, &Stored) -> bool,
    ) -> (Vec<usize>, Vec<usize>) {
        let mut yes = Vec::new();
        let mut no = Vec::new();
        for (key, row) in &self.index {
            if condition(key, row) {
                &mut yes
            } else {
                &mut no
            }
            .push(row.place.1);
        }
        yes.sort_unstable();
        no.sort_unstable();
        (yes, no)
    }

    /// The rows at some positions.
    pub(super) fn take(&self, contract: &Contract, positions: &[usize]) -> Result<RecordBatch> {
        let indices: UInt32Array = positions.iter().map(|at| *at as u32).collect();
        take_record_batch(&self.batch, &indices).map_err(|error| Error::Rows {
            table: contract.table().clone(),
            reason: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_condition_quotes_text_and_bounds_ids() {
        let contract = schemas::contract(&"jira.changelog_items".parse().unwrap()).unwrap();
        let row = |id: i64| {
            json!({"connection": "o'hara", "issue_id": id})
                .as_object()
                .unwrap()
                .clone()
        };
        assert_eq!(
            concerned(contract, &[row(9), row(3)]).unwrap(),
            "connection in ('o''hara') and issue_id >= 3 and issue_id <= 9"
        );
        assert_eq!(concerned(contract, &[]), None);
    }
}
