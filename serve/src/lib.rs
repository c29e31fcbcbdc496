//! Protocols over the warehouse: reports over HTTP, SQL over the PostgreSQL protocol.
//!
//! Handlers parse, call [`warehouse::QueryService`] with a named query, and shape the answer. This
//! crate never sees ingest or transform.

#[allow(unused_qualifications, reason = "written by the macros of utoipa")]
mod http;
mod postgres;
mod report;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::ServiceExt;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use warehouse::Warehouse;
use warehouse::meta::InboxLimits;

pub use http::{WebhookSecret, openapi};
pub use report::{ReportError, SprintReport, sprint_report};

/// Why the server can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address can't be bound.
    #[error(
        "can't listen on {address}: {source}; stop what uses the port, or choose another ({setting})"
    )]
    Bind {
        /// The address as configured.
        address: String,
        /// How to choose another.
        setting: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The PostgreSQL protocol would be open to other machines.
    #[error(
        "serve.postgres = \"{0}\": this version serves the PostgreSQL protocol without users, and so only on a loopback address; write 127.0.0.1:PORT"
    )]
    NotLoopback(String),
    /// Accepting connections failed.
    #[error("the HTTP server stopped: {0}")]
    Stopped(std::io::Error),
}

/// Where the protocols listen; port 0 takes a free one.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// REST.
    pub http: String,
    /// PostgreSQL; empty: not served.
    pub postgres: String,
}

/// A server whose ports are bound and that answers once it is run.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    http: SocketAddr,
    postgres: Option<postgres::Endpoint>,
    warehouse: Warehouse,
    webhooks: Webhooks,
}

/// Whose webhooks are accepted, and how many may wait.
#[derive(Debug, Clone, Default)]
pub struct Webhooks {
    /// The connections; of others none are accepted.
    pub secrets: Vec<WebhookSecret>,
    /// How much of one connection may wait.
    pub limits: InboxLimits,
}

impl Server {
    /// Binds the ports.
    pub async fn bind(warehouse: Warehouse, addresses: &Addresses) -> Result<Self, Error> {
        let failed = |source| Error::Bind {
            address: addresses.http.clone(),
            setting: "serve.http, or --port-http",
            source,
        };
        http::install_metrics();
        let listener = TcpListener::bind(&addresses.http).await.map_err(failed)?;
        let http = listener.local_addr().map_err(failed)?;
        let postgres = match addresses.postgres.as_str() {
            "" => None,
            address => Some(postgres::Endpoint::bind(warehouse.clone(), address).await?),
        };
        Ok(Self {
            listener,
            http,
            postgres,
            warehouse,
            webhooks: Webhooks::default(),
        })
    }

    /// Accepts webhooks.
    pub fn with_webhooks(mut self, webhooks: Webhooks) -> Self {
        self.webhooks = webhooks;
        self
    }

    /// The address of REST.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// The address of PostgreSQL, if it is served.
    pub fn postgres(&self) -> Option<SocketAddr> {
        self.postgres.as_ref().map(postgres::Endpoint::address)
    }

    /// Answers until the future given ends; requests under way are finished first.
    pub async fn run(self, until: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        let stop = Arc::new(Notify::new());
        let endpoint = self.postgres.map(|endpoint| {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move { endpoint.run(async move { stop.notified().await }).await })
        });
        let (tell, stopping) = watch::channel(false);
        let until = async move {
            until.await;
            // Answers that stay open end first, else nobody would ever be done.
            tell.send_replace(true);
        };
        let warehouse = self.warehouse.clone();
        let mut ended = stopping.clone();
        let watching = tokio::spawn(async move {
            let ended = async { drop(ended.wait_for(|stopping| *stopping).await) };
            warehouse.events().watch(warehouse.releases(), ended).await;
        });
        let service = http::service(self.warehouse, self.http, self.webhooks, stopping);
        let served = axum::serve(self.listener, service.into_make_service())
            .with_graceful_shutdown(until)
            .await
            .map_err(Error::Stopped);
        stop.notify_one();
        watching.abort();
        if let Some(endpoint) = endpoint {
            drop(endpoint.await);
        }
        served
    }
}
