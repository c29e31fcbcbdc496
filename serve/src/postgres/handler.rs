//! What a client says, in the simple and in the extended form of the protocol.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_pg::datatypes::into_pg_type;
use async_trait::async_trait;
use futures::{Sink, stream};
use pgwire::api::portal::{Format, Portal};
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use pgwire::api::results::{DataRowEncoder, FieldFormat, FieldInfo, QueryResponse, Response, Tag};
use pgwire::api::stmt::QueryParser;
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore, Type};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::TransactionStatus;
use tokio::sync::Notify;
use warehouse::{Command, Description, Param, Warehouse, commands};

use super::error::{self, error};
use super::session::Session;
use super::startup::Registered;
use super::{params, rows};

/// Answers what clients say.
pub(super) struct Handler {
    warehouse: Warehouse,
    parser: Arc<Parser>,
}

/// Plans statements that are prepared.
pub(super) struct Parser {
    warehouse: Warehouse,
}

/// A prepared statement.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    command: Command,
    /// Of a query.
    description: Option<Arc<Description>>,
}

impl Prepared {
    /// Types of the parameters, as the statement has them.
    pub(super) fn parameter_types(&self) -> Vec<Type> {
        let params = self
            .description
            .as_ref()
            .map(|query| query.params.as_slice());
        params
            .unwrap_or_default()
            .iter()
            .map(|kind| {
                let kind = kind.as_ref().and_then(|kind| into_pg_type(kind).ok());
                kind.unwrap_or(Type::TEXT)
            })
            .collect()
    }
}

/// A connection's state, taken out of the client so that no borrow of it is held while waiting.
#[derive(Clone)]
struct Connection {
    session: Arc<Mutex<Session>>,
    cancel: Arc<Notify>,
    status: TransactionStatus,
}

impl Connection {
    fn of(client: &impl ClientInfo) -> PgWireResult<Self> {
        let missing = || error("08003", "the connection was not started");
        let extensions = client.session_extensions();
        let session = extensions.get::<Mutex<Session>>().ok_or_else(missing)?;
        let registered = extensions.get::<Registered>().ok_or_else(missing)?;
        Ok(Self {
            session,
            cancel: Arc::clone(&registered.notify),
            status: client.transaction_status(),
        })
    }

    fn session(&self) -> std::sync::MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler {
    pub(super) fn new(warehouse: Warehouse) -> Self {
        let parser = Arc::new(Parser {
            warehouse: warehouse.clone(),
        });
        Self { warehouse, parser }
    }

    /// Carries out one command.
    async fn answer(
        &self,
        connection: &mut Connection,
        command: &Command,
        parameters: Vec<(String, Param)>,
        format: &Format,
    ) -> PgWireResult<Response> {
        let failed = matches!(connection.status, TransactionStatus::Error);
        if failed && !matches!(command, Command::Commit | Command::Rollback) {
            let message =
                "current transaction is aborted, commands ignored until end of transaction block";
            return Err(error("25P02", message));
        }
        let done = |tag: &str| Ok(Response::Execution(Tag::new(tag)));
        match command {
            Command::Query(sql) => {
                let found = self.query(connection, sql, parameters, format).await?;
                Ok(Response::Query(found))
            }
            Command::Set(name, value) => {
                if name == "sprint_reports.as_of" && !value.eq_ignore_ascii_case("default") {
                    let found = self.warehouse.releases().find(value).await;
                    found.map_err(|failure| error::of(&failure))?;
                }
                connection.session().set(name, value)?;
                done("SET")
            }
            Command::Reset(name) => {
                connection.session().reset(name.as_deref())?;
                done("RESET")
            }
            Command::Show(name) => show(&connection.session(), name, format),
            Command::Begin => {
                connection.session().unpin();
                connection.status = TransactionStatus::Transaction;
                Ok(Response::TransactionStart(Tag::new("BEGIN")))
            }
            Command::Commit | Command::Rollback => {
                connection.session().unpin();
                connection.status = TransactionStatus::Idle;
                let rolled_back = failed || *command == Command::Rollback;
                let tag = if rolled_back { "ROLLBACK" } else { "COMMIT" };
                Ok(Response::TransactionEnd(Tag::new(tag)))
            }
            Command::Savepoint(tag) | Command::Discard(tag) => done(tag),
        }
    }

    async fn query(
        &self,
        connection: &Connection,
        sql: &str,
        parameters: Vec<(String, Param)>,
        format: &Format,
    ) -> PgWireResult<QueryResponse> {
        let mut options = connection.session().options();
        options.params = parameters;
        let found = tokio::select! {
            found = self.warehouse.query().run(sql, &options) => {
                found.map_err(|failure| error::of(&failure))?
            }
            () = connection.cancel.notified() => return Err(error::cancelled()),
        };
        if matches!(connection.status, TransactionStatus::Transaction) {
            connection.session().pin(found.release());
        }
        rows::response(found, format, Arc::clone(&connection.cancel))
    }
}

/// Answers `SHOW`.
fn show(session: &Session, name: &str, format: &Format) -> PgWireResult<Response> {
    let (names, values) = if name == "all" {
        let names = vec!["name".to_string(), "setting".to_string()];
        let all = session.all().into_iter();
        (names, all.map(|(name, value)| vec![name, value]).collect())
    } else {
        (
            vec![name.replace(' ', "_")],
            vec![vec![session.show(name)?]],
        )
    };
    let fields: Vec<FieldInfo> = names
        .into_iter()
        .enumerate()
        .map(|(index, name)| FieldInfo::new(name, None, None, Type::TEXT, format.format_for(index)))
        .collect();
    let fields = Arc::new(fields);
    let mut encoder = DataRowEncoder::new(Arc::clone(&fields));
    let mut encoded = Vec::new();
    for row in values {
        for value in row {
            encoder.encode_field(&value)?;
        }
        encoded.push(Ok(encoder.take_row()));
    }
    let mut response = QueryResponse::new(fields, stream::iter(encoded));
    response.set_command_tag("SHOW");
    Ok(Response::Query(response))
}

#[async_trait]
impl SimpleQueryHandler for Handler {
    async fn do_query<C>(&self, client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let mut connection = Connection::of(client)?;
        let limit = self.warehouse.query().text_limit();
        let commands = commands(query, limit).map_err(|failure| error::of(&failure))?;
        if commands.is_empty() {
            return Ok(vec![Response::EmptyQuery]);
        }
        let mut responses = Vec::with_capacity(commands.len());
        for command in &commands {
            let answered = self
                .answer(&mut connection, command, Vec::new(), &Format::UnifiedText)
                .await;
            match answered {
                Ok(response) => responses.push(response),
                // What came before in the same text is answered first.
                Err(PgWireError::UserError(info)) if !responses.is_empty() => {
                    responses.push(Response::Error(info));
                    break;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(responses)
    }
}

#[async_trait]
impl QueryParser for Parser {
    type Statement = Prepared;

    async fn parse_sql<C>(
        &self,
        client: &C,
        sql: &str,
        _types: &[Option<Type>],
    ) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let connection = Connection::of(client)?;
        let query = self.warehouse.query();
        let commands = commands(sql, query.text_limit()).map_err(|failure| error::of(&failure))?;
        let mut commands = commands.into_iter();
        let Some(command) = commands.next() else {
            return Ok(None);
        };
        if commands.next().is_some() {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(error("42601", message));
        }
        let description = match &command {
            Command::Query(sql) => {
                let options = connection.session().options();
                let described = tokio::select! {
                    described = query.describe(sql, &options) => described,
                    () = connection.cancel.notified() => return Err(error::cancelled()),
                };
                Some(Arc::new(described.map_err(|failure| error::of(&failure))?))
            }
            _ => None,
        };
        Ok(Some(Prepared {
            command,
            description,
        }))
    }

    fn get_parameter_types(&self, prepared: &Prepared) -> PgWireResult<Vec<Type>> {
        Ok(prepared.parameter_types())
    }

    fn get_result_schema(
        &self,
        prepared: &Prepared,
        format: Option<&Format>,
    ) -> PgWireResult<Vec<FieldInfo>> {
        let format = format.unwrap_or(&Format::UnifiedText);
        match (&prepared.description, &prepared.command) {
            (Some(query), _) => rows::fields(&query.schema, &query.labels, format),
            (None, Command::Show(name)) => {
                let names = match name.as_str() {
                    "all" => vec!["name".to_string(), "setting".to_string()],
                    name => vec![name.replace(' ', "_")],
                };
                let field = |name| FieldInfo::new(name, None, None, Type::TEXT, FieldFormat::Text);
                Ok(names.into_iter().map(field).collect())
            }
            _ => Ok(Vec::new()),
        }
    }
}

#[async_trait]
impl ExtendedQueryHandler for Handler {
    type Statement = Prepared;
    type QueryParser = Parser;

    fn query_parser(&self) -> Arc<Parser> {
        Arc::clone(&self.parser)
    }

    async fn do_query<C>(
        &self,
        client: &mut C,
        portal: &Portal<Prepared>,
        _max_rows: usize,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let mut connection = Connection::of(client)?;
        let parameters = params::of(portal)?;
        let command = &portal.statement.statement.command;
        let format = &portal.result_column_format;
        self.answer(&mut connection, command, parameters, format)
            .await
    }
}
