//! The start of a connection, and requests to cancel what it does.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::Sink;
use pgwire::api::auth::{
    ServerParameterProvider, StartupHandler, finish_authentication, protocol_negotiation,
    save_startup_parameters_to_metadata,
};
use pgwire::api::cancel::CancelHandler;
use pgwire::api::{
    ClientInfo, METADATA_DATABASE, PidSecretKeyGenerator, RandomPidSecretKeyGenerator,
};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::startup::SecretKey;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use tokio::sync::Notify;

use super::error::fatal;
use super::session::{self, Session};

/// The one database.
const DATABASE: &str = "sprint_reports";

/// What a cancel request must know of a connection: its process id and its secret.
type Key = (i32, Vec<u8>);

/// The connections that can be cancelled.
#[derive(Debug, Default)]
pub(super) struct Cancels {
    open: Mutex<HashMap<Key, Arc<Notify>>>,
}

impl Cancels {
    fn open(self: &Arc<Self>, pid: i32, key: &SecretKey) -> Registered {
        let key = (pid, bytes(key));
        let notify = Arc::new(Notify::new());
        locked(&self.open).insert(key.clone(), Arc::clone(&notify));
        Registered {
            cancels: Arc::clone(self),
            key,
            notify,
        }
    }
}

fn bytes(key: &SecretKey) -> Vec<u8> {
    key.to_bytes().to_vec()
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection's place in the register, kept as long as the connection.
#[derive(Debug)]
pub(super) struct Registered {
    cancels: Arc<Cancels>,
    key: Key,
    pub(super) notify: Arc<Notify>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        locked(&self.cancels.open).remove(&self.key);
    }
}

#[async_trait]
impl CancelHandler for Cancels {
    async fn on_cancel_request(&self, request: CancelRequest) {
        let key = (request.pid, bytes(&request.secret_key));
        if let Some(notify) = locked(&self.open).get(&key) {
            notify.notify_waiters();
        }
    }
}

/// Starts connections.
pub(super) struct Startup {
    cancels: Arc<Cancels>,
    keys: RandomPidSecretKeyGenerator,
}

impl Startup {
    pub(super) fn new(cancels: Arc<Cancels>) -> Self {
        Self {
            cancels,
            keys: RandomPidSecretKeyGenerator::default(),
        }
    }
}

#[async_trait]
impl StartupHandler for Startup {
    async fn on_startup<C>(
        &self,
        client: &mut C,
        message: PgWireFrontendMessage,
    ) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let PgWireFrontendMessage::Startup(startup) = &message else {
            return Err(fatal("08P01", "a startup message was expected"));
        };
        protocol_negotiation(client, startup).await?;
        save_startup_parameters_to_metadata(client, startup);
        let database = client.metadata().get(METADATA_DATABASE).cloned();
        let database = database.unwrap_or_default();
        if database != DATABASE {
            let message =
                format!("database \"{database}\" does not exist; connect to \"{DATABASE}\"");
            return Err(fatal("3D000", message));
        }
        let mut session = Session::new();
        for (name, value) in client.metadata().clone() {
            // What is no setting of ours at start-up is left alone, as drivers send many.
            let known = session::is_known(&name.to_lowercase());
            if known {
                session.set(&name.to_lowercase(), &value)?;
            }
        }
        let (pid, key) = self.keys.generate(client);
        let registered = self.cancels.open(pid, &key);
        client.set_pid_and_secret_key(pid, key);
        tracing::debug!(connection = session.id(), "a PostgreSQL client connected");
        client.session_extensions().insert(registered);
        client.session_extensions().insert(Mutex::new(session));
        finish_authentication(client, &Parameters).await
    }
}

/// What a client is told at the start.
#[derive(Debug)]
struct Parameters;

impl ServerParameterProvider for Parameters {
    fn server_parameters<C>(&self, client: &C) -> Option<HashMap<String, String>>
    where
        C: ClientInfo,
    {
        let session = client.session_extensions().get::<Mutex<Session>>()?;
        let session = locked(&session);
        let told = [
            "server_version",
            "server_encoding",
            "client_encoding",
            "application_name",
            "DateStyle",
            "IntervalStyle",
            "TimeZone",
            "integer_datetimes",
            "standard_conforming_strings",
            "default_transaction_read_only",
            "in_hot_standby",
            "is_superuser",
        ];
        let value = |name: &str| session.show(&name.to_lowercase()).ok();
        Some(
            told.iter()
                .filter_map(|name| Some(((*name).to_string(), value(name)?)))
                .collect(),
        )
    }
}
