//! Replacing the rows of some keys of a model's table: only the files that may hold them are rewritten.

use datafusion::prelude::{DataFrame, col};
use deltalake::kernel::Action;
use deltalake::kernel::transaction::CommitBuilder;
use deltalake::protocol::{DeltaOperation, SaveMode};
use futures::future::BoxFuture;
use schemas::TableName;

use super::files::{ROWS_PER_FILE, TableFile, files, write_files};
use super::{Commit, Keys, Tables, as_u64, properties};
use crate::{Error, Result};

/// A file with fewer rows is written together with its neighbours, so that small files don't pile up.
const SMALL: u64 = ROWS_PER_FILE as u64 / 4;

impl Tables {
    /// Replaces the rows whose `connection` and `column` are among the keys with the rows given, which
    /// must have such keys only. Returns the new version and the rows written for the keys' files.
    /// Fails when the table is not at version `base`.
    pub fn patch<'a>(
        &'a self,
        table: &'a TableName,
        base: u64,
        column: &'a str,
        keys: &'a Keys,
        rows: DataFrame,
        run_id: &'a str,
    ) -> BoxFuture<'a, Result<(u64, u64)>> {
        Box::pin(async move {
            let failed = |error| Error::table(table, "replacing rows of", error);
            let Some(delta) = self.latest(table).await? else {
                return Err(Error::Engine(format!("{table} does not exist")));
            };
            if delta.version().map(as_u64) != Some(base) {
                return Err(Error::Engine(format!("{table} is not at version {base}")));
            }
            let all = files(table, &delta)?;
            let touched: Vec<&TableFile> = all
                .iter()
                .filter(|file| match file.range(column) {
                    Some((low, high)) => {
                        keys.meet(low, high) || file.rows().is_none_or(|rows| rows < SMALL)
                    }
                    None => true,
                })
                .collect();
            let rows = match self.read_files(table, &delta, &touched).await? {
                Some(stored) => {
                    let condition = stored.parse_sql_expr(&keys.condition(column));
                    let kept = condition.and_then(|keys| stored.filter(keys.is_not_true()));
                    rows.union(kept.map_err(Error::engine)?)
                        .map_err(Error::engine)?
                }
                None => rows,
            };
            let order = vec![
                col("connection").sort(true, false),
                col(column).sort(true, false),
            ];
            let rows = rows.sort(order).map_err(Error::engine)?;
            let (adds, written) = write_files(table, &delta, rows).await?;
            let removes = touched.iter().map(|file| file.view.remove_action(true));
            let actions = removes
                .map(Action::Remove)
                .chain(adds.into_iter().map(Action::Add))
                .collect();
            let commit = Commit {
                run_id: run_id.to_string(),
                marks: Vec::new(),
            };
            let operation = DeltaOperation::Write {
                mode: SaveMode::Overwrite,
                partition_by: None,
                predicate: None,
            };
            let state = delta.snapshot().map_err(failed)?;
            CommitBuilder::from(properties(&commit))
                .with_actions(actions)
                .build(Some(state), delta.log_store(), operation)
                .await
                .map_err(failed)?;
            let version = self.version(table).await?.unwrap_or_default();
            Ok((version, written))
        })
    }
}
