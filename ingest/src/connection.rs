//! What has to be known to read a source.

use std::fmt;

use url::Url;
use warehouse::MetaDb;

use crate::error::excerpt;
use crate::http::{Ceiling, Reach};
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
    /// Kind of source: `jira`, `github` or `gitlab`.
    pub kind: String,
    /// Address of the site.
    pub url: String,
    /// How requests are authorised.
    pub auth: Auth,
    /// Account of the token, for [`Auth::Basic`].
    pub email: String,
    /// The token, unless an app signs in.
    pub token: Secret,
    /// The app, for [`Auth::OAuth`].
    pub oauth: OAuthApp,
    /// Where what signing in hands out is kept; needed for [`Auth::OAuth`].
    pub sign_ins: Option<MetaDb>,
    /// Id of the site behind the gateway; with it, requests go there.
    pub cloud_id: String,
    /// Address of the gateway.
    pub gateway_url: String,
    /// Keys of the projects, or names of the repositories, to read; empty for all that the account
    /// sees.
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
            oauth: OAuthApp::default(),
            sign_ins: None,
            cloud_id: String::new(),
            gateway_url: "https://api.atlassian.com".to_string(),
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
    /// A personal access token, the token of a service account, or another ready bearer token.
    Bearer,
    /// An app's tokens, which are renewed.
    OAuth,
}

/// An app that signs in by OAuth 2.0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthApp {
    /// Its id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// What signing in to it gave. Later ones are stored; another one here wins over them.
    pub refresh_token: Secret,
    /// Where tokens are renewed.
    pub token_url: String,
}

impl Default for OAuthApp {
    fn default() -> Self {
        Self {
            client_id: String::new(),
            client_secret: Secret::default(),
            refresh_token: Secret::default(),
            token_url: "https://auth.atlassian.com/oauth/token".to_string(),
        }
    }
}

/// Fields that play a part, where they are not to be recognised: by id or by name.
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
        self.address("url", &self.url).map(as_folder)
    }

    /// Where a site is behind the gateway.
    pub(crate) fn gateway(&self, cloud_id: &str) -> Result<Url> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if cloud_id.is_empty() || !cloud_id.chars().all(is_plain) {
            return Err(self.refuse(format!(
                "cloud_id '{}' is not one; https://SITE/_edge/tenant_info shows it",
                excerpt(cloud_id.as_bytes())
            )));
        }
        self.below_gateway(&format!("ex/jira/{cloud_id}/"))
    }

    /// Where the gateway lists the sites that an app was admitted to.
    pub(crate) fn resources(&self) -> Result<Url> {
        self.below_gateway("oauth/token/accessible-resources")
    }

    fn below_gateway(&self, path: &str) -> Result<Url> {
        let gateway = as_folder(self.address("gateway_url", &self.gateway_url)?);
        let joined = gateway.join(path);
        joined.map_err(|error| self.refuse(format!("gateway_url: {error}")))
    }

    /// An address of the settings, or why it can't be used.
    pub(crate) fn address(&self, setting: &str, text: &str) -> Result<Url> {
        let url = Url::parse(text.trim()).map_err(|error| {
            self.refuse(format!(
                "{setting} '{text}' is not an address ({error}); write it like https://acme.atlassian.net"
            ))
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(self.refuse(format!(
                "{setting} holds credentials; put them into email and token"
            )));
        }
        let reach = Reach {
            insecure: self.insecure,
            private: self.private,
        };
        reach
            .allows(setting, &url, url.as_str())
            .map_err(|reason| self.refuse(reason))?;
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

    /// Whether requests to an address may go to private networks: where the settings say so, or the
    /// address names this machine.
    pub(crate) fn reaches_private(&self, address: &Url) -> bool {
        Reach {
            insecure: self.insecure,
            private: self.private,
        }
        .includes_private(address)
    }
}

/// An address without query, with a trailing slash.
fn as_folder(mut url: Url) -> Url {
    url.set_query(None);
    url.set_fragment(None);
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    url
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
    fn no_secret_is_shown() {
        let mut one = connection("https://x");
        one.oauth.client_secret = Secret::new("hunter3");
        one.oauth.refresh_token = Secret::new("hunter4");
        assert!(!format!("{one:?}").contains("hunter"));
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
        let mut inside = inside;
        inside.private = true;
        assert!(inside.reaches_private(&inside.base().unwrap()));
        let here = connection("http://localhost");
        assert!(here.reaches_private(&here.base().unwrap()));
        let outside = connection("https://acme.atlassian.net");
        assert!(!outside.reaches_private(&outside.base().unwrap()));
        let mut open = connection("http://acme.atlassian.net");
        open.insecure = true;
        assert!(open.base().is_ok());
    }
}
