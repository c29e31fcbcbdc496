//! Keys of rows by connection: what an incremental model computes again.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::arrow::error::ArrowError;

use super::sql_text;
use crate::{Error, Result};

/// Most ranges that a condition on keys is split into; each is one more comparison per row, and lets
/// files between them be passed over.
const RANGES: usize = 12;

/// Ids of one column, by connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    ids: BTreeMap<String, BTreeSet<i64>>,
}

impl Keys {
    /// The keys in the columns `connection` and `column` of some rows; rows without one are left out.
    pub fn from_batches(column: &str, batches: &[RecordBatch]) -> Result<Self> {
        let mut keys = Self::default();
        for batch in batches {
            keys.add(column, batch)
                .map_err(|error| Error::Engine(error.to_string()))?;
        }
        Ok(keys)
    }

    fn add(&mut self, column: &str, batch: &RecordBatch) -> Result<(), ArrowError> {
        let named = |name: &str, kind: &DataType| {
            let schema = batch.schema();
            cast(batch.column(schema.index_of(name)?), kind)
        };
        let connections = named("connection", &DataType::Utf8)?;
        let connections = connections.as_string::<i32>();
        let ids = named(column, &DataType::Int64)?;
        let ids = ids.as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            if connections.is_valid(row) && ids.is_valid(row) {
                self.insert(connections.value(row), ids.value(row));
            }
        }
        Ok(())
    }

    /// Adds one key.
    pub fn insert(&mut self, connection: &str, id: i64) {
        match self.ids.get_mut(connection) {
            Some(ids) => ids.insert(id),
            None => self
                .ids
                .entry(connection.to_string())
                .or_default()
                .insert(id),
        };
    }

    /// Adds all keys of another set.
    pub fn extend(&mut self, other: Keys) {
        for (connection, ids) in other.ids {
            self.ids.entry(connection).or_default().extend(ids);
        }
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.ids.values().map(BTreeSet::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether a key may lie between two ids, whatever its connection.
    pub(super) fn meet(&self, low: i64, high: i64) -> bool {
        let mut ids = self.ids.values();
        ids.any(|ids| ids.range(low..=high).next().is_some())
    }

    /// The SQL condition that a row has one of the keys. It names ranges beside the ids, so that files
    /// and row groups outside them are not read.
    pub fn condition(&self, column: &str) -> String {
        if self.ids.is_empty() {
            return "false".to_string();
        }
        let one = |(connection, ids): (&String, &BTreeSet<i64>)| {
            let ids: Vec<i64> = ids.iter().copied().collect();
            let ranges: Vec<String> = ranges(&ids)
                .iter()
                .map(|(low, high)| format!("{column} between {low} and {high}"))
                .collect();
            let list: Vec<String> = ids.iter().map(i64::to_string).collect();
            format!(
                "(connection = {} and ({}) and {column} in ({}))",
                sql_text(connection),
                ranges.join(" or "),
                list.join(", ")
            )
        };
        let parts: Vec<String> = self.ids.iter().map(one).collect();
        parts.join(" or ")
    }
}

/// Ascending ids in at most [`RANGES`] ranges, split at the widest gaps.
fn ranges(ids: &[i64]) -> Vec<(i64, i64)> {
    let mut gaps: Vec<usize> = (1..ids.len()).collect();
    let width = |at: &usize| ids[*at].saturating_sub(ids[*at - 1]);
    gaps.sort_unstable_by_key(|at| std::cmp::Reverse(width(at)));
    gaps.truncate(RANGES - 1);
    gaps.retain(|at| width(at) > 1);
    gaps.sort_unstable();
    let starts = std::iter::once(0).chain(gaps.iter().copied());
    let ends = gaps.iter().copied().chain([ids.len()]);
    starts
        .zip(ends)
        .filter_map(|(start, end)| Some((*ids.get(start)?, *ids.get(end.checked_sub(1)?)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_names_ids_by_connection_within_few_ranges() {
        let mut keys = Keys::default();
        for id in [1, 2, 3, 90, 91] {
            keys.insert("a'b", id);
        }
        keys.insert("c", 7);
        assert_eq!(
            keys.condition("issue_id"),
            "(connection = 'a''b' and (issue_id between 1 and 3 or issue_id between 90 and 91) \
             and issue_id in (1, 2, 3, 90, 91)) \
             or (connection = 'c' and (issue_id between 7 and 7) and issue_id in (7))"
        );
        assert_eq!(keys.len(), 6);
        assert!(keys.meet(4, 8) && !keys.meet(10, 80));
        assert_eq!(Keys::default().condition("issue_id"), "false");
        let scattered: Vec<i64> = (0..1000).map(|id| id * id).collect();
        assert_eq!(ranges(&scattered).len(), RANGES);
    }
}
