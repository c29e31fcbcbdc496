//! What differs between two releases: which rows of which table came, went or changed.

use std::collections::BTreeMap;

use datafusion::arrow::array::RecordBatch;
use futures::future::BoxFuture;
use schemas::TableName;
use serde::Serialize;
use serde_json::Value;
use warehouse::{Changes, Release, Warehouse, batch_to_rows};

use crate::{Project, Result};

/// How a table differs between two releases.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableDifference {
    /// The table.
    pub table: TableName,
    /// Its version in the older release; null where it was not in it.
    pub before: Option<u64>,
    /// Its version in the newer release; null where it is not in it.
    pub after: Option<u64>,
    /// Rows that only the newer release has, by key; null where the versions can't be compared.
    pub added: Option<usize>,
    /// Rows that only the older release has, by key.
    pub removed: Option<usize>,
    /// Rows that both have, with other values.
    pub changed: Option<usize>,
    /// The differing rows, as many as were asked for.
    pub rows: Vec<RowDifference>,
}

/// One row that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowDifference {
    /// 'added', 'removed' or 'changed'.
    pub change: &'static str,
    /// Its key.
    pub key: BTreeMap<String, Value>,
    /// Columns that differ: values before and after; none of rows that came or went.
    pub columns: BTreeMap<String, (Value, Value)>,
}

/// Tables that differ between two releases. Rows are listed up to a limit for each table.
pub fn diff<'a>(
    warehouse: &'a Warehouse,
    project: &'a Project,
    (older, newer): (&'a Release, &'a Release),
    limit: usize,
) -> BoxFuture<'a, Result<Vec<TableDifference>>> {
    Box::pin(async move {
        let (before, after) = (&older.content.tables, &newer.content.tables);
        let mut names: Vec<&TableName> = before.keys().chain(after.keys()).collect();
        names.sort();
        names.dedup();
        let mut differences = Vec::new();
        for table in names {
            let versions = (
                before.get(table).map(|state| state.version),
                after.get(table).map(|state| state.version),
            );
            if versions.0 == versions.1 {
                continue;
            }
            let mut difference = TableDifference {
                table: table.clone(),
                before: versions.0,
                after: versions.1,
                added: None,
                removed: None,
                changed: None,
                rows: Vec::new(),
            };
            if let ((Some(from), Some(to)), Some((key, columns))) =
                (versions, known(project, table))
            {
                let changes = warehouse.tables().changes(table, &columns, from, to);
                match changes.await? {
                    Changes::Everything => {}
                    Changes::Nothing => {
                        difference.count(&key, BTreeMap::new(), BTreeMap::new(), limit)
                    }
                    Changes::Rows { before, after } => {
                        let (before, after) = (by_key(&key, &before)?, by_key(&key, &after)?);
                        difference.count(&key, before, after, limit);
                    }
                }
            }
            differences.push(difference);
        }
        Ok(differences)
    })
}

type ByKey = BTreeMap<String, serde_json::Map<String, Value>>;

impl TableDifference {
    fn count(&mut self, key: &[String], before: ByKey, mut after: ByKey, limit: usize) {
        let (mut removed, mut changed) = (0, 0);
        for (id, old) in before {
            let new = after.remove(&id);
            match &new {
                Some(_) => changed += 1,
                None => removed += 1,
            }
            if self.rows.len() < limit {
                self.rows
                    .push(RowDifference::of(key, Some(&old), new.as_ref()));
            }
        }
        for new in after.values().take(limit.saturating_sub(self.rows.len())) {
            self.rows.push(RowDifference::of(key, None, Some(new)));
        }
        (self.added, self.removed, self.changed) =
            (Some(after.len()), Some(removed), Some(changed));
    }
}

impl RowDifference {
    fn of(
        key: &[String],
        before: Option<&serde_json::Map<String, Value>>,
        after: Option<&serde_json::Map<String, Value>>,
    ) -> Self {
        let either = after.or(before);
        let value = |row: Option<&serde_json::Map<String, Value>>, name: &str| {
            row.and_then(|row| row.get(name))
                .cloned()
                .unwrap_or_default()
        };
        let change = match (before, after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        let names = either.into_iter().flat_map(|row| row.keys());
        let columns = names.filter_map(|name| {
            let (old, new) = (value(before, name), value(after, name));
            (change == "changed" && old != new).then(|| (name.clone(), (old, new)))
        });
        Self {
            change,
            key: key
                .iter()
                .map(|name| (name.clone(), value(either, name)))
                .collect(),
            columns: columns.collect(),
        }
    }
}

/// Key and columns of a table that a model or a contract describes.
fn known(project: &Project, table: &TableName) -> Option<(Vec<String>, Vec<String>)> {
    if let Some(contract) = schemas::contract(table) {
        let columns = contract.columns().iter().map(|column| column.name.clone());
        return Some((contract.key().to_vec(), columns.collect()));
    }
    let model = project.models().iter().find(|model| model.name == *table)?;
    Some((model.key.clone(), model.columns.keys().cloned().collect()))
}

fn by_key(key: &[String], batches: &[RecordBatch]) -> Result<ByKey> {
    let mut rows = BTreeMap::new();
    for batch in batches {
        for row in batch_to_rows(batch)? {
            let id: Vec<Value> = key
                .iter()
                .map(|name| row.get(name).cloned().unwrap_or_default())
                .collect();
            rows.insert(Value::Array(id).to_string(), row);
        }
    }
    Ok(rows)
}
