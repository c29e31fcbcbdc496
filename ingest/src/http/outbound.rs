//! Messages that we send, to addresses of the settings: under the same rules as what we read.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::net::TcpStream;
use url::Url;

use super::address::{Public, Reach, is_public, origin, private};
use super::answer::innermost;
use super::headers;
use crate::error::excerpt;

/// Most bytes of an answer that are read.
const SMALL: usize = 4 << 10;

/// Somebody to send to.
#[derive(Clone)]
pub struct Outbound {
    url: Url,
    http: reqwest::Client,
}

// The path of such an address is often a secret.
impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outbound({})", origin(&self.url))
    }
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// HTTP status.
    pub status: u16,
    /// How long the other side asks to wait, where it refuses.
    pub wait: Option<Duration>,
    /// The first characters of the answer.
    pub says: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PostError(pub String);

impl Outbound {
    /// Checks an address of the settings; nothing is sent. `setting` names it in the error.
    pub fn new(setting: &str, text: &str, reach: Reach, wait: Duration) -> Result<Self, PostError> {
        // The text is not repeated: it is often a secret.
        let url = Url::parse(text.trim())
            .map_err(|error| PostError(format!("{setting} is not an address ({error})")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(PostError(format!("{setting} holds credentials")));
        }
        reach
            .allows(setting, &url, &origin(&url))
            .map_err(PostError)?;
        let mut http = reqwest::Client::builder();
        if !reach.includes_private(&url) {
            http = http.dns_resolver(Arc::new(Public));
        }
        if url.scheme() == "http" {
            // Nothing is encrypted, so no certificate needs to be read and trusted.
            http = http.tls_certs_only([]);
        }
        let http = http
            .user_agent(concat!("sprint-reports/", env!("CARGO_PKG_VERSION")))
            .timeout(wait)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| PostError(format!("no HTTP client can be made: {error}")))?;
        Ok(Self { url, http })
    }

    /// Host and port, without what may be secret.
    pub fn origin(&self) -> String {
        origin(&self.url)
    }

    /// A text without the address, its path and its query: receivers repeat what they were asked.
    pub fn redacted(&self, text: &str) -> String {
        let path = self.url.path();
        let secrets = [Some(self.url.as_str()), self.url.query()];
        let whole = secrets.into_iter().flatten();
        let parts = path.split('/').filter(|part| part.len() >= 8);
        whole
            .chain((path.len() > 1).then_some(path))
            .chain(parts)
            .fold(text.to_string(), |text, secret| match secret.is_empty() {
                true => text,
                false => text.replace(secret, "***"),
            })
    }

    /// Sends JSON, once.
    pub async fn post(
        &self,
        headers: &[(&'static str, String)],
        json: Vec<u8>,
    ) -> Result<Posted, PostError> {
        let mut request = self
            .http
            .post(self.url.clone())
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(json);
        let reason = |error: reqwest::Error| match error.is_timeout() {
            true => PostError("no answer in time".to_string()),
            false => PostError(innermost(&error)),
        };
        let mut response = request.send().await.map_err(reason)?;
        let status = response.status().as_u16();
        let wait = headers::refused(response.headers(), Utc::now()).0;
        let mut body = Vec::new();
        // The status is the answer; what is said beside it may be cut short.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > SMALL {
                break;
            }
        }
        Ok(Posted {
            status,
            wait,
            says: excerpt(&body),
        })
    }
}

impl Reach {
    /// Whether a host other than that of a web address may be asked, as far as it can be told without
    /// asking for its name.
    pub fn allows_server(
        self,
        setting: &str,
        host: &str,
        encrypted: bool,
    ) -> Result<(), PostError> {
        let (is_local, address) = spelled(host);
        if !encrypted && !is_local && !self.insecure {
            return Err(PostError(format!(
                "{setting} is not encrypted, which would show what is sent to the network; use TLS, or set \
                 insecure = true if you accept that"
            )));
        }
        match address.filter(|address| !is_local && !self.private && !is_public(*address)) {
            Some(address) => Err(PostError(private(setting, address))),
            None => Ok(()),
        }
    }

    /// Connects to a host, where it may be asked.
    pub async fn connect(self, host: &str, port: u16) -> Result<TcpStream, PostError> {
        let failed = |error: std::io::Error| PostError(format!("{host}:{port}: {error}"));
        let bare = host.trim_matches(['[', ']']);
        let found: Vec<SocketAddr> = tokio::net::lookup_host((bare, port))
            .await
            .map_err(failed)?
            .collect();
        let may_all = self.private || spelled(host).0;
        let may = |address: &&SocketAddr| may_all || is_public(address.ip());
        let allowed: Vec<SocketAddr> = found.iter().filter(may).copied().collect();
        if let (Some(first), true) = (found.first(), allowed.is_empty()) {
            return Err(PostError(private(host, first.ip())));
        }
        TcpStream::connect(allowed.as_slice()).await.map_err(failed)
    }
}

/// Whether a host names this machine, and its address where it is written as one.
fn spelled(host: &str) -> (bool, Option<IpAddr>) {
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    let is_local = host == "localhost" || address.is_some_and(|address| address.is_loopback());
    (is_local, address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, reach: Reach) -> String {
        let made = Outbound::new("alerts.x.url", text, reach, Duration::from_secs(1));
        made.unwrap_err().0
    }

    #[test]
    fn what_is_sent_obeys_the_rules_and_shows_no_path() {
        let open = Reach {
            insecure: true,
            private: true,
        };
        let secret = "https://hooks.example.org/services/T0/B0/hunter2";
        let made = Outbound::new("u", secret, Reach::default(), Duration::from_secs(1)).unwrap();
        assert_eq!(format!("{made:?}"), "Outbound(https://hooks.example.org)");
        for (text, says) in [
            ("http://hooks.example.org/hunter2", "plain http"),
            ("https://10.0.0.8/hunter2", "private = true"),
            ("https://u:hunter2@example.org/", "holds credentials"),
            ("ftp://example.org/hunter2", "write https"),
            ("hunter2", "is not an address"),
        ] {
            let error = refused(text, Reach::default());
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        for text in ["http://hooks.example.org/x", "http://10.0.0.8/x"] {
            assert!(Outbound::new("u", text, open, Duration::from_secs(1)).is_ok());
        }
    }

    #[tokio::test]
    async fn servers_obey_them_too() {
        let none = Reach::default();
        assert!(none.allows_server("s", "mail.example.org", true).is_ok());
        assert!(none.allows_server("s", "localhost", false).is_ok());
        assert!(none.allows_server("s", "mail.example.org", false).is_err());
        assert!(none.allows_server("s", "192.168.1.1", true).is_err());
        let error = none.connect("10.1.2.3", 25).await.unwrap_err().0;
        assert!(error.contains("private network"), "{error}");
    }
}
