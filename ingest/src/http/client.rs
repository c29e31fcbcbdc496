//! The client of one connection: sends, retries what may pass, explains what may not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::Utc;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::answer::{
    Failure, Patience, Request, bad_page, call, explain, failure, innermost, silence,
};
use super::auth::Authorizer;
use super::budget::{Bucket, Ceiling, Running, Site};
use super::link::{self, Page};
use super::{Limits, headers, retry, transport};
use crate::{Call, Connection, Error, Event, Progress, Result};

/// How many times as often a request is tried when the site says when to try again.
const TOLD_TRIES: u32 = 4;

/// The client of one connection.
pub(crate) struct Client<'a> {
    http: reqwest::Client,
    authorizer: Authorizer,
    base: Url,
    site: Arc<Site>,
    ceiling: Ceiling,
    limits: Limits,
    tally: Tally,
    progress: &'a dyn Progress,
}

/// What the client did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    pub(crate) bytes: u64,
}

/// Counters that requests add to, on their own or of a part of the work.
#[derive(Debug, Default)]
struct Tally {
    requests: AtomicU64,
    retries: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    fn counters(&self) -> Counters {
        Counters {
            requests: self.requests.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

tokio::task_local! {
    /// What the work under way has spent, where somebody wants to know.
    static SPENT: Arc<Tally>;
}

/// Does some work and tells what it has spent, while other work uses the same client.
pub(crate) async fn counted<F: Future>(work: F) -> (F::Output, Counters) {
    let spent = Arc::new(Tally::default());
    let output = SPENT.scope(Arc::clone(&spent), work).await;
    (output, spent.counters())
}

impl<'a> Client<'a> {
    pub(crate) async fn connect(
        connection: &Connection,
        limits: Limits,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let ceiling = connection.ceiling(&limits)?;
        let authorizer = Authorizer::of(connection, &limits)?;
        let base = Box::pin(authorizer.base(connection, &limits)).await?;
        let http = transport::client(connection, &base, &limits)?;
        Ok(Self {
            http,
            authorizer,
            site: Site::of(&base),
            base,
            ceiling,
            limits: Limits {
                in_flight: ceiling.concurrency,
                ..limits
            },
            tally: Tally::default(),
            progress,
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn counters(&self) -> Counters {
        self.tally.counters()
    }

    fn count(&self, counter: fn(&Tally) -> &AtomicU64, more: u64) {
        counter(&self.tally).fetch_add(more, Ordering::Relaxed);
        // Nobody may want to know.
        let _ = SPENT.try_with(|spent| counter(spent).fetch_add(more, Ordering::Relaxed));
    }

    /// GET a JSON document. The path is relative to the site's address.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        patience: Patience,
    ) -> Result<T> {
        let mut request = self.request("GET", path, None, patience)?;
        if !query.is_empty() {
            request.url.query_pairs_mut().extend_pairs(query);
        }
        self.send(request).await
    }

    /// GET a page of a listing that names the next one in its headers.
    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        patience: Patience,
    ) -> Result<Page<T>> {
        let mut request = self.request("GET", path, None, patience)?;
        if !query.is_empty() {
            request.url.query_pairs_mut().extend_pairs(query);
        }
        self.read_page(request).await
    }

    /// GET an address that the site named: a further page, or where something is now.
    pub(crate) async fn follow<T: DeserializeOwned>(&self, url: &Url) -> Result<Page<T>> {
        let mut shown = url.clone();
        shown.set_query(None);
        let call = Call {
            method: "GET",
            url: shown.into(),
        };
        if !self.is_within(url) {
            return Err(Error::Redirected {
                call: Box::new(call),
                location: url.to_string(),
            });
        }
        let request = Request {
            call,
            url: url.clone(),
            body: None,
            patience: Patience::Patient,
            bucket: Bucket::of("GET", self.below(url)),
        };
        self.read_page(request).await
    }

    async fn read_page<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<Page<T>> {
        let url = request.url.clone();
        let call = call(&request);
        let (body, headers) = self.send_for_page(request).await?;
        let next = link::next(&headers, &url);
        match next {
            // The token goes to nobody whom the settings don't name.
            Some(next) if !self.is_within(&next) => Err(Error::Redirected {
                call,
                location: next.to_string(),
            }),
            next => Ok(Page {
                body,
                next,
                date: headers::date(&headers),
            }),
        }
    }

    /// Whether an address belongs to the site.
    fn is_within(&self, url: &Url) -> bool {
        url.origin() == self.base.origin() && url.path().starts_with(self.base.path())
    }

    /// The path of an address of the site, relative to the site's own.
    fn below<'u>(&self, url: &'u Url) -> &'u str {
        let path = url.path();
        path.strip_prefix(self.base.path()).unwrap_or(path)
    }

    /// POST a JSON document that only asks.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        self.post_as(path, body, Patience::Patient).await
    }

    /// The same, more or less stubbornly.
    pub(crate) async fn post_as<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        patience: Patience,
    ) -> Result<T> {
        let request = self.request("POST", path, Some(body), patience)?;
        self.send(request).await
    }

    /// The request as errors name it.
    pub(crate) fn call(&self, method: &'static str, path: &str) -> Box<Call> {
        Box::new(Call {
            method,
            url: format!("{}{path}", self.base),
        })
    }

    fn request<'r>(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&'r Value>,
        patience: Patience,
    ) -> Result<Request<'r>> {
        let call = *self.call(method, path);
        let url = Url::parse(&call.url).map_err(|error| Error::Unreachable {
            call: Box::new(call.clone()),
            reason: error.to_string(),
        })?;
        Ok(Request {
            call,
            url,
            body,
            patience,
            bucket: Bucket::of(method, path),
        })
    }

    async fn send<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<T> {
        let (document, _) = self.send_for_page(request).await?;
        Ok(document)
    }

    /// The document of a good answer, with its headers.
    async fn send_for_page<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
    ) -> Result<(T, HeaderMap)> {
        let (mut tries, mut waited) = (0, Duration::ZERO);
        let mut is_renewed = false;
        loop {
            let running = self.enter(&request, tries).await?;
            tries += 1;
            let header = Box::pin(self.authorizer.header()).await?;
            let (status, headers, body) = match self.attempt(&request, &header, tries).await {
                Ok(answer) => {
                    running.went_well();
                    answer
                }
                Err(Failure::Final(error @ Error::Unauthorized { .. })) => {
                    drop(running);
                    if is_renewed || !Box::pin(self.authorizer.renew(&header)).await? {
                        return Err(error);
                    }
                    is_renewed = true;
                    continue;
                }
                Err(failure) => {
                    if failure.is_strain() {
                        running.was_too_much();
                    }
                    drop(running);
                    self.recover(&request, tries, &mut waited, failure).await?;
                    continue;
                }
            };
            drop(running);
            match serde_json::from_slice(&body) {
                Ok(document) => return Ok((document, headers)),
                Err(error) => {
                    let failure = bad_page(&request, status, &body, error.to_string(), tries);
                    self.recover(&request, tries, &mut waited, failure).await?;
                }
            }
        }
    }

    /// Waits until the request may be sent.
    async fn enter<'r>(&self, request: &'r Request<'_>, tries: u32) -> Result<Running<'r>> {
        let longest = self.limits.longest_wait;
        let entered = self.site.enter(&request.bucket, self.ceiling, longest);
        entered.await.map_err(|left| Error::Busy {
            call: call(request),
            status: StatusCode::TOO_MANY_REQUESTS.as_u16(),
            tries,
            wait: Some(left),
        })
    }

    /// Waits before the next try, or returns the error when there shall be none. A site that asks
    /// to be left alone is, by this request and the others it speaks of.
    async fn recover(
        &self,
        request: &Request<'_>,
        tries: u32,
        waited: &mut Duration,
        failure: Failure,
    ) -> Result<()> {
        let backoff = retry::backoff(&self.limits, tries);
        let (error, told, scope) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Passing(error) => (error, None, None),
            Failure::Refused { error, wait, scope } => (error, wait, Some(scope)),
        };
        let pause = told.map_or(backoff, |told| told.max(backoff));
        if let Some(scope) = scope {
            self.site.pause(&request.bucket, scope, pause);
        }
        let mut most = request.patience.tries(self.limits.tries, &error);
        if told.is_some_and(|told| !told.is_zero()) {
            most = most.saturating_mul(TOLD_TRIES);
        }
        *waited += pause;
        if tries >= most || *waited > self.limits.longest_wait {
            return Err(explain(request, error));
        }
        tracing::warn!(%error, tries, pause_ms = pause.as_millis() as u64, "request is repeated");
        self.progress.event(&Event::Waiting {
            pause,
            reason: error.to_string(),
        });
        self.count(|tally| &tally.retries, 1);
        if scope.is_none() {
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// One try: a good answer.
    async fn attempt(
        &self,
        request: &Request<'_>,
        header: &HeaderValue,
        tries: u32,
    ) -> Result<(StatusCode, HeaderMap, Vec<u8>), Failure> {
        self.count(|tally| &tally.requests, 1);
        let builder = match request.body {
            Some(body) => self.http.post(request.url.clone()).json(body),
            None => self.http.get(request.url.clone()),
        };
        let builder = builder.header("authorization", header.clone());
        let response = match builder.send().await {
            Ok(response) => response,
            Err(error) => return Err(silence(request, &error, tries)),
        };
        let status = response.status();
        let headers = response.headers().clone();
        if status.is_success() {
            for (pause, scope) in headers::spare(&headers, Utc::now()) {
                self.site.pause(&request.bucket, scope, pause);
            }
        }
        let body = self.body(request, response, tries).await?;
        if status.is_success() {
            return Ok((status, headers, body));
        }
        Err(failure(request, status, &headers, &body, tries))
    }

    /// The whole body, up to the limit.
    async fn body(
        &self,
        request: &Request<'_>,
        mut response: Response,
        tries: u32,
    ) -> Result<Vec<u8>, Failure> {
        let limit = self.limits.body_bytes;
        let status = response.status();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    self.count(|tally| &tally.bytes, chunk.len() as u64);
                    if body.len() + chunk.len() > limit {
                        return Err(Failure::Final(Error::TooLarge {
                            call: call(request),
                            limit,
                        }));
                    }
                    body.extend_from_slice(&chunk);
                }
                Ok(None) => return Ok(body),
                Err(error) if error.is_timeout() => {
                    return Err(silence(request, &error, tries));
                }
                Err(error) => {
                    let reason = format!("it breaks off: {}", innermost(&error));
                    return Err(bad_page(request, status, &body, reason, tries));
                }
            }
        }
    }
}
