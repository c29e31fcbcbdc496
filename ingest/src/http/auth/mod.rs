//! How requests of a connection are authorised, and where they go.

mod gateway;
mod sign_in;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use url::Url;

use self::sign_in::SignIn;
use super::Limits;
use crate::{Auth, Connection, Error, Result};

/// Authorises requests.
pub(super) enum Authorizer {
    /// All with the same header.
    Fixed(HeaderValue),
    /// With an access token that is renewed.
    SignIn(Arc<SignIn>),
}

impl Authorizer {
    pub(super) fn of(connection: &Connection, limits: &Limits) -> Result<Self> {
        Ok(match connection.auth {
            Auth::Basic | Auth::Bearer => Authorizer::Fixed(fixed(connection)?),
            Auth::OAuth => {
                let meta = connection.sign_ins.as_ref().ok_or_else(|| {
                    connection.refuse("auth = \"oauth\" needs the metadata database")
                })?;
                Authorizer::SignIn(Arc::new(SignIn::new(connection, limits, meta)?))
            }
        })
    }

    /// The Authorization header of the next request.
    pub(super) async fn header(&self) -> Result<HeaderValue> {
        match self {
            Authorizer::Fixed(header) => Ok(header.clone()),
            Authorizer::SignIn(sign_in) => sign_in.header(None).await,
        }
    }

    /// Renews what the site has refused; whether that can be done.
    pub(super) async fn renew(&self, refused: &HeaderValue) -> Result<bool> {
        match self {
            Authorizer::Fixed(_) => Ok(false),
            Authorizer::SignIn(sign_in) => sign_in.header(Some(refused)).await.map(|_| true),
        }
    }

    /// Where the requests go: the site's address, or the gateway's for its cloud id.
    pub(super) async fn base(&self, connection: &Connection, limits: &Limits) -> Result<Url> {
        let site = connection.base()?;
        let cloud_id = connection.cloud_id.trim();
        if !cloud_id.is_empty() {
            return connection.gateway(cloud_id);
        }
        match self {
            // Tokens of an app are good at the gateway only.
            Authorizer::SignIn(sign_in) if !site.path().starts_with("/ex/") => {
                let header = sign_in.header(None).await?;
                let asked = gateway::cloud_id(connection, &site, limits, &header).await;
                let cloud_id = match asked {
                    Err(Error::Unauthorized { .. }) => {
                        let header = sign_in.header(Some(&header)).await?;
                        gateway::cloud_id(connection, &site, limits, &header).await?
                    }
                    asked => asked?,
                };
                connection.gateway(&cloud_id)
            }
            _ => Ok(site),
        }
    }
}

/// The header of a token that doesn't change.
fn fixed(connection: &Connection) -> Result<HeaderValue> {
    let token = connection.token.reveal().trim();
    if token.is_empty() {
        return Err(connection.refuse("token is empty; write env:NAME or file:PATH"));
    }
    let text = match connection.auth {
        Auth::Basic if connection.email.trim().is_empty() => {
            return Err(connection.refuse(
                "auth = \"basic\" needs the email of the token's account; or use auth = \"bearer\"",
            ));
        }
        Auth::Basic => {
            let pair = format!("{}:{token}", connection.email.trim());
            format!("Basic {}", STANDARD.encode(pair))
        }
        Auth::Bearer | Auth::OAuth => format!("Bearer {token}"),
    };
    sensitive(&text)
        .ok_or_else(|| connection.refuse("token holds characters that no HTTP header can carry"))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;
    use crate::connection::tests::connection;

    #[test]
    fn basic_and_bearer() {
        let mut one = connection("https://x");
        let basic = fixed(&one).unwrap();
        assert_eq!(basic, "Basic Ym90QGV4YW1wbGUub3JnOmh1bnRlcjI=");
        assert!(basic.is_sensitive());
        one.auth = Auth::Bearer;
        assert_eq!(fixed(&one).unwrap(), "Bearer hunter2");
    }

    #[test]
    fn what_is_missing_is_named_and_the_token_is_not() {
        let mut one = connection("https://x");
        one.email.clear();
        let error = fixed(&one).unwrap_err().to_string();
        assert!(error.contains("needs the email"), "{error}");
        one.auth = Auth::Bearer;
        one.token = Secret::new("hun\nter2");
        let error = fixed(&one).unwrap_err().to_string();
        assert!(
            error.contains("characters") && !error.contains("ter2"),
            "{error}"
        );
        one.token = Secret::new(" ");
        let error = fixed(&one).unwrap_err().to_string();
        assert!(error.contains("token is empty"), "{error}");
    }

    #[tokio::test]
    async fn a_cloud_id_leads_to_the_gateway() {
        let mut one = connection("https://acme.atlassian.net");
        one.auth = Auth::Bearer;
        let limits = Limits::default();
        let authorizer = Authorizer::of(&one, &limits).unwrap();
        let base = authorizer.base(&one, &limits).await.unwrap();
        assert_eq!(base.as_str(), "https://acme.atlassian.net/");
        one.cloud_id = "11-aa".into();
        let base = authorizer.base(&one, &limits).await.unwrap();
        assert_eq!(base.as_str(), "https://api.atlassian.com/ex/jira/11-aa/");
        one.cloud_id = "../admin".into();
        let error = authorizer.base(&one, &limits).await.unwrap_err();
        assert!(error.to_string().contains("cloud_id"), "{error}");
        one.cloud_id = "11-aa".into();
        one.gateway_url = "https://169.254.169.254".into();
        let error = authorizer
            .base(&one, &limits)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("gateway_url is at") && error.contains("private = true"),
            "{error}"
        );
    }
}
