//! What has to be known to read a source.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use crate::http::{Ceiling, is_public, private};
use crate::{Error, Limits, Result};

/// Most requests at the same time that a connection may set.
const MOST_CONCURRENT: u32 = 64;

/// Fewest and most requests of a second that a connection may set.
const PACES: std::ops::RangeInclusive<f64> = 0.01..=1000.0;

/// One configured source.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Name; the rows of the connection carry it.
    pub name: String,
    /// Kind of source: `jira`.
    pub kind: String,
    /// Address of the site.
    pub url: String,
    /// How requests are authorised.
    pub auth: Auth,
    /// Account of the token, for [`Auth::Basic`].
    pub email: String,
    /// The token.
    pub token: Secret,
    /// Keys of the projects to read; empty for all that the account sees.
    pub projects: Vec<String>,
    /// IANA time zone; empty for the account's.
    pub time_zone: String,
    /// Fields that are not to be recognised but taken as said here.
    pub fields: FieldOverrides,
    /// Whether plain HTTP is allowed beyond this machine.
    pub insecure: bool,
    /// Whether the site may be at an address of a private network.
    pub private: bool,
    /// Requests at the same time, 1 to 64; `None` for what [`crate::Limits`] says.
    pub concurrency: Option<u32>,
    /// Requests of a second, over all clients of the site in this process; 0 for as many as the site
    /// serves.
    pub requests_per_second: f64,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: "jira".to_string(),
            url: String::new(),
            auth: Auth::Basic,
            email: String::new(),
            token: Secret::default(),
            projects: Vec::new(),
            time_zone: String::new(),
            fields: FieldOverrides::default(),
            insecure: false,
            private: false,
            concurrency: None,
            requests_per_second: 0.0,
        }
    }
}

/// How requests are authorised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// E-mail address and API token.
    Basic,
    /// A personal access token or another ready bearer token.
    Bearer,
}

/// Ids of the fields that play a part, where they are not to be recognised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldOverrides {
    /// Estimate in points.
    pub story_points: Option<String>,
    /// Discipline team.
    pub discipline_team: Option<String>,
    /// Owner, the stakeholder of an issue.
    pub owner: Option<String>,
    /// Sprint.
    pub sprint: Option<String>,
    /// Rank.
    pub rank: Option<String>,
}

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl Connection {
    /// An error about the settings of this connection.
    pub(crate) fn refuse(&self, reason: impl Into<String>) -> Error {
        Error::Settings {
            connection: self.name.clone(),
            reason: reason.into(),
        }
    }

    /// The site's address with a trailing slash, or why it can't be used.
    pub(crate) fn base(&self) -> Result<Url> {
        let mut url = Url::parse(self.url.trim()).map_err(|error| {
            self.refuse(format!(
                "url '{}' is not an address ({error}); write it like https://acme.atlassian.net",
                self.url
            ))
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(self.refuse("url holds credentials; put them into email and token"));
        }
        match url.scheme() {
            "https" => {}
            "http" if self.insecure || is_loopback(&url) => {}
            "http" => {
                return Err(self.refuse(format!(
                    "url '{url}' is plain http, which would show the token to the network; \
                     write https, or set insecure = true if you accept that"
                )));
            }
            other => {
                return Err(self.refuse(format!("url scheme '{other}' is not known; write https")));
            }
        }
        if !self.private && !is_loopback(&url) {
            let address = match url.host() {
                Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
                Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
                _ => None,
            };
            if let Some(address) = address.filter(|address| !is_public(*address)) {
                return Err(self.refuse(private("url", address)));
            }
        }
        url.set_query(None);
        url.set_fragment(None);
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(url)
    }
}

impl Connection {
    /// What the settings allow to ask of the site.
    pub(crate) fn ceiling(&self, limits: &Limits) -> Result<Ceiling> {
        let concurrency = match self.concurrency {
            Some(set) if (1..=MOST_CONCURRENT).contains(&set) => set as usize,
            Some(_) => {
                let reason = format!("concurrency: write a number from 1 to {MOST_CONCURRENT}");
                return Err(self.refuse(reason));
            }
            None => limits.in_flight.max(1),
        };
        let per_second = self.requests_per_second;
        if per_second != 0.0 && !PACES.contains(&per_second) {
            return Err(self.refuse(format!(
                "requests_per_second = {per_second}: write a number from {} to {}, or 0 for as many as the site serves",
                PACES.start(),
                PACES.end()
            )));
        }
        Ok(Ceiling {
            concurrency,
            per_second,
        })
    }

    /// Whether requests may go to private networks: where the settings say so, or name this machine.
    pub(crate) fn reaches_private(&self) -> bool {
        let url = Url::parse(self.url.trim()).ok();
        self.private || url.as_ref().is_some_and(is_loopback)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn connection(url: &str) -> Connection {
        Connection {
            name: "acme".into(),
            url: url.into(),
            auth: Auth::Basic,
            email: "bot@example.org".into(),
            token: Secret::new("hunter2"),
            ..Connection::default()
        }
    }

    #[test]
    fn ceilings_are_numbers_that_make_sense() {
        let limits = Limits::default();
        let mut one = connection("https://x");
        let ceiling = one.ceiling(&limits).unwrap();
        assert_eq!((ceiling.concurrency, ceiling.per_second), (8, 0.0));
        one.concurrency = Some(3);
        one.requests_per_second = 0.5;
        let ceiling = one.ceiling(&limits).unwrap();
        assert_eq!((ceiling.concurrency, ceiling.per_second), (3, 0.5));
        for wrong in [0, 65, u32::MAX] {
            one.concurrency = Some(wrong);
            let error = one.ceiling(&limits).unwrap_err().to_string();
            assert!(error.contains("from 1 to 64"), "{error}");
        }
        one.concurrency = None;
        for wrong in [-1.0, 0.001, 1e9, f64::NAN, f64::INFINITY] {
            one.requests_per_second = wrong;
            let error = one.ceiling(&limits).unwrap_err().to_string();
            assert!(error.contains("from 0.01 to 1000, or 0"), "{error}");
        }
    }

    #[test]
    fn the_token_is_not_shown() {
        assert!(!format!("{:?}", connection("https://x")).contains("hunter2"));
    }

    #[test]
    fn plain_http_is_for_this_machine() {
        for good in [
            "http://127.0.0.1:8080",
            "http://[::1]:1",
            "http://localhost/jira",
            "https://acme.atlassian.net",
        ] {
            assert!(
                connection(good).base().unwrap().path().ends_with('/'),
                "{good}"
            );
        }
        for bad in [
            "http://acme.atlassian.net",
            "acme",
            "ftp://localhost",
            "https://u:p@acme",
        ] {
            let error = connection(bad).base().unwrap_err();
            assert!(
                error.to_string().starts_with("connection 'acme': url"),
                "{error}"
            );
            assert!(!error.to_string().contains("hunter2"));
        }
        let inside = connection("https://10.1.2.3");
        let error = inside.base().unwrap_err().to_string();
        assert!(error.contains("set private = true"), "{error}");
        assert!(!inside.reaches_private());
        let mut inside = inside;
        inside.private = true;
        assert!(inside.base().is_ok() && inside.reaches_private());
        assert!(connection("http://localhost").reaches_private());
        let mut open = connection("http://acme.atlassian.net");
        open.insecure = true;
        assert!(open.base().is_ok());
    }
}
