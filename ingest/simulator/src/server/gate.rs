//! What every request passes: the log, latency, faults, the rate limit and the account.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{TimeDelta, Utc};
use http_body::Frame;
use serde_json::Value;

use crate::server::call::Refusal;
use crate::server::fault::{Fault, FaultKind, meet};
use crate::server::{Shared, lock};
use crate::settings::{Deployment, RateLimit};

/// One request as it came and what it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLog {
    pub method: String,
    pub path: String,
    /// Undecoded, empty without one.
    pub query: String,
    /// Empty without one.
    pub body: String,
    pub status: u16,
    /// When it came.
    pub at: Instant,
}

#[derive(Debug)]
pub(crate) struct Gate {
    limit: Option<RateLimit>,
    counter: AtomicU64,
    bucket: Mutex<(f64, Instant)>,
    faults: Mutex<Vec<Fault>>,
    log: Mutex<Vec<RequestLog>>,
}

impl Gate {
    pub(crate) fn new(limit: Option<RateLimit>) -> Self {
        let full = if let Some(RateLimit::Bucket { capacity, .. }) = limit {
            capacity
        } else {
            0.0
        };
        Self {
            limit,
            counter: AtomicU64::new(0),
            bucket: Mutex::new((full, Instant::now())),
            faults: Mutex::default(),
            log: Mutex::default(),
        }
    }

    pub(crate) fn inject(&self, fault: Fault) {
        lock(&self.faults).push(fault);
    }

    pub(crate) fn clear_faults(&self) {
        lock(&self.faults).clear();
    }

    pub(crate) fn requests(&self) -> Vec<RequestLog> {
        lock(&self.log).clone()
    }

    pub(crate) fn clear_requests(&self) {
        lock(&self.log).clear();
    }

    /// Takes the fault that a request meets, if any; `continues` if it carries a page token.
    pub(crate) fn met(&self, path: &str, continues: bool) -> Option<FaultKind> {
        meet(&mut lock(&self.faults), path, continues)
    }

    pub(crate) fn log(&self, request: RequestLog) {
        lock(&self.log).push(request);
    }

    /// How long to wait, if this request is one too many.
    pub(crate) fn too_many(&self) -> Option<Duration> {
        let count = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
        match self.limit? {
            RateLimit::EveryNth { n, retry_after } => {
                count.is_multiple_of(n.max(1)).then_some(retry_after)
            }
            RateLimit::Bucket {
                capacity,
                per_second,
            } => {
                let mut bucket = lock(&self.bucket);
                let refill = bucket.1.elapsed().as_secs_f64() * per_second;
                *bucket = ((bucket.0 + refill).min(capacity), Instant::now());
                if bucket.0 >= 1.0 {
                    bucket.0 -= 1.0;
                    return None;
                }
                let wait = (1.0 - bucket.0) / per_second.max(1e-6);
                Some(Duration::from_secs_f64(wait.clamp(0.001, 3600.0)))
            }
        }
    }

    pub(crate) fn allowance(&self) -> Option<(u64, u64)> {
        match self.limit? {
            RateLimit::EveryNth { n, .. } => {
                let used = self.counter.load(Ordering::Relaxed) % n.max(1);
                Some((n, n.saturating_sub(used)))
            }
            RateLimit::Bucket { capacity, .. } => {
                Some((capacity as u64, lock(&self.bucket).0.max(0.0) as u64))
            }
        }
    }
}

pub(super) async fn pass(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let at = Instant::now();
    let method = request.method().to_string();
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    let request = Request::from_parts(head, Body::from(body.clone()));
    tokio::time::sleep(shared.settings.latency).await;
    let token = "nextPageToken";
    let continues = [&query, &body].iter().any(|part| part.contains(token));
    let fault = shared.gate.met(&path, continues);
    let response = admit(&shared, fault, &path, request, next).await;
    let status = response.status().as_u16();
    shared.gate.log(RequestLog {
        method,
        path,
        query,
        body,
        status,
        at,
    });
    response
}

async fn admit(
    shared: &Shared,
    fault: Option<FaultKind>,
    path: &str,
    request: Request,
    next: Next,
) -> Response {
    match fault {
        Some(FaultKind::Status(status)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return Refusal::new(status, "An internal error occurred.").into_response();
        }
        Some(FaultKind::TooManyRequests { retry_after }) => return limited(shared, retry_after),
        Some(FaultKind::DroppedConnection) => return Response::new(Body::new(Broken)),
        Some(FaultKind::EmptyBody) => return Response::new(Body::empty()),
        Some(FaultKind::Html) => {
            let page = "<!DOCTYPE html><html><head><title>Log in</title></head><body>Please log in.</body></html>";
            return ([(header::CONTENT_TYPE, "text/html;charset=UTF-8")], page).into_response();
        }
        _ => {}
    }
    if let Some(wait) = shared.gate.too_many() {
        return limited(shared, Some(wait));
    }
    if !may_enter(shared, path, request.headers()) {
        let mut refused = Refusal::new(
            StatusCode::UNAUTHORIZED,
            "Client must be authenticated to access this resource.",
        )
        .into_response();
        let realm = HeaderValue::from_static("Basic realm=\"Jira\"");
        refused
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, realm);
        refused.headers_mut().insert(
            "X-Seraph-LoginReason",
            HeaderValue::from_static("AUTHENTICATED_FAILED"),
        );
        return refused;
    }
    let mut response = next.run(request).await;
    if let Some((limit, left)) = shared.gate.allowance() {
        allowance_headers(shared, response.headers_mut(), limit, left);
    }
    match fault {
        Some(FaultKind::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            response
        }
        Some(FaultKind::TruncatedBody) => halve(response).await,
        Some(FaultKind::Reversed) => rearrange(response, |records| records.reverse()).await,
        Some(FaultKind::Doubled) => {
            rearrange(response, |records| {
                let again = records.clone();
                records.extend(again);
            })
            .await
        }
        Some(FaultKind::Rewrite { find, put }) => rewritten(response, &find, &put).await,
        _ => response,
    }
}

/// Tokens of apps are good at the gateway only, those of the account everywhere.
fn may_enter(shared: &Shared, path: &str, headers: &HeaderMap) -> bool {
    if path == "/oauth/token" {
        return true;
    }
    let account = &shared.settings.account;
    let is_for_apps = path.starts_with("/ex/") || path.starts_with("/oauth/");
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let Some((scheme, secret)) = given.and_then(|given| given.split_once(' ')) else {
        return false;
    };
    match scheme.to_lowercase().as_str() {
        "bearer" if is_for_apps && shared.tokens.admits(secret.trim()) => true,
        "bearer" => secret.trim() == account.token,
        "basic" => {
            let expected = format!("{}:{}", account.email, account.token);
            base64(expected.as_bytes()) == secret.trim()
        }
        _ => false,
    }
}

fn limited(shared: &Shared, wait: Option<Duration>) -> Response {
    let mut refused =
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, "Rate limit exceeded.").into_response();
    let headers = refused.headers_mut();
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    if let Some(wait) = wait {
        put(
            "Retry-After",
            (wait.as_secs_f64().ceil() as u64).to_string(),
        );
        if shared.settings.deployment == Deployment::Cloud {
            let reset = Utc::now() + TimeDelta::milliseconds(wait.as_millis() as i64);
            put(
                "X-RateLimit-Reset",
                reset.format("%Y-%m-%dT%H:%MZ").to_string(),
            );
        }
    }
    if shared.settings.deployment == Deployment::Cloud {
        put("RateLimit-Reason", "jira-burst-based".to_owned());
    }
    let (limit, _) = shared.gate.allowance().unwrap_or((100, 0));
    allowance_headers(shared, headers, limit, 0);
    refused
}

fn allowance_headers(shared: &Shared, headers: &mut HeaderMap, limit: u64, left: u64) {
    headers.insert("X-RateLimit-Limit", HeaderValue::from(limit));
    headers.insert("X-RateLimit-Remaining", HeaderValue::from(left));
    if shared.settings.deployment == Deployment::DataCenter {
        headers.insert("X-RateLimit-FillRate", HeaderValue::from_static("1"));
        headers.insert(
            "X-RateLimit-Interval-Seconds",
            HeaderValue::from_static("1"),
        );
        return;
    }
    let near = if left * 5 < limit { "true" } else { "false" };
    headers.insert("X-RateLimit-NearLimit", HeaderValue::from_static(near));
}

pub(crate) async fn halve(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body.slice(..body.len() / 2)))
}

/// The answer with its list of records changed.
async fn rearrange(response: Response, change: impl FnOnce(&mut Vec<Value>)) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut page: Value = serde_json::from_slice(&body).unwrap_or_default();
    let names = ["issues", "values", "issueChangeLogs", "comments"];
    let named = names
        .into_iter()
        .find(|name| page.get(name).is_some_and(Value::is_array));
    let records = match named {
        Some(name) => page.get_mut(name),
        None => Some(&mut page),
    };
    if let Some(records) = records.and_then(Value::as_array_mut) {
        change(records);
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(page.to_string()))
}

/// The answer with a text in it replaced.
pub(crate) async fn rewritten(response: Response, find: &str, put: &str) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&body).replace(find, put);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(text))
}

/// A body that fails before its first byte, so that the connection closes.
pub(crate) struct Broken;

impl HttpBody for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())))
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            if digit <= chunk.len() {
                text.push(char::from(
                    DIGITS[(group >> (18 - 6 * digit) & 63) as usize],
                ));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn encodes_credentials() {
        assert_eq!(base64(b"a:b"), "YTpi");
        assert_eq!(base64(b"ab"), "YWI=");
        assert_eq!(base64(b"a"), "YQ==");
    }
}
