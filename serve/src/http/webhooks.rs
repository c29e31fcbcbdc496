//! Events that a Jira site sends: verified, kept, answered. What they tell of is read by another part
//! of the product; nothing of a body is understood, or believed, here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::StreamExt;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use serde::Serialize;
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::sync::{Semaphore, SemaphorePermit};
use utoipa::ToSchema;
use warehouse::Warehouse;
use warehouse::meta::{Accepted, InboxLimits, NewEvent};

use super::error::{ApiError, Envelope};
use super::request;
use crate::Webhooks;

/// Largest body of an event.
const BODY: usize = 10 << 20;
/// Bytes of unverified bodies that are held at once, in KiB.
const UNVERIFIED_KIB: usize = 64 << 10;
/// Longest time that a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);
/// When a source that was refused for lack of room shall come again, in seconds.
const COME_AGAIN: &str = "60";
/// Longest identifier that is kept as it is.
const IDENTIFIER: usize = 200;

const SIGNATURE: &str = "x-hub-signature";
const IDENTIFIED: &str = "x-atlassian-webhook-identifier";
const RETRY: &str = "x-atlassian-webhook-retry";
const FLOW: &str = "x-atlassian-webhook-flow";

/// The secret that a connection's webhooks are signed with. It is never shown.
#[derive(Clone)]
pub struct WebhookSecret {
    connection: String,
    secret: Vec<u8>,
}

impl WebhookSecret {
    /// The secret of a connection; none where it is empty, for anybody could sign with it.
    pub fn new(connection: impl Into<String>, secret: impl Into<Vec<u8>>) -> Option<Self> {
        let secret = secret.into();
        (!secret.is_empty()).then(|| Self {
            connection: connection.into(),
            secret,
        })
    }

    /// Whether a body was signed with it: `METHOD=HEX`, the method as the header names it.
    fn signed(&self, signature: &str, body: &[u8]) -> bool {
        let Some((method, tag)) = signature.trim().split_once('=') else {
            return false;
        };
        let Some(tag) = bytes(tag) else {
            return false;
        };
        match method.to_ascii_lowercase().as_str() {
            "sha256" => verify::<Hmac<Sha256>>(&self.secret, body, &tag),
            "sha384" => verify::<Hmac<Sha384>>(&self.secret, body, &tag),
            "sha512" => verify::<Hmac<Sha512>>(&self.secret, body, &tag),
            _ => false,
        }
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookSecret({}, ***)", self.connection)
    }
}

/// Compares in constant time.
fn verify<M: Mac + KeyInit>(secret: &[u8], body: &[u8], tag: &[u8]) -> bool {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(secret) else {
        return false;
    };
    mac.update(body);
    mac.verify_slice(tag).is_ok()
}

/// The bytes of a hexadecimal text.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    let digit = |digit: u8| char::from(digit).to_digit(16);
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let pairs = digits.chunks_exact(2).map(|pair| {
        let value = digit(pair[0])? * 16 + digit(pair[1])?;
        u8::try_from(value).ok()
    });
    pairs.collect()
}

/// What the handlers share.
#[derive(Debug, Clone)]
pub(super) struct Hooks {
    secrets: Arc<[WebhookSecret]>,
    limits: InboxLimits,
    room: Arc<Semaphore>,
}

impl Hooks {
    pub(super) fn new(webhooks: Webhooks) -> Self {
        Self {
            secrets: webhooks.secrets.into(),
            limits: webhooks.limits,
            room: Arc::new(Semaphore::new(UNVERIFIED_KIB)),
        }
    }
}

/// That an event is kept.
#[derive(Debug, Serialize, ToSchema)]
struct Kept {
    /// `stored`, or `duplicate` for an event that had been delivered before.
    #[schema(examples("stored"))]
    status: &'static str,
}

/// Takes an event of the connection whose secret signed it.
///
/// Answered 200 once the event is durable; it is then read from the site within seconds. The body is
/// whatever Jira sends, of any content type, up to 10 MiB. `X-Hub-Signature` is `sha256=`, `sha384=` or
/// `sha512=` with the HMAC of the body in hexadecimal. Deliveries with the same
/// `X-Atlassian-Webhook-Identifier` are one event; without the header, deliveries of the same bytes are.
#[utoipa::path(
    post, path = "/api/v1/webhooks/jira", tag = "webhooks",
    request_body(content = Object, content_type = "application/json", description = "An event as Jira sends it"),
    params(
        ("X-Hub-Signature" = String, Header, description = "METHOD=HEX"),
        ("X-Atlassian-Webhook-Identifier" = Option<String>, Header, description = "The same in every delivery of an event"),
    ),
    responses(
        (status = 200, description = "The event is durable", body = Kept),
        (status = 401, description = "The signature is missing or wrong", body = Envelope),
        (status = 404, description = "No connection accepts webhooks", body = Envelope),
        (status = 408, description = "The body took too long to arrive", body = Envelope),
        (status = 409, description = "Several connections have this secret; name one in the path", body = Envelope),
        (status = 413, description = "The body is larger than 10 MiB", body = Envelope),
        (status = 503, description = "Too much is pending; come again after `Retry-After`", body = Envelope),
    )
)]
pub(super) async fn any(
    State(warehouse): State<Warehouse>,
    Extension(hooks): Extension<Hooks>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if hooks.secrets.is_empty() {
        return off("no connection accepts webhooks; set webhook_secret of a connection");
    }
    let candidates: Vec<&WebhookSecret> = hooks.secrets.iter().collect();
    answer(&warehouse, &hooks, &candidates, &headers, body).await
}

/// Takes an event of a connection.
///
/// The same as `/api/v1/webhooks/jira`, for one connection by its name.
#[utoipa::path(
    post, path = "/api/v1/webhooks/jira/{connection}", tag = "webhooks",
    request_body(content = Object, content_type = "application/json", description = "An event as Jira sends it"),
    params(
        ("connection" = String, Path, description = "Name of the connection in the settings"),
        ("X-Hub-Signature" = String, Header, description = "METHOD=HEX"),
        ("X-Atlassian-Webhook-Identifier" = Option<String>, Header, description = "The same in every delivery of an event"),
    ),
    responses(
        (status = 200, description = "The event is durable", body = Kept),
        (status = 401, description = "The signature is missing or wrong", body = Envelope),
        (status = 404, description = "There is no such connection, or it has no webhook_secret", body = Envelope),
        (status = 408, description = "The body took too long to arrive", body = Envelope),
        (status = 413, description = "The body is larger than 10 MiB", body = Envelope),
        (status = 503, description = "Too much is pending; come again after `Retry-After`", body = Envelope),
    )
)]
pub(super) async fn of_connection(
    State(warehouse): State<Warehouse>,
    Extension(hooks): Extension<Hooks>,
    Path(connection): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let named = hooks
        .secrets
        .iter()
        .filter(|one| one.connection == connection);
    let candidates: Vec<&WebhookSecret> = named.collect();
    if candidates.is_empty() {
        return off(
            "there is no connection of this name that accepts webhooks; set its webhook_secret",
        );
    }
    answer(&warehouse, &hooks, &candidates, &headers, body).await
}

fn off(message: &str) -> Response {
    count("off");
    ApiError::new(StatusCode::NOT_FOUND, "WEBHOOKS_OFF", message).into_response()
}

/// Verifies, keeps and answers.
async fn answer(
    warehouse: &Warehouse,
    hooks: &Hooks,
    candidates: &[&WebhookSecret],
    headers: &HeaderMap,
    body: Body,
) -> Response {
    match take(warehouse, hooks, candidates, headers, body).await {
        Ok(Accepted::Stored) => kept("stored"),
        Ok(Accepted::Duplicate) => kept("duplicate"),
        Ok(Accepted::Full) => busy("too many events are pending"),
        Err(Refused::Busy) => busy("too many events arrive at once"),
        Err(Refused::With(error)) => {
            count("refused");
            error.into_response()
        }
    }
}

fn kept(status: &'static str) -> Response {
    count(status);
    Json(Kept { status }).into_response()
}

fn busy(message: &str) -> Response {
    count("full");
    let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "INBOX_FULL", message);
    ([(header::RETRY_AFTER, COME_AGAIN)], error).into_response()
}

fn count(outcome: &'static str) {
    metrics::counter!("sprint_reports_webhooks_total", "outcome" => outcome).increment(1);
}

/// Why an event is not taken.
enum Refused {
    Busy,
    With(ApiError),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Refused::With(error)
    }
}

async fn take(
    warehouse: &Warehouse,
    hooks: &Hooks,
    candidates: &[&WebhookSecret],
    headers: &HeaderMap,
    body: Body,
) -> Result<Accepted, Refused> {
    // Whoever doesn't sign isn't listened to.
    let signature = text(headers, SIGNATURE).ok_or_else(unsigned)?;
    let length = text(headers, header::CONTENT_LENGTH.as_str());
    if length.and_then(|length| length.parse().ok()) > Some(BODY) {
        return Err(too_large().into());
    }
    let read = read(&hooks.room, body);
    let (body, _room) = tokio::time::timeout(ARRIVAL, read)
        .await
        .map_err(|_| too_slow())??;
    let mut signers = candidates.iter().filter(|one| one.signed(signature, &body));
    let signer = signers.next().ok_or_else(unsigned)?;
    if signers.next().is_some() {
        let message = "several connections have this secret; send to /api/v1/webhooks/jira/NAME";
        return Err(ApiError::new(StatusCode::CONFLICT, "AMBIGUOUS_SECRET", message).into());
    }
    let event = NewEvent {
        connection: signer.connection.clone(),
        identifier: identifier(headers, &body),
        retry: text(headers, RETRY).map(short),
        flow: text(headers, FLOW).map(short),
        body,
    };
    let bytes = event.body.len();
    let kept = warehouse.meta().accept_event(&event, hooks.limits);
    let accepted = kept.await.map_err(ApiError::from)?;
    tracing::info!(
        request_id = request::id(),
        connection = event.connection,
        identifier = event.identifier,
        bytes,
        ?accepted,
        "webhook"
    );
    Ok(accepted)
}

/// The body, and its share of the room for bodies that nobody has vouched for.
async fn read(
    room: &Semaphore,
    body: Body,
) -> Result<(Vec<u8>, Option<SemaphorePermit<'_>>), Refused> {
    let mut chunks = body.into_data_stream();
    let (mut all, mut held) = (Vec::new(), None::<SemaphorePermit<'_>>);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| broken())?;
        if all.len() + chunk.len() > BODY {
            return Err(too_large().into());
        }
        let kib = u32::try_from(chunk.len() / 1024 + 1).unwrap_or(u32::MAX);
        let more = room.try_acquire_many(kib).map_err(|_| Refused::Busy)?;
        match &mut held {
            Some(held) => held.merge(more),
            None => held = Some(more),
        }
        all.extend_from_slice(&chunk);
    }
    Ok((all, held))
}

/// What makes two deliveries the same event.
fn identifier(headers: &HeaderMap, body: &[u8]) -> String {
    let given = text(headers, IDENTIFIED).map(str::trim).unwrap_or_default();
    let printable = given.bytes().all(|byte| byte.is_ascii_graphic());
    match given {
        "" => digest(body),
        given if given.len() <= IDENTIFIER && printable => given.to_string(),
        given => digest(given.as_bytes()),
    }
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The one value of a header; none if there are several.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    match values.next() {
        Some(_) => None,
        None => value.to_str().ok(),
    }
}

/// Text of a header that is only shown.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn unsigned() -> ApiError {
    let message = "the signature of the event is missing or wrong";
    ApiError::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message)
}

fn too_large() -> ApiError {
    let message = format!("the body of an event may have {BODY} bytes");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message)
}

fn too_slow() -> ApiError {
    let message = format!("the body did not arrive within {} s", ARRIVAL.as_secs());
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "TIMEOUT", message)
}

fn broken() -> ApiError {
    let message = "the body did not arrive whole";
    ApiError::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the vendor's documentation.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello World!";
    const TAG: &str = "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9";

    fn secret() -> WebhookSecret {
        WebhookSecret::new("acme", SECRET).unwrap()
    }

    #[test]
    fn the_documented_signature_is_accepted_and_no_other() {
        assert!(secret().signed(&format!("sha256={TAG}"), BODY));
        assert!(secret().signed(&format!("SHA256={}", TAG.to_uppercase()), BODY));
        for wrong in [
            format!("sha256={}", TAG.replace('a', "b")),
            format!("sha256={}", &TAG[..62]),
            format!("sha256={TAG}00"),
            format!("sha512={TAG}"),
            format!("sha1={}", &TAG[..40]),
            format!("md5={TAG}"),
            TAG.to_string(),
            "sha256=".to_string(),
            "sha256=zz".to_string(),
            "sha256=é".to_string(),
            "=".to_string(),
            String::new(),
        ] {
            assert!(!secret().signed(&wrong, BODY), "{wrong}");
        }
        // One byte of the body, or another secret.
        assert!(!secret().signed(&format!("sha256={TAG}"), b"Hello World?"));
        let other = WebhookSecret::new("acme", "another").unwrap();
        assert!(!other.signed(&format!("sha256={TAG}"), BODY));
    }

    #[test]
    fn the_method_is_the_one_that_the_header_names() {
        let mut mac = <Hmac<Sha512> as KeyInit>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(BODY);
        let tag: String = mac
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert!(secret().signed(&format!("sha512={tag}"), BODY));
        assert!(!secret().signed(&format!("sha256={tag}"), BODY));
    }

    #[test]
    fn secrets_are_not_empty_and_not_shown() {
        assert!(WebhookSecret::new("acme", "").is_none());
        let webhooks = Webhooks {
            secrets: vec![secret()],
            ..Webhooks::default()
        };
        let shown = format!("{:?}", Hooks::new(webhooks));
        assert!(!shown.contains("Everybody"), "{shown}");
    }

    #[test]
    fn an_event_is_identified_by_its_header_else_by_its_bytes() {
        let mut headers = HeaderMap::new();
        assert_eq!(identifier(&headers, b"x"), digest(b"x"));
        headers.insert(IDENTIFIED, "7f3a".parse().unwrap());
        assert_eq!(identifier(&headers, b"x"), "7f3a");
        headers.insert(IDENTIFIED, "a b".parse().unwrap());
        assert_eq!(identifier(&headers, b"x"), digest(b"a b"));
        headers.insert(IDENTIFIED, "a".repeat(201).parse().unwrap());
        assert_eq!(identifier(&headers, b"x").len(), 71);
        headers.append(IDENTIFIED, "second".parse().unwrap());
        assert_eq!(identifier(&headers, b"x"), digest(b"x"));
    }
}
