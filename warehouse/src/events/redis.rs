//! Events over Redis: one channel for each lake. Redis may go and come back at any time.

use std::sync::Weak;
use std::time::Duration;

use futures::StreamExt;
use redis::{AsyncTypedCommands, Client};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::{Event, Inner};

/// Longest pause before Redis is tried again.
const LONGEST: Duration = Duration::from_secs(5);
/// How long Redis may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// An event as it travels, with the process it comes from: that one knows it already.
#[derive(Debug, Serialize, Deserialize)]
struct Message {
    from: String,
    event: Event,
}

/// Sends what is published here, and tells here what is published elsewhere.
pub(super) fn start(
    url: &str,
    store_url: &str,
    outgoing: mpsc::Receiver<Event>,
    inner: Weak<Inner>,
) -> Result<(), String> {
    if url.starts_with("rediss:") {
        // Two providers are linked in; one must be chosen. Another part may have done so.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    // The parser's own words might repeat the address with its password.
    let client = Client::open(url)
        .map_err(|_| "write redis://HOST:PORT, or rediss:// for TLS".to_string())?;
    let channel = channel(store_url);
    let from = uuid::Uuid::now_v7().to_string();
    tokio::spawn(send(
        client.clone(),
        channel.clone(),
        from.clone(),
        outgoing,
    ));
    tokio::spawn(listen(client, channel, from, inner));
    Ok(())
}

/// Name of the channel of a lake; its address may hold more than others should read.
fn channel(store_url: &str) -> String {
    let hash = Sha256::digest(store_url.as_bytes());
    let hash: String = hash
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sprint-reports:{hash}:events")
}

/// Ends when nobody can publish any more.
async fn send(client: Client, channel: String, from: String, mut outgoing: mpsc::Receiver<Event>) {
    let mut connection = None;
    while let Some(event) = outgoing.recv().await {
        let message = Message {
            from: from.clone(),
            event,
        };
        let Ok(text) = serde_json::to_string(&message) else {
            continue;
        };
        if connection.is_none() {
            let connecting = client.get_multiplexed_async_connection();
            connection = tokio::time::timeout(PATIENCE, connecting)
                .await
                .ok()
                .and_then(Result::ok);
        }
        let Some(open) = &mut connection else {
            continue;
        };
        let sent = tokio::time::timeout(PATIENCE, open.publish(&channel, text)).await;
        if !matches!(sent, Ok(Ok(_))) {
            connection = None;
        }
    }
}

/// Ends when the bus does.
async fn listen(client: Client, channel: String, from: String, inner: Weak<Inner>) {
    let mut pause = Duration::from_millis(250);
    let mut is_gone = false;
    while inner.strong_count() > 0 {
        let begun = tokio::time::Instant::now();
        let error = match subscription(&client, &channel, &from, &inner).await {
            Ok(()) => return,
            Err(error) => error,
        };
        if begun.elapsed() > LONGEST {
            (pause, is_gone) = (Duration::from_millis(250), false);
        }
        if !is_gone {
            tracing::warn!(%error, "Redis does not answer; events come late until it does");
            is_gone = true;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

async fn subscription(
    client: &Client,
    channel: &str,
    from: &str,
    inner: &Weak<Inner>,
) -> Result<(), redis::RedisError> {
    let late = |_| redis::RedisError::from((redis::ErrorKind::Io, "no answer in time"));
    let connecting = tokio::time::timeout(PATIENCE, client.get_async_pubsub());
    let mut subscribed = connecting.await.map_err(late)??;
    subscribed.subscribe(channel).await?;
    let mut messages = subscribed.on_message();
    loop {
        let next = tokio::time::timeout(LONGEST, messages.next());
        let message = match next.await {
            // Nothing happened for a while; is anybody there who wants to know?
            Err(_) if inner.strong_count() > 0 => continue,
            Err(_) => return Ok(()),
            Ok(None) => return Err((redis::ErrorKind::Io, "the connection was closed").into()),
            Ok(Some(message)) => message,
        };
        let Ok(message) = serde_json::from_slice::<Message>(message.get_payload_bytes()) else {
            tracing::debug!("an event of another version is passed over");
            continue;
        };
        match inner.upgrade() {
            Some(inner) if message.from != from => inner.tell(message.event),
            Some(_) => (),
            None => return Ok(()),
        }
    }
}
