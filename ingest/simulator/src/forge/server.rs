//! The HTTP server around a forge: account, limits, faults, pages.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::listing::{Ask, Cut, Reply, decoded, encoded};
use super::world::ForgeWorld;
use super::{ForgeKind, ForgeSettings, github, gitlab};
use crate::server::fault::{Fault, FaultKind};
use crate::server::gate::{Broken, Gate, RequestLog, halve, rewritten};

/// A running simulated forge; dropping it stops the server.
#[derive(Debug)]
pub struct Forge {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    settings: ForgeSettings,
    base: String,
    world: RwLock<ForgeWorld>,
    gate: Gate,
}

impl Forge {
    /// Makes the forge of the settings and serves it.
    pub async fn start(settings: ForgeSettings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.address).await?;
        let base = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            world: RwLock::new(ForgeWorld::generate(&settings)),
            gate: Gate::new(settings.rate_limit),
            settings,
            base,
        });
        let app = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { shared, task })
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> &str {
        &self.shared.base
    }

    pub fn settings(&self) -> &ForgeSettings {
        &self.shared.settings
    }

    /// Reads or edits the forge between requests.
    pub fn edit<R>(&self, f: impl FnOnce(&mut ForgeWorld) -> R) -> R {
        f(&mut self
            .shared
            .world
            .write()
            .unwrap_or_else(PoisonError::into_inner))
    }

    /// Plans a fault; several may wait at once, the first that matches a request happens.
    pub fn inject(&self, fault: Fault) {
        self.shared.gate.inject(fault);
    }

    /// Forgets the faults that have not happened yet.
    pub fn clear_faults(&self) {
        self.shared.gate.clear_faults();
    }

    /// Every request so far, refused ones included.
    pub fn requests(&self) -> Vec<RequestLog> {
        self.shared.gate.requests()
    }

    pub fn clear_requests(&self) {
        self.shared.gate.clear_requests();
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let at = Instant::now();
    let method = request.method().to_string();
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    tokio::time::sleep(shared.settings.latency).await;
    let fault = shared.gate.met(&path, false);
    let mut response = admit(&shared, &path, &query, request.headers(), fault.as_ref());
    let now = shared.read(ForgeWorld::now);
    let date = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    put(response.headers_mut(), "date", &date);
    let response = match fault {
        Some(FaultKind::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            response
        }
        Some(FaultKind::TruncatedBody) => halve(response).await,
        Some(FaultKind::Rewrite { find, put }) => rewritten(response, &find, &put).await,
        _ => response,
    };
    shared.gate.log(RequestLog {
        method,
        path,
        query,
        body: String::new(),
        status: response.status().as_u16(),
        at,
    });
    response
}

fn admit(
    shared: &Shared,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    fault: Option<&FaultKind>,
) -> Response {
    match fault {
        Some(FaultKind::Status(status)) => return refusal(shared, *status, "Server Error"),
        Some(FaultKind::TooManyRequests { retry_after }) => return limited(shared, *retry_after),
        Some(FaultKind::DroppedConnection) => return Response::new(Body::new(Broken)),
        Some(FaultKind::EmptyBody) => return Response::new(Body::empty()),
        Some(FaultKind::Html) => {
            let page = "<!DOCTYPE html><html><body>Sign in</body></html>";
            return ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response();
        }
        _ => {}
    }
    if let Some(wait) = shared.gate.too_many() {
        return limited(shared, Some(wait));
    }
    if !shared.may_enter(headers) {
        let message = match shared.settings.kind {
            ForgeKind::GitHub => "Bad credentials",
            ForgeKind::GitLab => "401 Unauthorized",
        };
        return refusal(shared, 401, message);
    }
    let mut response = shared.answer(path, query);
    if let Some((limit, left)) = shared.gate.allowance() {
        shared.allowance(response.headers_mut(), limit, left, Duration::from_secs(60));
    }
    response
}

impl Shared {
    fn read<R>(&self, look: impl FnOnce(&ForgeWorld) -> R) -> R {
        look(&self.world.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn may_enter(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let token = self.settings.token.as_str();
        let given = text("authorization").and_then(|given| given.split_once(' '));
        let bears = given.is_some_and(|(scheme, secret)| {
            let known = ["bearer", "token"].contains(&scheme.to_lowercase().as_str());
            known && secret.trim() == token
        });
        bears || (self.settings.kind == ForgeKind::GitLab && text("private-token") == Some(token))
    }

    fn answer(&self, path: &str, query: &str) -> Response {
        let ask = Ask {
            base: &self.base,
            parts: path.split('/').filter(|part| !part.is_empty()).collect(),
            query: query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (decoded(name), decoded(value)))
                .collect(),
            cap: self.settings.page,
        };
        let reply = self.read(|world| match self.settings.kind {
            ForgeKind::GitHub => github::answer(world, &ask),
            ForgeKind::GitLab => gitlab::answer(world, &ask),
        });
        match reply {
            Reply::One(value) => json_of(200, &value),
            Reply::Refused(status, body) => json_of(status, &body),
            Reply::Moved(location) => {
                let body = json!({"message": "Moved Permanently", "url": location});
                let mut response = json_of(301, &body);
                put(response.headers_mut(), "location", &location);
                response
            }
            Reply::List(mut list) => {
                let headers = self.page(&ask, path, &mut list);
                with_headers(json_of(200, &Value::Array(list)), headers)
            }
            Reply::Within(mut object, name, mut list) => {
                let headers = self.page(&ask, path, &mut list);
                object[name] = Value::Array(list);
                with_headers(json_of(200, &object), headers)
            }
        }
    }

    /// Cuts a list down to its page; returns the headers that say so.
    fn page(
        &self,
        ask: &Ask<'_>,
        path: &str,
        list: &mut Vec<Value>,
    ) -> Vec<(&'static str, String)> {
        match self.settings.kind {
            ForgeKind::GitHub => {
                let cut = ask.cut(list, 30);
                let path = self.read(|world| github::link_path(world, &ask.parts));
                let links = links(ask, &path, &cut);
                links.map(|link| ("link", link)).into_iter().collect()
            }
            ForgeKind::GitLab if ask.text("pagination") == Some("keyset") => {
                let cut = ask.cut(list, 20);
                let last = list.last().and_then(|last| last["id"].as_u64());
                match last.filter(|_| cut.pages > 1) {
                    Some(last) => vec![("link", keyset_link(ask, path, last))],
                    None => Vec::new(),
                }
            }
            ForgeKind::GitLab => {
                let cut = ask.cut(list, 20);
                let next = (cut.page < cut.pages).then(|| (cut.page + 1).to_string());
                let mut headers = vec![
                    ("x-page", cut.page.to_string()),
                    ("x-per-page", cut.size.to_string()),
                    ("x-next-page", next.unwrap_or_default()),
                ];
                // Counting commits would cost too much.
                if !path.ends_with("/repository/commits") {
                    headers.push(("x-total", cut.total.to_string()));
                    headers.push(("x-total-pages", cut.pages.to_string()));
                }
                headers.extend(links(ask, path, &cut).map(|link| ("link", link)));
                headers
            }
        }
    }

    fn allowance(&self, headers: &mut HeaderMap, limit: u64, left: u64, resets_in: Duration) {
        let reset = self.read(ForgeWorld::now).timestamp() + resets_in.as_secs() as i64;
        let prefix = match self.settings.kind {
            ForgeKind::GitHub => "x-ratelimit",
            ForgeKind::GitLab => "ratelimit",
        };
        put(headers, &format!("{prefix}-limit"), &limit.to_string());
        put(headers, &format!("{prefix}-remaining"), &left.to_string());
        put(headers, &format!("{prefix}-reset"), &reset.to_string());
    }
}

/// GitHub tells a limit by 403 as well as by 429, with the seconds to wait or with the instant at which
/// it lets requests through again.
fn limited(shared: &Shared, wait: Option<Duration>) -> Response {
    let seconds = wait.map(|wait| wait.as_secs_f64().ceil() as u64);
    let mut response = match shared.settings.kind {
        ForgeKind::GitHub => refusal(shared, 403, "You have exceeded a secondary rate limit."),
        ForgeKind::GitLab => refusal(shared, 429, "Retry later"),
    };
    let (limit, _) = shared.gate.allowance().unwrap_or((5000, 0));
    let reset = Duration::from_secs(seconds.unwrap_or_default());
    shared.allowance(response.headers_mut(), limit, 0, reset);
    if let Some(seconds) = seconds {
        put(response.headers_mut(), "retry-after", &seconds.to_string());
    }
    response
}

fn refusal(shared: &Shared, status: u16, message: &str) -> Response {
    let body = match shared.settings.kind {
        ForgeKind::GitHub => json!({"message": message,
            "documentation_url": "https://docs.github.com/rest", "status": status.to_string()}),
        ForgeKind::GitLab => json!({"message": message}),
    };
    json_of(status, &body)
}

fn json_of(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (status, headers, body.to_string()).into_response()
}

fn with_headers(mut response: Response, headers: Vec<(&'static str, String)>) -> Response {
    for (name, value) in headers {
        put(response.headers_mut(), name, &value);
    }
    response
}

fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = name.parse::<HeaderName>().ok();
    if let (Some(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

fn links(ask: &Ask<'_>, path: &str, cut: &Cut) -> Option<String> {
    let mut links = Vec::new();
    let mut link = |page: usize, name: &str| {
        links.push(format!("<{}>; rel=\"{name}\"", ask.link(path, page)));
    };
    if cut.page > 1 {
        link(cut.page - 1, "prev");
    }
    if cut.page < cut.pages {
        link(cut.page + 1, "next");
    }
    if cut.pages > 1 {
        link(1, "first");
        link(cut.pages, "last");
    }
    (!links.is_empty()).then(|| links.join(", "))
}

fn keyset_link(ask: &Ask<'_>, path: &str, last: u64) -> String {
    let others = ask.query.iter().filter(|(name, _)| name != "id_after");
    let mut query: Vec<String> = others
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    query.push(format!("id_after={last}"));
    format!("<{}{path}?{}>; rel=\"next\"", ask.base, query.join("&"))
}
