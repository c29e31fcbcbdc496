//! `serve`: reports over HTTP.

use serve::Server;
use warehouse::Warehouse;

use crate::Invocation;
use crate::exit::Outcome;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Port of HTTP on the configured address; 0 takes a free one
    #[arg(long, value_name = "N")]
    port_http: Option<u16>,
}

pub(crate) async fn run(arguments: Arguments, invocation: Invocation) -> anyhow::Result<Outcome> {
    let (settings, warehouse) = super::open(&invocation).await?;
    let server = bind(warehouse, &settings.serve.http, arguments.port_http).await?;
    println!("listening on http://{}", server.address());
    server.run(stop_signal()).await?;
    Ok(Outcome::Done)
}

/// Binds the configured address, or the port that a flag names.
pub(crate) async fn bind(
    warehouse: Warehouse,
    configured: &str,
    port: Option<u16>,
) -> anyhow::Result<Server> {
    let address = match (port, configured.rsplit_once(':')) {
        (Some(port), Some((host, _))) => format!("{host}:{port}"),
        _ => configured.to_string(),
    };
    Ok(Server::bind(warehouse, &address).await?)
}

/// Ends when the process is asked to stop.
pub(crate) async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupt = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! { _ = interrupt => (), _ = terminate.recv() => () }
        }
        Err(_) => drop(interrupt.await),
    }
}
