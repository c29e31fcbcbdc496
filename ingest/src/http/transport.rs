//! The HTTP clients of a connection: what they may reach and how long they wait; and single small
//! questions beside those to the site.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use reqwest::header::{HeaderMap, HeaderValue};
use url::Url;

use super::address::Public;
use super::answer::innermost;
use super::{Limits, headers, retry};
use crate::{Call, Connection, Error, Result};

/// Largest answer to a small question, in bytes.
const SMALL: usize = 256 << 10;

/// How often a small question is asked.
const TRIES: u32 = 3;

/// Longest time that the site may ask to wait between two tries of a small question.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// A client for one address. Redirects are not followed; private networks are reached only where
/// the settings say so.
pub(super) fn client(
    connection: &Connection,
    address: &Url,
    limits: &Limits,
) -> Result<reqwest::Client> {
    let mut headers = HeaderMap::new();
    headers.insert("accept", HeaderValue::from_static("application/json"));
    headers.insert("accept-language", HeaderValue::from_static("en"));
    headers.insert("x-force-accept-language", HeaderValue::from_static("true"));
    let mut http = reqwest::Client::builder();
    if !connection.reaches_private(address) {
        http = http.dns_resolver(Arc::new(Public));
    }
    if address.scheme() == "http" {
        // Nothing is encrypted, so no certificate needs to be read and trusted.
        http = http.tls_certs_only([]);
    }
    http.default_headers(headers)
        .user_agent(concat!("sprint-reports/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.connect)
        .read_timeout(limits.read)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| connection.refuse(format!("no HTTP client can be made: {error}")))
}

/// The answer to a small question.
pub(super) struct Answer {
    pub(super) call: Box<Call>,
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) tries: u32,
}

/// Asks a small question, again when that may help. The last answer is given back, whatever it is.
pub(super) async fn ask(
    request: reqwest::RequestBuilder,
    method: &'static str,
    url: &Url,
    limits: &Limits,
) -> Result<Answer> {
    let call = || {
        let mut url = url.clone();
        url.set_query(None);
        Box::new(Call {
            method,
            url: url.to_string(),
        })
    };
    let mut tries = 0;
    loop {
        tries += 1;
        let again = request.try_clone().ok_or_else(|| Error::Unreachable {
            call: call(),
            reason: "the request can't be repeated".to_string(),
        })?;
        let answer = once(again).await;
        let backoff = retry::backoff(limits, tries);
        let pause = match &answer {
            Ok((429 | 503, headers, _)) => headers::refused(headers, Utc::now())
                .0
                .map_or(backoff, |told| told.max(backoff)),
            Ok((500..=599, _, _)) | Err(_) => backoff,
            Ok(_) => Duration::ZERO,
        };
        let is_final = matches!(&answer, Ok((status, _, _)) if *status < 500 && *status != 429);
        if is_final || tries >= TRIES || pause > LONGEST_WAIT {
            let (status, _, body) = answer.map_err(|reason| Error::Unreachable {
                call: call(),
                reason,
            })?;
            return Ok(Answer {
                call: call(),
                status,
                body,
                tries,
            });
        }
        tokio::time::sleep(pause).await;
    }
}

async fn once(request: reqwest::RequestBuilder) -> Result<(u16, HeaderMap, Vec<u8>), String> {
    let reason = |error: reqwest::Error| innermost(&error);
    let mut response = request.send().await.map_err(reason)?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reason)? {
        if body.len() + chunk.len() > SMALL {
            return Err(format!("the answer is larger than {SMALL} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, headers, body))
}
