//! Read-only queries over a release, within limits. Every protocol comes through here.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::Statement as Sql;
use futures::Stream;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use tokio::time::{Instant, Sleep};

use crate::release::{Release, Releases};
use crate::session::{Sessions, Snapshot};
use crate::{Config, Error, Result, batch_to_rows};

/// How a query is to be run.
#[derive(Debug, Clone, Default)]
pub struct QueryOptions {
    /// Release (`r12`), instant or day to read; the current release without it.
    pub as_of: Option<String>,
    /// Most rows to return, if fewer than the warehouse allows.
    pub max_rows: Option<u64>,
    /// Longest time, if shorter than the warehouse allows.
    pub deadline: Option<Duration>,
    /// Values of the placeholders (`$name`) in the query.
    pub params: Vec<(&'static str, Param)>,
}

/// Value of a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Param {
    /// A whole number, such as an id.
    Number(i64),
    /// A text; null without one.
    Text(Option<String>),
}

/// Runs queries. Cheap to clone.
#[derive(Debug, Clone)]
pub struct QueryService {
    sessions: Sessions,
    releases: Releases,
    deadline: Duration,
    rows: u64,
    bytes: usize,
    /// The session of the release that was queried last.
    last: Arc<Mutex<Option<Opened>>>,
}

/// An open session and the release it reads.
#[derive(Clone)]
struct Opened {
    release_id: String,
    context: SessionContext,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("release_id", &self.release_id)
            .finish_non_exhaustive()
    }
}

impl QueryService {
    pub(crate) fn new(config: &Config, sessions: Sessions, releases: Releases) -> Self {
        Self {
            sessions,
            releases,
            deadline: config.query_deadline,
            rows: config.query_rows,
            bytes: config.query_bytes,
            last: Arc::default(),
        }
    }

    /// Plans a query and starts it; rows come as the stream is read. The deadline counts from
    /// here to the last row.
    pub fn run<'a>(
        &'a self,
        sql: &'a str,
        options: &'a QueryOptions,
    ) -> BoxFuture<'a, Result<QueryStream>> {
        Box::pin(async move {
            if sql.len() > self.bytes {
                return Err(Error::TooLarge(format!(
                    "{} bytes, at most {} are allowed",
                    sql.len(),
                    self.bytes
                )));
            }
            let limit = self.deadline.min(options.deadline.unwrap_or(self.deadline));
            let until = Instant::now() + limit;
            let started = tokio::time::timeout_at(until, self.start(sql, options)).await;
            let (release, schema, batches) =
                started.map_err(|_| Error::Deadline(limit.as_secs()))??;
            Ok(QueryStream {
                release,
                schema,
                batches,
                rows_left: self.rows.min(options.max_rows.unwrap_or(self.rows)),
                rows_limit: self.rows.min(options.max_rows.unwrap_or(self.rows)),
                deadline: Box::pin(tokio::time::sleep_until(until)),
                seconds: limit.as_secs(),
                ended: false,
            })
        })
    }

    async fn start(
        &self,
        sql: &str,
        options: &QueryOptions,
    ) -> Result<(String, SchemaRef, Batches)> {
        let statement = read_only(sql)?;
        let release = match &options.as_of {
            Some(name) => self.releases.find(name).await?,
            None => self.releases.latest().await?.ok_or(Error::NoRelease)?,
        };
        let context = self.session(&release).await?;
        let state = context.state();
        let plan = state
            .statement_to_plan(statement)
            .await
            .map_err(Error::engine)?;
        let allowed = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        allowed
            .verify_plan(&plan)
            .map_err(|error| Error::NotReadOnly(error.strip_backtrace()))?;
        let plan = bind(plan, &options.params)?;
        let frame = context
            .execute_logical_plan(plan)
            .await
            .map_err(Error::engine)?;
        let schema = Arc::clone(frame.schema().inner());
        let batches = frame.execute_stream().await.map_err(Error::engine)?;
        let batches: Batches = Box::pin(batches.map(|batch| batch.map_err(Error::engine)));
        Ok((release.release_id, schema, batches))
    }

    async fn session(&self, release: &Release) -> Result<SessionContext> {
        let known = self
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(opened) = known
            && opened.release_id == release.release_id
        {
            return Ok(opened.context);
        }
        let context = self.sessions.open(&Snapshot::from(release)).await?;
        let entry = Opened {
            release_id: release.release_id.clone(),
            context: context.clone(),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(entry);
        Ok(context)
    }
}

fn bind(plan: LogicalPlan, params: &[(&'static str, Param)]) -> Result<LogicalPlan> {
    if params.is_empty() {
        return Ok(plan);
    }
    let values: Vec<(&str, ScalarValue)> = params
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Param::Number(number) => ScalarValue::Int64(Some(*number)),
                Param::Text(text) => ScalarValue::Utf8(text.clone()),
            };
            (*name, value)
        })
        .collect();
    plan.with_param_values(values).map_err(Error::engine)
}

/// Parses exactly one statement and refuses what does more than read.
fn read_only(sql: &str) -> Result<Statement> {
    let mut statements = DFParser::parse_sql(sql).map_err(Error::engine)?;
    let statement = statements
        .pop_front()
        .ok_or_else(|| Error::Query("the query is empty".to_string()))?;
    if !statements.is_empty() {
        return Err(Error::Query("write one statement at a time".to_string()));
    }
    let reads = match &statement {
        Statement::Statement(sql) => matches!(
            sql.as_ref(),
            Sql::Query(_)
                | Sql::ShowVariable { .. }
                | Sql::ShowTables { .. }
                | Sql::ShowColumns { .. }
                | Sql::ExplainTable { .. }
        ),
        Statement::Explain(_) => true,
        _ => false,
    };
    if !reads {
        let word = sql
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_uppercase();
        return Err(Error::NotReadOnly(format!("{word} is not one of them")));
    }
    Ok(statement)
}

type Batches = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// The rows of a running query. Dropping it stops the work.
pub struct QueryStream {
    release: String,
    schema: SchemaRef,
    batches: Batches,
    rows_left: u64,
    rows_limit: u64,
    deadline: Pin<Box<Sleep>>,
    seconds: u64,
    ended: bool,
}

impl std::fmt::Debug for QueryStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueryStream")
            .field("release", &self.release)
            .finish_non_exhaustive()
    }
}

impl QueryStream {
    /// All rows, as JSON.
    pub async fn into_rows(self) -> Result<Vec<schemas::Row>> {
        let batches: Vec<RecordBatch> = self.try_collect().await?;
        let mut rows = Vec::new();
        for batch in &batches {
            rows.extend(batch_to_rows(batch)?);
        }
        Ok(rows)
    }

    /// Release that the rows come from.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// Columns of the rows.
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = match self.batches.as_mut().poll_next(context) {
            Poll::Ready(Some(Ok(batch))) => {
                let rows = batch.num_rows() as u64;
                if rows > self.rows_left {
                    Some(Err(Error::TooManyRows(self.rows_limit)))
                } else {
                    self.rows_left -= rows;
                    Some(Ok(batch))
                }
            }
            Poll::Ready(other) => other,
            Poll::Pending => match self.deadline.as_mut().poll(context) {
                Poll::Ready(()) => Some(Err(Error::Deadline(self.seconds))),
                Poll::Pending => return Poll::Pending,
            },
        };
        self.ended = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reading_statements_pass() {
        for good in [
            "select 1",
            "with a as (select 1) select * from a",
            "explain select 1",
            "show tables",
        ] {
            assert!(read_only(good).is_ok(), "{good}");
        }
        for bad in [
            "drop table jira.issues",
            "insert into jira.issues values (1)",
            "copy (select 1) to '/tmp/x.csv'",
            "create external table x stored as csv location '/etc/passwd'",
            "set datafusion.execution.batch_size = 1",
            "select 1; select 2",
            "",
        ] {
            assert!(read_only(bad).is_err(), "{bad}");
        }
    }
}
