//! Protocols over the warehouse: reports over HTTP.
//!
//! Handlers parse, call [`warehouse::QueryService`] with a named query, and shape the answer. This
//! crate never sees ingest or transform.

mod http;
mod report;

use std::net::SocketAddr;

use tokio::net::TcpListener;
use warehouse::Warehouse;

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
    /// Accepting connections failed.
    #[error("the HTTP server stopped: {0}")]
    Stopped(std::io::Error),
}

/// A server whose port is bound and that answers once it is run.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    warehouse: Warehouse,
}

impl Server {
    /// Binds the port; port 0 takes a free one.
    pub async fn bind(warehouse: Warehouse, address: &str) -> Result<Self, Error> {
        let setting = "serve.http, or --port-http";
        let failed = |source| Error::Bind {
            address: address.to_string(),
            setting,
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address: bound,
            warehouse,
        })
    }

    /// The address that is bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the future given ends; requests under way are finished first.
    pub async fn run(self, until: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        axum::serve(self.listener, http::router(self.warehouse))
            .with_graceful_shutdown(until)
            .await
            .map_err(Error::Stopped)
    }
}
