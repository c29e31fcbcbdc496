//! Full listings: what a connection has now, all of it.

use chrono::{DateTime, SecondsFormat, Utc};
use datafusion::arrow::compute::concat_batches;
use futures::future::BoxFuture;
use schemas::{Row, TableName};

use super::append::Incoming;
use super::compare::Comparer;
use super::history::Shown;
use super::{
    Commit, Tables, Written, batch_to_rows, contract_of, mark_in, rows_to_batch, sql_text,
};
use crate::Result;

impl Tables {
    /// Makes the live rows of a connection equal to a full listing: new and changed rows are
    /// written, rows that the listing lacks are marked with `deleted_at`, all at the instant the
    /// listing was received. Where the table has a history, the change is recorded there first, so
    /// that a run killed in between records it again, to no effect. An equal listing commits nothing.
    pub fn replace<'a>(
        &'a self,
        table: &'a TableName,
        connection: &'a str,
        rows: Vec<Row>,
        received_at: DateTime<Utc>,
        commit: &'a Commit,
    ) -> BoxFuture<'a, Result<Written>> {
        Box::pin(async move {
            let contract = contract_of(table)?;
            let delta = self.ensure(contract).await?;
            let incoming = Incoming::new(contract, &rows)?;
            let filter = format!("connection = {}", sql_text(connection));
            let mut comparer = Comparer::new(contract)?;
            let stored = self
                .read(table, &delta, Some(filter), None)
                .await?
                .iter()
                .map(|batch| comparer.conform(batch))
                .collect::<Result<Vec<_>>>()?;
            let known = comparer.index(&stored)?;
            let (fresh, seen) = incoming.split(|key, _| !known.contains_key(key));
            let (changed, _) = incoming.split(|key, row| {
                known
                    .get(key)
                    .is_some_and(|stored| row.content != stored.content)
            });
            let mut gone: Vec<Row> = Vec::new();
            for (key, row) in &known {
                if !incoming.index().contains_key(key) {
                    let (batch, at) = row.place;
                    gone.extend(batch_to_rows(&stored[batch].slice(at, 1))?);
                }
            }
            gone.retain(|row| row.get("deleted_at").is_none_or(serde_json::Value::is_null));
            let instant = received_at.to_rfc3339_opts(SecondsFormat::Micros, true);
            for row in &mut gone {
                row.insert("deleted_at".to_string(), instant.clone().into());
            }
            let written = Written {
                inserted: fresh.len() as u64,
                updated: changed.len() as u64,
                unchanged: (seen.len() - changed.len()) as u64,
                deleted: gone.len() as u64,
            };
            let mut commit = commit.clone();
            if let Some(history) = contract.history() {
                // Version of the contract by which the history was recorded last; none in a table
                // that was filled before it had a history: then this listing begins it.
                let mark = format!("{connection}/history");
                let recorded = mark_in(table, &delta, &mark).await?;
                let stands = recorded == Some(contract.version());
                if !stands || written.changed() > 0 {
                    let listing = Shown {
                        rows: &rows,
                        received_at,
                        is_upgrade: !stands,
                    };
                    self.record(history, connection, &listing, &commit).await?;
                }
                commit
                    .marks
                    .extend((!stands).then_some((mark, contract.version())));
            }
            let fresh = incoming.take(contract, &fresh)?;
            let changed = incoming.take(contract, &changed)?;
            let gone = rows_to_batch(contract, &gone)?;
            let changed = concat_batches(&contract.arrow_schema(), [&changed, &gone])
                .map_err(|error| crate::Error::Engine(error.to_string()))?;
            self.commit(contract, delta, Some(fresh), Some(changed), &commit)
                .await?;
            Ok(written)
        })
    }
}
