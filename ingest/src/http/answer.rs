//! What an answer means: a document, a failure that may pass, or one that may not.

use std::time::Duration;

use chrono::Utc;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

use super::budget::Bucket;
use super::headers::{self, Scope};
use crate::error::excerpt;
use crate::{Call, Error};

/// How stubbornly a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The first contact: an address where nobody or somebody else answers is soon given up.
    Greeting,
    /// Everything else.
    Patient,
    /// A part of a batch that could not be served: it fails again, or it doesn't.
    Part,
}

impl Patience {
    /// How often a request is tried that fails so, when the site doesn't say when to try again.
    pub(super) fn tries(self, most: u32, error: &Error) -> u32 {
        let is_hasty = match self {
            Patience::Patient => false,
            Patience::Greeting => {
                matches!(error, Error::Unreachable { .. } | Error::BadPage { .. })
            }
            Patience::Part => !matches!(error, Error::Busy { .. }),
        };
        if is_hasty { most.min(2) } else { most }
    }
}

/// A request to be made, once or several times.
pub(super) struct Request<'r> {
    pub(super) call: Call,
    pub(super) url: Url,
    pub(super) body: Option<&'r Value>,
    pub(super) patience: Patience,
    pub(super) bucket: Bucket,
}

/// How a try ended, when it did not succeed.
pub(super) enum Failure {
    /// Trying again is of no use.
    Final(Error),
    /// Trying again may help.
    Passing(Error),
    /// The site asks to be left alone: for how long, if it says so, and which requests.
    Refused {
        error: Error,
        wait: Option<Duration>,
        scope: Scope,
    },
}

impl Failure {
    /// Whether it says that the site is asked too much at once.
    pub(super) fn is_strain(&self) -> bool {
        matches!(
            self,
            Failure::Refused { .. } | Failure::Passing(Error::TimedOut { .. })
        )
    }
}

/// What an answer that is no success means.
pub(super) fn failure(
    request: &Request<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    tries: u32,
) -> Failure {
    let call = call(request);
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let code = status.as_u16();
    match code {
        300..=399 => {
            let location = text("location").unwrap_or("nowhere").to_string();
            Failure::Final(Error::Redirected { call, location })
        }
        401 | 403 if text("x-seraph-loginreason") == Some("AUTHENTICATION_DENIED") => {
            Failure::Final(Error::LockedOut { call })
        }
        401 => Failure::Final(Error::Unauthorized { call }),
        403 | 429 | 503 if code != 403 || headers::is_limited(headers) => {
            let (wait, scope) = headers::refused(headers, Utc::now());
            let error = Error::Busy {
                call,
                status: code,
                tries,
                wait,
            };
            Failure::Refused { error, wait, scope }
        }
        408 | 425 | 500..=599 => Failure::Passing(Error::Failing {
            call,
            status: code,
            tries,
        }),
        _ => {
            let message = message(body);
            Failure::Final(explain(
                request,
                Error::Refused {
                    call,
                    status: code,
                    message,
                },
            ))
        }
    }
}

pub(super) fn call(request: &Request<'_>) -> Box<Call> {
    Box::new(request.call.clone())
}

pub(super) fn bad_page(
    request: &Request<'_>,
    status: StatusCode,
    body: &[u8],
    reason: String,
    tries: u32,
) -> Failure {
    Failure::Passing(Error::BadPage {
        call: call(request),
        status: status.as_u16(),
        tries,
        reason,
        excerpt: excerpt(body),
    })
}

/// No answer came.
pub(super) fn silence(request: &Request<'_>, error: &reqwest::Error, tries: u32) -> Failure {
    let call = call(request);
    Failure::Passing(if error.is_timeout() && !error.is_connect() {
        Error::TimedOut { call, tries }
    } else {
        Error::Unreachable {
            call,
            reason: innermost(error),
        }
    })
}

/// At the first contact, an unexpected answer means that the address is wrong.
pub(super) fn explain(request: &Request<'_>, error: Error) -> Error {
    if request.patience != Patience::Greeting {
        return error;
    }
    match error {
        Error::BadPage {
            call,
            status,
            excerpt,
            ..
        } => Error::NotJira {
            call,
            status,
            excerpt,
        },
        Error::Refused {
            call,
            status,
            message,
        } if matches!(status, 404 | 405 | 410) => Error::NotJira {
            call,
            status,
            excerpt: message,
        },
        error => error,
    }
}

/// What the site says in an error answer.
fn message(body: &[u8]) -> String {
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return excerpt(body);
    };
    let listed = json
        .get("errorMessages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let named = json
        .get("errors")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let single = ["message", "error"]
        .into_iter()
        .filter_map(|name| json.get(name));
    let texts: Vec<_> = listed
        .chain(named.map(|(_, text)| text))
        .chain(single)
        .filter_map(Value::as_str)
        .filter(|text| !text.trim().is_empty())
        .collect();
    if texts.is_empty() {
        excerpt(body)
    } else {
        excerpt(texts.join("; ").as_bytes())
    }
}

/// The innermost cause of an error: the outer ones repeat the address.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_an_error_answer_is_found() {
        for (body, expected) in [
            (r#"{"errorMessages":["a","b"],"errors":{}}"#, "a; b"),
            (r#"{"errorMessages":[],"errors":{"jql":"bad"}}"#, "bad"),
            (r#"{"message":"no"}"#, "no"),
            ("<html>x</html>", "<html>x</html>"),
            ("{}", "{}"),
        ] {
            assert_eq!(message(body.as_bytes()), expected);
        }
    }
}
