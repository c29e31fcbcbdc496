//! Merging records that change over time.

use datafusion::arrow::array::RecordBatch;
use deltalake::DeltaTable;
use deltalake::datafusion::prelude::col;
use futures::future::BoxFuture;
use schemas::{Contract, Row, TableName};

use super::append::Incoming;
use super::compare::Comparer;
use super::{Commit, Tables, Written, contract_of, properties};
use crate::{Error, Result};

impl Tables {
    /// Inserts or replaces rows by key. Of rows with the same key the last one counts; a row equal
    /// to the stored one, or with an older `updated_at`, is dropped. When no key is stored yet the
    /// rows are appended, else merged.
    pub fn upsert<'a>(
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
            let known = Comparer::new(contract)?.index(&stored)?;
            let (fresh, seen) = incoming.split(|key, _| !known.contains_key(key));
            let (changed, _) = incoming.split(|key, row| {
                known.get(key).is_some_and(|stored| {
                    let older = row.updated_at < stored.updated_at;
                    !older && row.content != stored.content
                })
            });
            let written = Written {
                inserted: fresh.len() as u64,
                updated: changed.len() as u64,
                unchanged: (seen.len() - changed.len()) as u64,
                deleted: 0,
            };
            let fresh = incoming.take(contract, &fresh)?;
            let changed = incoming.take(contract, &changed)?;
            self.commit(contract, delta, Some(fresh), Some(changed), commit)
                .await?;
            Ok(written)
        })
    }

    /// One Delta MERGE of whole rows by key.
    pub(super) async fn merge(
        &self,
        contract: &Contract,
        delta: DeltaTable,
        batch: RecordBatch,
        commit: &Commit,
    ) -> Result<()> {
        let table = contract.table();
        let context = &self.context;
        let source = context.read_batch(batch).map_err(Error::engine)?;
        let on = contract
            .key()
            .iter()
            .map(|name| col(format!("target.{name}")).eq(col(format!("source.{name}"))))
            .reduce(|left, right| left.and(right))
            .ok_or_else(|| Error::Rows {
                table: table.clone(),
                reason: "the contract has no key".to_string(),
            })?;
        let failed = |error| Error::table(table, "merging into", error);
        let names = || contract.columns().iter().map(|column| column.name.as_str());
        let (delta, _) = delta
            .merge(source, on)
            .with_source_alias("source")
            .with_target_alias("target")
            .with_session_state(std::sync::Arc::new(context.state()))
            .with_commit_properties(properties(commit))
            .when_matched_update(|update| {
                names().fold(update, |update, name| {
                    update.update(name, col(format!("source.{name}")))
                })
            })
            .map_err(failed)?
            .when_not_matched_insert(|insert| {
                names().fold(insert, |insert, name| {
                    insert.set(name, col(format!("source.{name}")))
                })
            })
            .map_err(failed)?
            .await
            .map_err(failed)?;
        self.remember(table, delta).await;
        Ok(())
    }
}
