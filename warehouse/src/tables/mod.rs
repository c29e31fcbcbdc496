//! The Delta tables of the lake: open, write, read.
//!
//! Every write is one Delta commit that carries its cursor marks, so that rows and cursor can
//! never disagree. Nothing is committed when nothing changed.

mod append;
mod changes;
mod compact;
mod compare;
mod evolve;
mod files;
mod history;
mod keys;
mod log;
mod patch;
mod replace;
mod rows;
mod upsert;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::{DataFrame, SessionContext};
use deltalake::kernel::Transaction;
use deltalake::kernel::transaction::CommitProperties;
use deltalake::operations::write::WriteBuilder;
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use futures::TryStreamExt;
use futures::future::BoxFuture;
use schemas::{Contract, Row, TableName};
use tokio::sync::Mutex;

use crate::store::Store;
use crate::{Error, Result, session};

pub use changes::Changes;
pub(crate) use compact::Compacted;
pub(crate) use evolve::provider;
pub use keys::Keys;
pub(crate) use log::Log;
pub use rows::{batch_to_rows, rows_to_batch};

/// What a commit carries besides rows.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Run that writes.
    pub run_id: String,
    /// Cursor marks, by name; they never go back unless written so.
    pub marks: Vec<(String, i64)>,
}

/// What a write did, in rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows that are new.
    pub inserted: u64,
    /// Rows that replaced an older state of themselves.
    pub updated: u64,
    /// Rows that were there already.
    pub unchanged: u64,
    /// Rows marked as deleted.
    pub deleted: u64,
}

impl Written {
    /// Rows that the write changed.
    pub fn changed(&self) -> u64 {
        self.inserted + self.updated + self.deleted
    }

    /// The same, when so many of the updated rows were marked as deleted.
    pub fn with_deleted(mut self, deleted: u64) -> Self {
        self.deleted += deleted;
        self.updated = self.updated.saturating_sub(deleted);
        self
    }
}

impl std::ops::AddAssign for Written {
    fn add_assign(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.deleted += other.deleted;
    }
}

/// Handle of the Delta tables. Cheap to clone.
#[derive(Clone)]
pub struct Tables {
    store: Store,
    /// The session that single tables are read and written through.
    context: SessionContext,
    open: Arc<Mutex<HashMap<TableName, DeltaTable>>>,
}

impl std::fmt::Debug for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tables").finish_non_exhaustive()
    }
}

impl Tables {
    pub(crate) fn new(store: Store, runtime: Arc<RuntimeEnv>) -> Self {
        Self {
            store,
            context: session::plain(runtime),
            open: Arc::default(),
        }
    }

    /// The newest version of a table; `None` when it was never written.
    pub fn version<'a>(&'a self, table: &'a TableName) -> BoxFuture<'a, Result<Option<u64>>> {
        Box::pin(async move {
            Ok(self
                .latest(table)
                .await?
                .and_then(|delta| delta.version())
                .map(as_u64))
        })
    }

    /// The tables that there are, by name.
    pub(crate) async fn names(&self) -> Result<Vec<TableName>> {
        let root = self.store.tables_root();
        let mut names = Vec::new();
        for schema in self.store.folders(&root).await? {
            let tables = self
                .store
                .folders(&root.clone().join(schema.as_str()))
                .await?;
            names.extend(tables.iter().map(|table| TableName::new(&schema, table)));
        }
        Ok(names)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Number of data files of a table's newest version; none without a table.
    pub fn file_count<'a>(&'a self, table: &'a TableName) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            match self.latest(table).await? {
                Some(delta) => Ok(files::files(table, &delta)?.len()),
                None => Ok(0),
            }
        })
    }

    /// A cursor mark; `None` when it was never set.
    pub fn mark<'a>(
        &'a self,
        table: &'a TableName,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<i64>>> {
        Box::pin(async move {
            match self.latest(table).await? {
                Some(delta) => mark_in(table, &delta, name).await,
                None => Ok(None),
            }
        })
    }

    /// Rows of the newest version, all or those for which an SQL condition holds.
    pub fn rows<'a>(
        &'a self,
        table: &'a TableName,
        filter: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<Row>>> {
        Box::pin(async move {
            let Some(delta) = self.latest(table).await? else {
                return Ok(Vec::new());
            };
            let batches = self
                .read(table, &delta, filter.map(str::to_string), None)
                .await?;
            let mut rows = Vec::new();
            for batch in &batches {
                rows.extend(batch_to_rows(batch)?);
            }
            Ok(rows)
        })
    }

    /// Some columns of the rows for which an SQL condition holds; the other columns are not read.
    pub fn columns<'a>(
        &'a self,
        table: &'a TableName,
        columns: &'a [&'a str],
        filter: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Row>>> {
        Box::pin(async move {
            let Some(delta) = self.latest(table).await? else {
                return Ok(Vec::new());
            };
            let columns = Some(columns.iter().map(ToString::to_string).collect());
            let filter = Some(filter.to_string());
            let batches = self.read(table, &delta, filter, columns).await?;
            let mut rows = Vec::new();
            for batch in &batches {
                rows.extend(batch_to_rows(batch)?);
            }
            Ok(rows)
        })
    }

    /// The same, some rows at a time: for tables whose rows don't fit into memory.
    pub fn each<'a>(
        &'a self,
        table: &'a TableName,
        columns: &'a [&'a str],
        filter: &'a str,
        mut take: impl FnMut(Vec<Row>) + Send + 'a,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Some(delta) = self.latest(table).await? else {
                return Ok(());
            };
            let columns = Some(columns.iter().map(ToString::to_string).collect());
            let filter = Some(filter.to_string());
            let frame = self.frame(table, &delta, filter, columns).await?;
            let mut batches = frame.execute_stream().await.map_err(Error::engine)?;
            while let Some(batch) = batches.try_next().await.map_err(Error::engine)? {
                take(batch_to_rows(&batch)?);
            }
            Ok(())
        })
    }

    /// Deletes all rows of a connection, with the marks given. For rebuilding from raw.
    pub fn clear<'a>(
        &'a self,
        table: &'a TableName,
        connection: &'a str,
        commit: &'a Commit,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Some(delta) = self.latest(table).await? else {
                return Ok(());
            };
            let failed = |error| Error::table(table, "clearing", error);
            let condition = format!("connection = {}", sql_text(connection));
            let (delta, _) = delta
                .delete()
                .with_predicate(condition)
                .with_commit_properties(properties(commit))
                .await
                .map_err(failed)?;
            self.remember(table, delta).await;
            Ok(())
        })
    }

    /// Replaces the whole content of a model's table; returns the new version and its rows.
    pub fn overwrite<'a>(
        &'a self,
        table: &'a TableName,
        rows: DataFrame,
        run_id: &'a str,
    ) -> BoxFuture<'a, Result<(u64, u64)>> {
        Box::pin(async move {
            let failed = |error: DeltaTableError| Error::table(table, "writing", error);
            let existing = self.latest(table).await?;
            let (log_store, snapshot) = match &existing {
                Some(delta) => {
                    let state = delta.snapshot().map_err(failed)?;
                    (delta.log_store(), Some(state.snapshot().clone()))
                }
                None => (
                    self.builder(table)?.build().map_err(failed)?.log_store(),
                    None,
                ),
            };
            let (state, plan) = rows.into_parts();
            let commit = Commit {
                run_id: run_id.to_string(),
                marks: Vec::new(),
            };
            let delta = WriteBuilder::new(log_store, snapshot)
                .with_input_plan(plan)
                .with_session_state(Arc::new(state))
                .with_save_mode(SaveMode::Overwrite)
                .with_schema_mode(deltalake::operations::write::SchemaMode::Overwrite)
                .with_commit_properties(properties(&commit))
                .await
                .map_err(failed)?;
            let version = delta.version().map(as_u64).unwrap_or_default();
            let files = delta.snapshot().map_err(failed)?.log_data();
            let rows = files.iter().filter_map(|file| file.num_records());
            let rows = rows.sum::<usize>() as u64;
            self.remember(table, delta).await;
            Ok((version, rows))
        })
    }

    /// The table at a version (the newest without one); `None` when it does not exist.
    pub(crate) async fn at(
        &self,
        table: &TableName,
        version: Option<u64>,
    ) -> Result<Option<DeltaTable>> {
        let Some(version) = version else {
            return self.latest(table).await;
        };
        let failed = |error| Error::table(table, "opening", error);
        let builder = self.builder(table)?.with_version(version as _);
        builder.load().await.map(Some).map_err(failed)
    }

    /// The table at its newest version; `None` when it does not exist.
    async fn latest(&self, table: &TableName) -> Result<Option<DeltaTable>> {
        let failed = |error| Error::table(table, "opening", error);
        let known = self.open.lock().await.get(table).cloned();
        let mut delta = match known {
            Some(delta) => delta,
            None => self.builder(table)?.build().map_err(failed)?,
        };
        if delta.version().is_none()
            && !delta.verify_deltatable_existence().await.map_err(failed)?
        {
            return Ok(None);
        }
        if let Err(error) = delta.update_state().await {
            if delta.version().is_none() {
                return Err(failed(error));
            }
            // What this handle would go on from may have been removed from the log since.
            tracing::debug!(%table, %error, "opening the table anew");
            delta = self.builder(table)?.load().await.map_err(failed)?;
        }
        self.remember(table, delta.clone()).await;
        Ok(Some(delta))
    }

    /// The table, created empty by its contract when it does not exist.
    async fn ensure(&self, contract: &Contract) -> Result<DeltaTable> {
        let table = contract.table();
        if let Some(delta) = self.latest(table).await? {
            return self.widen(contract, delta).await;
        }
        let failed = |error| Error::table(table, "creating", error);
        let log_store = self.builder(table)?.build().map_err(failed)?.log_store();
        let empty = RecordBatch::new_empty(contract.arrow_schema());
        let delta = WriteBuilder::new(log_store, None)
            .with_input_batches([empty])
            .with_table_name(table.to_string())
            .with_description(contract.doc())
            .with_commit_properties(properties(&Commit::default()))
            .await
            .map_err(failed)?;
        self.remember(table, delta.clone()).await;
        Ok(delta)
    }

    /// Commits rows as an append.
    async fn append(
        &self,
        table: &TableName,
        delta: DeltaTable,
        batch: RecordBatch,
        commit: &Commit,
    ) -> Result<()> {
        let delta = delta
            .write([batch])
            .with_save_mode(SaveMode::Append)
            .with_commit_properties(properties(commit))
            .await
            .map_err(|error| Error::table(table, "appending to", error))?;
        self.remember(table, delta).await;
        Ok(())
    }

    /// Whether a mark of the commit is not in the table yet.
    async fn marks_differ(&self, table: &TableName, commit: &Commit) -> Result<bool> {
        for (name, value) in &commit.marks {
            if self.mark(table, name).await? != Some(*value) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn read(
        &self,
        table: &TableName,
        delta: &DeltaTable,
        filter: Option<String>,
        columns: Option<Vec<String>>,
    ) -> Result<Vec<RecordBatch>> {
        let frame = self.frame(table, delta, filter, columns).await?;
        frame.collect().await.map_err(Error::engine)
    }

    async fn frame(
        &self,
        table: &TableName,
        delta: &DeltaTable,
        filter: Option<String>,
        columns: Option<Vec<String>>,
    ) -> Result<DataFrame> {
        let provider = provider(table, delta).await?;
        let framed = || {
            let mut frame = self.context.read_table(provider)?;
            if let Some(filter) = filter {
                let condition = frame.parse_sql_expr(&filter)?;
                frame = frame.filter(condition)?;
            }
            if let Some(columns) = columns {
                let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
                frame = frame.select_columns(&columns)?;
            }
            Ok(frame)
        };
        framed().map_err(Error::engine)
    }

    fn builder(&self, table: &TableName) -> Result<DeltaTableBuilder> {
        let url = self.store.table_url(table)?;
        let builder = DeltaTableBuilder::from_url(url.clone())
            .map_err(|error| Error::table(table, "opening", error))?;
        Ok(builder.with_storage_backend(self.store.root(), url))
    }

    async fn remember(&self, table: &TableName, delta: DeltaTable) {
        self.open.lock().await.insert(table.clone(), delta);
    }
}

/// A mark of an open table.
async fn mark_in(table: &TableName, delta: &DeltaTable, name: &str) -> Result<Option<i64>> {
    let failed = |error| Error::table(table, "reading a mark of", error);
    let state = delta.snapshot().map_err(failed)?;
    state
        .transaction_version(delta.log_store().as_ref(), name)
        .await
        .map_err(failed)
}

fn as_u64<V: TryInto<u64>>(version: V) -> u64 {
    version.try_into().unwrap_or_default()
}

fn properties(commit: &Commit) -> CommitProperties {
    let marks = commit
        .marks
        .iter()
        .map(|(name, value)| Transaction::new(name, *value))
        .collect();
    CommitProperties::default()
        .with_application_transactions(marks)
        // What kept releases need of the log stays for as long as they do; maintenance knows.
        .with_cleanup_expired_logs(Some(false))
        .with_metadata([(
            "runId".to_string(),
            serde_json::Value::from(commit.run_id.as_str()),
        )])
}

/// A text as an SQL literal.
pub(crate) fn sql_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The contract of a table that rows can be written to.
fn contract_of(table: &TableName) -> Result<&'static Contract> {
    schemas::contract(table).ok_or_else(|| Error::Rows {
        table: table.clone(),
        reason: "the table has no contract".to_string(),
    })
}
