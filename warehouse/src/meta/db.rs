//! Connections to the metadata database, whichever it is: statements are written once, for both.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use sqlx::any::{
    AnyArguments, AnyConnectOptions, AnyPoolOptions, AnyQueryResult, AnyRow, AnyStatement,
    AnyTypeInfo,
};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Describe, Either, Execute, Executor, SqlStr, Transaction};
use tokio::time::Instant;

use super::place::Place;

/// Longest wait for a file that others write.
const SQLITE: Duration = Duration::from_secs(30);
/// Longest wait for a server: work goes on after it was gone for a minute.
const POSTGRES: Duration = Duration::from_secs(75);
/// The same where somebody waits for the answer.
const HASTY: Duration = Duration::from_secs(10);
/// Longest wait for the answer to a statement, before its connection is taken for broken.
const ANSWER: Duration = Duration::from_secs(30);
/// Longest wait for a read-only copy, which the primary stands in for.
const REPLICA: Duration = Duration::from_secs(2);
/// Pause before a server that is gone is tried again.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a copy that failed is left alone.
const REST: Duration = Duration::from_secs(30);

type Answer = Either<AnyQueryResult, AnyRow>;
type Answers = Result<Vec<Answer>, sqlx::Error>;

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file of this machine.
    Sqlite,
    /// A server that several machines share.
    Postgres,
}

/// What its connections are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Everything.
    All,
    /// Commits that outlive a loss of power.
    Durable,
    /// Reading from a copy.
    Replica,
}

/// Connections to one database.
#[derive(Debug, Clone)]
pub(super) struct Db {
    pool: AnyPool,
    kind: Kind,
    /// Longest wait for a connection.
    wait: Duration,
    /// Longest wait for an answer.
    patience: Option<Duration>,
}

impl Db {
    /// Connects when the first statement needs it.
    pub(super) fn new(place: &Place, of: Use, connections: u32) -> Result<Self, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let kind = match place {
            Place::Sqlite(_) => Kind::Sqlite,
            Place::Postgres(_) => Kind::Postgres,
        };
        let options: AnyConnectOptions = place.url().parse()?;
        let settings = settings(kind, of);
        let (wait, patience) = match (kind, of) {
            (Kind::Sqlite, _) => (SQLITE, None),
            (Kind::Postgres, Use::Replica) => (REPLICA, Some(REPLICA)),
            (Kind::Postgres, _) => (POSTGRES, Some(ANSWER)),
        };
        let pool = AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(wait)
            .after_connect(move |connection, _| {
                async move { connection.execute(settings).await.map(|_| ()) }.boxed()
            })
            .connect_lazy_with(options);
        Ok(Self {
            pool,
            kind,
            wait,
            patience,
        })
    }

    /// The same connections, for statements that somebody waits for: a server that is gone is said to be
    /// so before long.
    pub(super) fn hasty(&self) -> Self {
        let mut hasty = self.clone();
        if self.kind == Kind::Postgres {
            hasty.wait = hasty.wait.min(HASTY);
        }
        hasty
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// A connection of its own, which is not one of the pool any more.
    pub(super) async fn own_connection(&self) -> Result<AnyConnection, sqlx::Error> {
        Ok(self.connection(Instant::now() + self.wait).await?.detach())
    }

    /// Begins a transaction.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        let connection = self.connection(Instant::now() + self.wait).await?;
        Transaction::begin(connection, None).await
    }

    /// A connection; a server that is gone may come back until then.
    async fn connection(&self, until: Instant) -> Result<PoolConnection<Any>, sqlx::Error> {
        loop {
            let asked = Instant::now();
            let acquired = tokio::time::timeout_at(until, self.pool.acquire()).await;
            match acquired {
                Ok(Ok(connection)) => return Ok(connection),
                Err(_) => return Err(sqlx::Error::PoolTimedOut),
                Ok(Err(error)) if self.may_ask_again(&error, until) => {
                    tracing::debug!(%error, after = ?asked.elapsed(), "the metadata database is tried again");
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(Err(error)) => return Err(error),
            }
        }
    }

    fn may_ask_again(&self, error: &sqlx::Error, until: Instant) -> bool {
        self.kind == Kind::Postgres && is_gone(error) && Instant::now() + PAUSE < until
    }

    async fn run(&self, asked: Asked) -> Answers {
        let until = Instant::now() + self.wait;
        loop {
            let connection = self.connection(until).await?;
            match self.ask(connection, asked.again()).await {
                // It was not carried out.
                Err(error) if was_ended(&error) && self.may_ask_again(&error, until) => {
                    tokio::time::sleep(PAUSE).await;
                }
                answers => return answers,
            }
        }
    }

    async fn ask(&self, connection: PoolConnection<Any>, asked: Asked) -> Answers {
        let Some(patience) = self.patience else {
            let mut connection = connection;
            return asked.of(&mut connection).await;
        };
        let mut busy = Busy(Some(connection));
        let Some(connection) = &mut busy.0 else {
            return Err(sqlx::Error::PoolClosed);
        };
        match tokio::time::timeout(patience, asked.of(connection)).await {
            Ok(answers) => {
                busy.0 = None;
                answers
            }
            Err(_) => {
                let silent = format!("no answer within {} s", patience.as_secs());
                let kind = std::io::ErrorKind::TimedOut;
                Err(sqlx::Error::Io(std::io::Error::new(kind, silent)))
            }
        }
    }
}

/// A connection that owes an answer: dropped with it, it is closed, for the answer may never come.
struct Busy(Option<PoolConnection<Any>>);

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.0 {
            connection.close_on_drop();
        }
    }
}

/// Whether the server could not be reached, or has ended the connection.
pub(crate) fn is_gone(error: &sqlx::Error) -> bool {
    match error {
        _ if is_untrusted(error) => false,
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08") || code == "53300" || code.starts_with("57P0")
        }),
        _ => false,
    }
}

/// Whether the server did not show what it has to.
pub(super) fn is_untrusted(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        // A certificate that is refused.
        sqlx::Error::Io(io) => io.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

/// Whether the server says itself that it has ended the connection, and with it the statement.
fn was_ended(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code.starts_with("57P0"))
}

/// What a new connection is told.
fn settings(kind: Kind, of: Use) -> &'static str {
    match (kind, of) {
        (Kind::Sqlite, Use::Durable) => {
            "pragma busy_timeout = 10000; pragma foreign_keys = on; pragma journal_mode = wal;
             pragma synchronous = full"
        }
        (Kind::Sqlite, _) => {
            "pragma busy_timeout = 10000; pragma foreign_keys = on; pragma journal_mode = wal;
             pragma synchronous = normal"
        }
        // A client that has gone does not hold others up, and a commit is on the disk when it returns,
        // whatever the server does otherwise.
        (Kind::Postgres, Use::Replica) => {
            "set default_transaction_read_only = on; set statement_timeout = '10s';
             set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10"
        }
        (Kind::Postgres, _) => {
            "set default_transaction_isolation = 'read committed'; set statement_timeout = '60s';
             set lock_timeout = '10s'; set idle_in_transaction_session_timeout = '60s';
             set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10;
             select set_config('synchronous_commit', 'on', false)
             where current_setting('synchronous_commit') = 'off'"
        }
    }
}

/// A statement with its arguments.
struct Asked {
    sql: SqlStr,
    arguments: Option<AnyArguments>,
    persistent: bool,
}

impl Asked {
    fn new<'q>(mut query: impl Execute<'q, Any>) -> Result<Self, sqlx::Error> {
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
        Ok(Self {
            arguments,
            persistent: query.persistent(),
            sql: query.sql(),
        })
    }

    fn again(&self) -> Self {
        let arguments = self.arguments.as_ref().map(|given| {
            let mut arguments = AnyArguments::default();
            arguments.values.0.clone_from(&given.values.0);
            arguments
        });
        Self {
            sql: self.sql.clone(),
            arguments,
            persistent: self.persistent,
        }
    }

    async fn of(self, connection: &mut AnyConnection) -> Answers {
        let answers = match self.arguments {
            Some(arguments) => {
                let query = sqlx::query_with(self.sql, arguments).persistent(self.persistent);
                connection.fetch_many(query)
            }
            None => connection.fetch_many(sqlx::raw_sql(self.sql)),
        };
        answers.try_collect().await
    }
}

/// Connections for reads that may be a little late: to read-only copies, where there are some.
#[derive(Debug, Clone)]
pub(super) struct Reads {
    primary: Db,
    replicas: Arc<[Replica]>,
    next: Arc<AtomicUsize>,
}

/// A read-only copy.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) db: Db,
    pub(super) place: Place,
    rests_until: Mutex<Option<Instant>>,
    has_failed: AtomicBool,
}

impl Replica {
    pub(super) fn new(place: Place, connections: u32) -> Result<Self, sqlx::Error> {
        Ok(Self {
            db: Db::new(&place, Use::Replica, connections)?,
            place,
            rests_until: Mutex::default(),
            has_failed: AtomicBool::new(false),
        })
    }

    fn rests(&self) -> bool {
        let until = *self
            .rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn failed(&self, error: &sqlx::Error) {
        let until = Some(Instant::now() + REST);
        *self
            .rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = until;
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            let replica = self.place.to_string();
            tracing::warn!(replica, %error, "a copy of the metadata database does not answer; the primary does");
        }
    }

    fn answered(&self) {
        if self.has_failed.swap(false, Ordering::Relaxed) {
            let replica = self.place.to_string();
            tracing::info!(replica, "a copy of the metadata database answers again");
        }
    }
}

impl Reads {
    pub(super) fn new(primary: Db, replicas: Vec<Replica>) -> Self {
        Self {
            primary,
            replicas: replicas.into(),
            next: Arc::default(),
        }
    }

    pub(super) fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    async fn run(&self, asked: Asked) -> Answers {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for at in 0..self.replicas.len() {
            let replica = &self.replicas[(first.wrapping_add(at)) % self.replicas.len()];
            if replica.rests() {
                continue;
            }
            match replica.db.run(asked.again()).await {
                Ok(answers) => {
                    replica.answered();
                    return Ok(answers);
                }
                Err(error) => replica.failed(&error),
            }
        }
        self.primary.run(asked).await
    }
}

/// Both are asked as a pool is.
macro_rules! executor {
    ($of:ty, $pool:expr) => {
        impl<'c> Executor<'c> for &'c $of {
            type Database = Any;

            fn fetch_many<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxStream<'e, Result<Answer, sqlx::Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Any>,
            {
                let asked = Asked::new(query);
                stream::once(async move { self.run(asked?).await })
                    .map_ok(|answers| stream::iter(answers.into_iter().map(Ok)))
                    .try_flatten()
                    .boxed()
            }

            fn fetch_optional<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, Result<Option<AnyRow>, sqlx::Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Any>,
            {
                let asked = Asked::new(query);
                async move {
                    let answers = self.run(asked?).await?;
                    Ok(answers.into_iter().find_map(Either::right))
                }
                .boxed()
            }

            fn prepare_with<'e>(
                self,
                sql: SqlStr,
                parameters: &'e [AnyTypeInfo],
            ) -> BoxFuture<'e, Result<AnyStatement, sqlx::Error>>
            where
                'c: 'e,
            {
                let pool: fn(&Self) -> &AnyPool = $pool;
                pool(&self).prepare_with(sql, parameters)
            }

            fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Any>, sqlx::Error>>
            where
                'c: 'e,
            {
                let pool: fn(&Self) -> &AnyPool = $pool;
                pool(&self).describe(sql)
            }
        }
    };
}

executor!(Db, |db| &db.pool);
executor!(Reads, |reads| &reads.primary.pool);
