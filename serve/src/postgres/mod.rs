//! The PostgreSQL protocol over the query service: read-only, on loopback addresses only, for this
//! version knows no users there.
//!
//! Connections are accepted, limited and started here; what a client says is answered in `handler`,
//! what it sets is kept in `session`.

mod error;
mod handler;
mod params;
mod rows;
mod session;
mod startup;
mod text;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pgwire::api::PgWireServerHandlers;
use pgwire::tokio::process_socket;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use warehouse::Warehouse;

use crate::Error;
use handler::Handler;
use startup::{Cancels, Startup};

/// Most connections at once; further ones are closed.
const CONNECTIONS: usize = 200;
/// For how long after its start a connection is read even if the client has gone.
const GRACE: Duration = Duration::from_secs(1);
/// How often it is looked whether a client has gone.
const WATCH: Duration = Duration::from_millis(250);

/// A port that is bound and answers once it is run.
#[derive(Debug)]
pub(crate) struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
    warehouse: Warehouse,
}

impl Endpoint {
    /// Binds the port; port 0 takes a free one. Addresses that other machines reach are refused.
    pub(crate) async fn bind(warehouse: Warehouse, address: &str) -> Result<Self, Error> {
        let failed = |source| Error::Bind {
            address: address.to_string(),
            setting: "serve.postgres, or --port-postgres",
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        if !bound.ip().is_loopback() {
            return Err(Error::NotLoopback(address.to_string()));
        }
        Ok(Self {
            listener,
            address: bound,
            warehouse,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the future given ends; then connections are closed.
    pub(crate) async fn run(self, until: impl Future<Output = ()>) {
        let handlers = Arc::new(Handlers::new(self.warehouse));
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        tokio::pin!(until);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                () = &mut until => break,
            };
            let socket = match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!(
                    limit = CONNECTIONS,
                    "too many PostgreSQL connections; one was closed"
                );
                continue;
            };
            let handlers = Arc::clone(&handlers);
            connections.spawn(async move {
                let open = metrics::gauge!("sprint_reports_postgres_connections");
                open.increment(1.0);
                if let Err(error) = answer(socket, handlers).await {
                    tracing::debug!(%error, "a PostgreSQL connection ended");
                }
                open.decrement(1.0);
                drop(place);
            });
        }
    }
}

/// Answers a connection to its end. A client that goes away in the middle of a query ends it too:
/// dropping the answer stops the work.
async fn answer(socket: TcpStream, handlers: Arc<Handlers>) -> std::io::Result<()> {
    let socket = socket.into_std()?;
    let watched = TcpStream::from_std(socket.try_clone()?)?;
    let socket = TcpStream::from_std(socket)?;
    tokio::select! {
        ended = process_socket(socket, None, handlers) => ended,
        () = gone(&watched) => Ok(()),
    }
}

/// Ends when the other side has closed the connection.
async fn gone(socket: &TcpStream) {
    // A request to cancel comes on a connection that is closed at once; it is to be read first.
    tokio::time::sleep(GRACE).await;
    // What is still to be read doesn't hide it; nothing is read here.
    while let Ok(ready) = socket.ready(Interest::READABLE).await {
        if ready.is_read_closed() {
            return;
        }
        tokio::time::sleep(WATCH).await;
    }
}

/// What answers the parts of the protocol.
struct Handlers {
    startup: Arc<Startup>,
    handler: Arc<Handler>,
    cancels: Arc<Cancels>,
}

impl Handlers {
    fn new(warehouse: Warehouse) -> Self {
        let cancels = Arc::new(Cancels::default());
        Self {
            startup: Arc::new(Startup::new(Arc::clone(&cancels))),
            handler: Arc::new(Handler::new(warehouse)),
            cancels,
        }
    }
}

impl PgWireServerHandlers for Handlers {
    fn simple_query_handler(&self) -> Arc<impl pgwire::api::query::SimpleQueryHandler> {
        Arc::clone(&self.handler)
    }

    fn extended_query_handler(&self) -> Arc<impl pgwire::api::query::ExtendedQueryHandler> {
        Arc::clone(&self.handler)
    }

    fn startup_handler(&self) -> Arc<impl pgwire::api::auth::StartupHandler> {
        Arc::clone(&self.startup)
    }

    fn cancel_handler(&self) -> Arc<impl pgwire::api::cancel::CancelHandler> {
        Arc::clone(&self.cancels)
    }
}
