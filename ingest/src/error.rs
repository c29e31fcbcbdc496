//! What can go wrong while reading a source, who has to act, and whether trying again helps.

use std::fmt;
use std::time::Duration;

use schemas::{Blame, Retry};

/// Result of an ingest operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A request, as errors name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// HTTP method.
    pub method: &'static str,
    /// Address without query.
    pub url: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

/// An error of ingest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection's settings can't be used.
    #[error("connection '{connection}': {reason}")]
    Settings {
        /// Name of the connection.
        connection: String,
        /// What is wrong and what to write instead.
        reason: String,
    },
    /// Nobody answers.
    #[error(
        "no answer to {call} ({reason}); check the connection's url, and that this machine reaches it"
    )]
    Unreachable {
        /// The request.
        call: Box<Call>,
        /// What the network said.
        reason: String,
    },
    /// Somebody answers, but not a Jira site.
    #[error(
        "{call} was not answered by a Jira site but with {status} '{excerpt}'; check the connection's url, it is the address of the site without a path"
    )]
    NotJira {
        /// The request.
        call: Box<Call>,
        /// HTTP status.
        status: u16,
        /// First characters of the answer.
        excerpt: String,
    },
    /// The site sends elsewhere.
    #[error(
        "{call} is redirected to {location}; if that is the site, write it as the connection's url"
    )]
    Redirected {
        /// The request.
        call: Box<Call>,
        /// Where to.
        location: String,
    },
    /// The credentials are not accepted.
    #[error(
        "the site refuses the credentials of the connection (401 to {call}); check email and token, tokens expire, and the scopes of a token or app"
    )]
    Unauthorized {
        /// The request.
        call: Box<Call>,
    },
    /// Signing in fails.
    #[error("connection '{connection}': {reason}")]
    SignIn {
        /// Name of the connection.
        connection: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The account is locked out until a person signs in.
    #[error(
        "the site asks this account to sign in with a captcha ({call}); sign in once in a browser, then run the command again"
    )]
    LockedOut {
        /// The request.
        call: Box<Call>,
    },
    /// The request was understood and refused.
    #[error("the site answered {status} to {call}: {message}")]
    Refused {
        /// The request.
        call: Box<Call>,
        /// HTTP status.
        status: u16,
        /// What the site said.
        message: String,
    },
    /// The site limits the rate of requests for longer than we wait.
    #[error("the site still limits requests ({status} to {call}) after {tries} tries{}; run the command again later, it continues where it stopped", told(.wait))]
    Busy {
        /// The request.
        call: Box<Call>,
        /// HTTP status.
        status: u16,
        /// How often it was tried.
        tries: u32,
        /// How long the site asks to wait.
        wait: Option<Duration>,
    },
    /// The site fails.
    #[error(
        "the site fails ({status} to {call}, {tries} tries); run the command again later, it continues where it stopped"
    )]
    Failing {
        /// The request.
        call: Box<Call>,
        /// HTTP status.
        status: u16,
        /// How often it was tried.
        tries: u32,
    },
    /// The site takes too long.
    #[error(
        "the site does not answer {call} in time ({tries} tries); run the command again later, it continues where it stopped"
    )]
    TimedOut {
        /// The request.
        call: Box<Call>,
        /// How often it was tried.
        tries: u32,
    },
    /// A page that is not the JSON it should be.
    #[error(
        "the answer {status} to {call} is not the expected JSON after {tries} tries ({reason}); it begins with '{excerpt}'; look for a proxy in between, or run the command again later"
    )]
    BadPage {
        /// The request.
        call: Box<Call>,
        /// HTTP status.
        status: u16,
        /// How often it was tried.
        tries: u32,
        /// What the parser said.
        reason: String,
        /// First characters of the answer.
        excerpt: String,
    },
    /// A page larger than is accepted.
    #[error("the answer to {call} is larger than {limit} bytes; nothing of it was kept")]
    TooLarge {
        /// The request.
        call: Box<Call>,
        /// The limit.
        limit: usize,
    },
    /// Paging that doesn't end.
    #[error(
        "the site gives the same page again and again ({call}); run the command again later, and report it to the site's vendor if it stays"
    )]
    RepeatedPage {
        /// The request.
        call: Box<Call>,
    },
    /// A search whose result is not in the order asked for.
    #[error(
        "the site doesn't keep the order of a search ({call}); nothing more was read, since issues could be passed over; rebuild the site's search index, then run the command again"
    )]
    Unordered {
        /// The request.
        call: Box<Call>,
    },
    /// A record of the raw zone that doesn't hold what its stream says.
    #[error(
        "raw record {stream} {key} can't be read: {reason}; restore the raw zone from a backup, or run sync --full"
    )]
    RawRecord {
        /// Its stream.
        stream: String,
        /// Its key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// The warehouse failed.
    #[error(transparent)]
    Warehouse(Box<warehouse::Error>),
}

impl From<warehouse::Error> for Error {
    fn from(error: warehouse::Error) -> Self {
        Error::Warehouse(Box::new(error))
    }
}

impl Error {
    /// Who has to act.
    pub fn blame(&self) -> Blame {
        match self {
            Error::Settings { .. }
            | Error::NotJira { .. }
            | Error::Redirected { .. }
            | Error::Unauthorized { .. }
            | Error::SignIn { .. }
            | Error::LockedOut { .. } => Blame::User,
            Error::Unreachable { .. }
            | Error::Refused { .. }
            | Error::Busy { .. }
            | Error::Failing { .. }
            | Error::TimedOut { .. }
            | Error::BadPage { .. }
            | Error::TooLarge { .. }
            | Error::RepeatedPage { .. }
            | Error::Unordered { .. } => Blame::Source,
            Error::RawRecord { .. } => Blame::Us,
            Error::Warehouse(error) => error.blame(),
        }
    }

    /// Whether the same attempt may succeed later.
    pub fn retry(&self) -> Retry {
        match self {
            Error::Unreachable { .. }
            | Error::Busy { .. }
            | Error::Failing { .. }
            | Error::TimedOut { .. }
            | Error::BadPage { .. }
            | Error::RepeatedPage { .. } => Retry::Later,
            Error::Warehouse(error) => error.retry(),
            _ => Retry::Never,
        }
    }
}

fn told(wait: &Option<Duration>) -> String {
    wait.map_or_else(String::new, |wait| {
        format!(" and asks to wait {} s", wait.as_secs())
    })
}

/// The first characters of a text, on one line.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(600)]);
    let words: Vec<_> = text.split_whitespace().collect();
    let line: String = words
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    match line.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt(b"<html>\n\t<body>\x07hi"), "<html> <body>hi");
        assert_eq!(excerpt("é".repeat(500).as_bytes()).chars().count(), 121);
        assert_eq!(excerpt(b""), "");
    }

    #[test]
    fn messages_say_what_to_do_and_end_without_a_period() {
        let call = || {
            Box::new(Call {
                method: "GET",
                url: "https://x/rest".into(),
            })
        };
        let busy = Error::Busy {
            call: call(),
            status: 429,
            tries: 5,
            wait: Some(Duration::from_secs(3600)),
        };
        assert_eq!(
            busy.to_string(),
            "the site still limits requests (429 to GET https://x/rest) after 5 tries and asks to \
             wait 3600 s; run the command again later, it continues where it stopped"
        );
        assert_eq!((busy.blame(), busy.retry()), (Blame::Source, Retry::Later));
        let wrong = Error::Unauthorized { call: call() };
        assert_eq!((wrong.blame(), wrong.retry()), (Blame::User, Retry::Never));
    }
}
