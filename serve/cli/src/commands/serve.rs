//! `serve`: reports over HTTP, SQL over the PostgreSQL protocol.

use serve::{Addresses, Server, WebhookSecret, Webhooks};
use warehouse::Warehouse;
use warehouse::meta::InboxLimits;

use crate::Invocation;
use crate::exit::Outcome;
use crate::settings::{self, Settings, SettingsError};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Port of HTTP on the configured address; 0 takes a free one
    #[arg(long, value_name = "N")]
    port_http: Option<u16>,
    /// Port of the PostgreSQL protocol on the configured address; 0 takes a free one
    #[arg(long, value_name = "N")]
    port_postgres: Option<u16>,
}

pub(crate) async fn run(arguments: Arguments, invocation: Invocation) -> anyhow::Result<Outcome> {
    let (settings, warehouse) = super::open(&invocation).await?;
    let server = start(arguments, warehouse, &settings).await?;
    server.run(stop_signal()).await?;
    Ok(Outcome::Done)
}

/// Binds the ports and says where.
pub(crate) async fn start(
    arguments: Arguments,
    warehouse: Warehouse,
    settings: &Settings,
) -> anyhow::Result<Server> {
    let ports = Ports {
        http: arguments.port_http,
        postgres: arguments.port_postgres,
    };
    let webhooks = webhooks(settings)?;
    let server = bind(warehouse, settings, &ports).await?;
    println!("listening on http://{}", server.http());
    if let Some(address) = server.postgres() {
        println!("listening on postgres://{address}/sprint_reports");
    }
    Ok(server.with_webhooks(webhooks))
}

/// The connections whose webhooks are accepted.
fn webhooks(settings: &Settings) -> anyhow::Result<Webhooks> {
    let mut secrets = Vec::new();
    for connection in &settings.connections {
        if connection.webhook_secret.is_empty() {
            continue;
        }
        let setting = format!("connections.{}.webhook_secret", connection.name);
        if connection.kind != "jira" {
            let reason = format!(
                "{setting}: webhooks of kind '{}' are not understood",
                connection.kind
            );
            return Err(SettingsError(reason).into());
        }
        let secret = settings::resolve_secret(&setting, &connection.webhook_secret)?;
        let secret = WebhookSecret::new(&connection.name, secret)
            .ok_or_else(|| SettingsError(format!("{setting} is empty where it points to")))?;
        secrets.push(secret);
    }
    let limits = InboxLimits {
        events: settings.serve.max_pending_webhooks,
        ..InboxLimits::default()
    };
    Ok(Webhooks { secrets, limits })
}

/// Ports that flags name.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    pub(crate) http: Option<u16>,
    pub(crate) postgres: Option<u16>,
}

/// Binds the configured addresses, or the ports that flags name.
pub(crate) async fn bind(
    warehouse: Warehouse,
    settings: &Settings,
    ports: &Ports,
) -> anyhow::Result<Server> {
    let address = |configured: &str, port: Option<u16>| match (port, configured.rsplit_once(':')) {
        (Some(port), Some((host, _))) => format!("{host}:{port}"),
        _ => configured.to_string(),
    };
    let addresses = Addresses {
        http: address(&settings.serve.http, ports.http),
        postgres: address(&settings.serve.postgres, ports.postgres),
    };
    Ok(Server::bind(warehouse, &addresses).await?)
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
