//! Read-only queries over a release, within limits. Every protocol comes through here.

mod bounds;
mod command;
mod functions;
mod guard;
mod labels;
mod log;
mod workers;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use futures::future::BoxFuture;
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use crate::release::{Release, Releases};
use crate::session::{Sessions, Snapshot};
use crate::{Config, Error, Result, batch_to_rows, fault};
use log::Entry;
use workers::{Batches, Stop};

pub(crate) use bounds::bound;
pub use command::{Command, commands};
pub use log::Origin;
pub(crate) use log::QueryLog;

/// How a query is to be run.
#[derive(Debug, Clone, Default)]
pub struct QueryOptions {
    /// Release (`r12`), instant or day to read; the current release without it.
    pub as_of: Option<String>,
    /// Most rows to return, if fewer than the warehouse allows.
    pub max_rows: Option<u64>,
    /// Longest time, if shorter than the warehouse allows.
    pub deadline: Option<Duration>,
    /// Values of the placeholders (`$name` or `$1`) in the query, by name without the dollar.
    pub params: Vec<(String, Param)>,
    /// Where the query comes from.
    pub origin: Origin,
}

/// Value of a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Param {
    /// A whole number, such as an id.
    Number(i64),
    /// A text, read as the type that the placeholder has where it stands; null without one.
    Text(Option<String>),
}

/// What a query returns and takes, without running it.
#[derive(Debug, Clone)]
pub struct Description {
    /// Columns of the rows.
    pub schema: SchemaRef,
    /// Names of the columns as PostgreSQL would give them: an expression without a name is called
    /// after its function, or `?column?`.
    pub labels: Vec<String>,
    /// Types of the placeholders `$1`, `$2`, …; `None` where the query leaves it open.
    pub params: Vec<Option<DataType>>,
}

/// Runs queries. Cheap to clone.
#[derive(Debug, Clone)]
pub struct QueryService {
    sessions: Sessions,
    releases: Releases,
    log: QueryLog,
    deadline: Duration,
    rows: u64,
    bytes: usize,
    /// Queries that may run at once; others wait, within their deadline.
    slots: Arc<Semaphore>,
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

/// A query that was planned.
struct Planned {
    release_id: String,
    context: SessionContext,
    plan: LogicalPlan,
    labels: Vec<String>,
}

impl QueryService {
    pub(crate) fn new(
        config: &Config,
        sessions: Sessions,
        releases: Releases,
        log: QueryLog,
    ) -> Self {
        Self {
            sessions,
            releases,
            log,
            deadline: config.query_deadline,
            rows: config.query_rows,
            bytes: config.query_bytes,
            slots: Arc::new(Semaphore::new(config.query_slots)),
            last: Arc::default(),
        }
    }

    /// Longest query text, in bytes.
    pub fn text_limit(&self) -> usize {
        self.bytes
    }

    /// Plans a query and starts it; rows come as the stream is read. The deadline counts from
    /// here to the last row. Dropping the future or the stream stops the work.
    pub fn run<'a>(
        &'a self,
        sql: &'a str,
        options: &'a QueryOptions,
    ) -> BoxFuture<'a, Result<QueryStream>> {
        Box::pin(async move {
            let mut entry = self.log.begin(sql, &options.origin);
            let limit = self.deadline.min(options.deadline.unwrap_or(self.deadline));
            let until = Instant::now() + limit;
            let started = tokio::time::timeout_at(until, self.start(sql, options)).await;
            let started = started.unwrap_or(Err(Error::Deadline(limit.as_secs())));
            let (release, schema, labels, batches, slot) =
                started.inspect_err(|error| entry.end(Some(error)))?;
            entry.release(&release);
            let (batches, stop) = workers::read(batches, until, slot)?;
            let rows = self.rows.min(options.max_rows.unwrap_or(self.rows));
            Ok(QueryStream {
                release,
                schema,
                labels,
                batches,
                rows_left: rows,
                rows_limit: rows,
                deadline: Box::pin(tokio::time::sleep_until(until)),
                seconds: limit.as_secs(),
                ended: false,
                entry,
                _stop: stop,
            })
        })
    }

    /// What a query returns and takes; nothing is run.
    pub fn describe<'a>(
        &'a self,
        sql: &'a str,
        options: &'a QueryOptions,
    ) -> BoxFuture<'a, Result<Description>> {
        Box::pin(async move {
            let limit = self.deadline;
            let planned = tokio::time::timeout(limit, self.plan(sql, options.as_of.clone())).await;
            let planned = planned.unwrap_or(Err(Error::Deadline(limit.as_secs())))?;
            let Planned { plan, labels, .. } = planned;
            let types = plan.get_parameter_types().map_err(Error::engine)?;
            let count = types.keys().filter_map(|name| position(name)).max();
            let params = (1..=count.unwrap_or(0))
                .map(|number| types.get(&format!("${number}")).cloned().flatten())
                .collect();
            let schema = SchemaRef::clone(plan.schema().inner());
            Ok(Description {
                schema,
                labels,
                params,
            })
        })
    }

    async fn start(
        &self,
        sql: &str,
        options: &QueryOptions,
    ) -> Result<(
        String,
        SchemaRef,
        Vec<String>,
        Batches,
        OwnedSemaphorePermit,
    )> {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        let slot = slot.map_err(|_| Error::Engine("the server is stopping".to_string()))?;
        let planned = self.plan(sql, options.as_of.clone()).await?;
        let Planned {
            release_id,
            context,
            plan,
            labels,
        } = planned;
        let plan = bind(plan, &options.params)?;
        let (schema, batches) = workers::run(Box::pin(async move {
            let frame = context.execute_logical_plan(plan).await;
            let frame = frame.map_err(Error::engine)?;
            let schema = SchemaRef::clone(frame.schema().inner());
            let batches = frame.execute_stream().await.map_err(Error::engine)?;
            let batches: Batches = Box::pin(batches.map(|batch| batch.map_err(Error::engine)));
            Ok((schema, batches))
        }))
        .await?;
        Ok((release_id, schema, labels, batches, slot))
    }

    /// Parses, checks and plans on the query threads.
    async fn plan(&self, sql: &str, as_of: Option<String>) -> Result<Planned> {
        let service = self.clone();
        let sql = sql.to_string();
        workers::run(Box::pin(async move {
            let mut statement = guard::read_only(&sql, service.bytes)?;
            let release = match &as_of {
                Some(name) => service.releases.find(name).await?,
                None => service.releases.latest().await?.ok_or(Error::NoRelease)?,
            };
            functions::expand(&mut statement, &release.content.functions)?;
            let context = service.session(&release).await?;
            let select = labels::projection(&statement);
            let statement = Statement::Statement(Box::new(statement));
            let plan = context.state().statement_to_plan(statement).await;
            let plan = plan.map_err(Error::engine)?;
            guard::verify(&plan)?;
            let labels = labels::of(select, plan.schema().inner());
            Ok(Planned {
                release_id: release.release_id,
                context,
                plan,
                labels,
            })
        }))
        .await
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
        let context = self
            .sessions
            .open_for_queries(&Snapshot::from(release))
            .await?;
        let entry = Opened {
            release_id: release.release_id.clone(),
            context: context.clone(),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(entry);
        Ok(context)
    }
}

/// Number of a placeholder `$3`.
fn position(name: &str) -> Option<usize> {
    name.strip_prefix('$')?.parse().ok()
}

fn bind(plan: LogicalPlan, params: &[(String, Param)]) -> Result<LogicalPlan> {
    if params.is_empty() {
        return Ok(plan);
    }
    let types = plan.get_parameter_types().map_err(Error::engine)?;
    let mut values = Vec::new();
    for (name, value) in params {
        let wanted = types.get(&format!("${name}")).cloned().flatten();
        let value = match value {
            Param::Number(number) => ScalarValue::Int64(Some(*number)),
            Param::Text(None) => match &wanted {
                Some(wanted) => ScalarValue::try_from(wanted).map_err(Error::engine)?,
                None => ScalarValue::Utf8(None),
            },
            Param::Text(Some(text)) => match &wanted {
                Some(wanted) => {
                    ScalarValue::try_from_string(text.clone(), wanted).map_err(|_| {
                        Error::Query {
                            sqlstate: "22P02",
                            message: format!("parameter ${name} is not a value of type {wanted}"),
                        }
                    })?
                }
                None => ScalarValue::Utf8(Some(text.clone())),
            },
        };
        values.push((name.clone(), value));
    }
    let positional = values.iter().all(|(name, _)| name.parse::<usize>().is_ok());
    let values = if positional {
        ParamValues::from(
            values
                .into_iter()
                .map(|(_, value)| value)
                .collect::<Vec<_>>(),
        )
    } else {
        ParamValues::from(
            values
                .into_iter()
                .collect::<std::collections::HashMap<_, _>>(),
        )
    };
    plan.with_param_values(values).map_err(Error::engine)
}

/// The rows of a running query. Dropping it stops the work.
pub struct QueryStream {
    release: String,
    schema: SchemaRef,
    labels: Vec<String>,
    batches: Batches,
    rows_left: u64,
    rows_limit: u64,
    deadline: Pin<Box<Sleep>>,
    seconds: u64,
    ended: bool,
    entry: Entry,
    _stop: Stop,
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

    /// Names of the columns as PostgreSQL would give them.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let late = self.deadline.as_mut().poll(context).is_ready();
        let next = match self.batches.as_mut().poll_next(context) {
            _ if late => Some(Err(Error::Deadline(self.seconds))),
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(batch))) => {
                if let Err(error) = fault::point("query.batch") {
                    self.entry.end(Some(&error));
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                let rows = batch.num_rows() as u64;
                if rows > self.rows_left {
                    Some(Err(Error::TooManyRows(self.rows_limit)))
                } else {
                    self.rows_left -= rows;
                    self.entry.add_rows(rows);
                    Some(Ok(batch))
                }
            }
            // The work ends at the same instant, and may be the first to notice.
            Poll::Ready(Some(Err(_))) if Instant::now() >= self.deadline.deadline() => {
                Some(Err(Error::Deadline(self.seconds)))
            }
            Poll::Ready(other) => other,
        };
        match &next {
            Some(Ok(_)) => {}
            Some(Err(error)) => self.entry.end(Some(error)),
            None => self.entry.end(None),
        }
        self.ended = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }
}
