//! Signing in as an app (OAuth 2.0): an access token that is renewed with a refresh token, which is
//! good once. What a renewal hands out is stored before it is used, so that a run that is killed at
//! any moment but one loses nothing: the one is between the site's answer and the write of it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use url::Url;
use warehouse::meta::SecretPlace;
use warehouse::{MetaDb, fault};

use super::super::transport::{self, Answer};
use super::sensitive;
use crate::error::excerpt;
use crate::http::Limits;
use crate::{Connection, Error, OAuthApp, Result};

/// Name of what is stored.
const SIGN_IN: &str = "sign-in";

/// Longest time that we wait for another process that renews the token.
const PATIENCE: Duration = Duration::from_secs(180);

/// Longest time before its end at which an access token is renewed.
const AHEAD: TimeDelta = TimeDelta::seconds(60);

/// Longest life that an access token is believed to have.
const LONGEST_LIFE: u32 = 30 * 24 * 3600;

/// The sign-in of one connection.
pub(in super::super) struct SignIn {
    connection: String,
    app: OAuthApp,
    token_url: Url,
    /// Tells the refresh token of the settings; another one there wins over what is stored.
    origin: String,
    http: reqwest::Client,
    limits: Limits,
    meta: MetaDb,
    current: Mutex<Option<Access>>,
}

/// What is stored of a sign-in.
#[derive(Serialize, Deserialize)]
struct Stored {
    refresh_token: String,
    access: Option<Granted>,
    /// When a renewal began whose answer is not stored yet.
    asked_at: Option<DateTime<Utc>>,
}

/// An access token as it was handed out.
#[derive(Serialize, Deserialize)]
struct Granted {
    token: String,
    granted_at: DateTime<Utc>,
    life_seconds: u32,
}

/// An access token that is in use.
#[derive(Clone)]
struct Access {
    header: HeaderValue,
    renew_at: DateTime<Utc>,
}

/// What a renewal hands out.
#[derive(Deserialize)]
struct Renewed {
    access_token: String,
    refresh_token: Option<String>,
    expires_in: Option<f64>,
}

impl Granted {
    /// Its header, unless it is to be renewed, or is the one that was refused.
    fn access(&self, refused: Option<&HeaderValue>) -> Option<Access> {
        let life = TimeDelta::seconds(i64::from(self.life_seconds));
        let access = Access {
            header: sensitive(&format!("Bearer {}", self.token))?,
            renew_at: self.granted_at + life - (life / 5).min(AHEAD),
        };
        access.is_good(refused).then_some(access)
    }
}

impl Access {
    fn is_good(&self, refused: Option<&HeaderValue>) -> bool {
        self.renew_at > Utc::now() && refused != Some(&self.header)
    }
}

impl SignIn {
    pub(super) fn new(connection: &Connection, limits: &Limits, meta: &MetaDb) -> Result<Self> {
        let app = connection.oauth.clone();
        let texts = [
            &app.client_id,
            app.client_secret.reveal(),
            app.refresh_token.reveal(),
        ];
        if texts.iter().any(|text| text.trim().is_empty()) {
            return Err(connection.refuse(
                "auth = \"oauth\" needs client_id, client_secret and refresh_token of an app; \
                 developer.atlassian.com/console gives the first two, signing in to the app the third",
            ));
        }
        let token_url = connection.address("token_url", &app.token_url)?;
        let digest = Sha256::digest(format!("{}\n{}", app.client_id, app.refresh_token.reveal()));
        Ok(Self {
            connection: connection.name.clone(),
            origin: digest[..8]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            http: transport::client(connection, &token_url, limits)?,
            app,
            token_url,
            limits: *limits,
            meta: meta.clone(),
            current: Mutex::new(None),
        })
    }

    /// The header of an access token that is good for a while and not the refused one.
    pub(super) async fn header(
        self: &Arc<Self>,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue> {
        if let Some(access) = &*self.current.lock().await
            && access.is_good(refused)
        {
            return Ok(access.header.clone());
        }
        // On its own: a request that is given up must not take the answer to a renewal with it.
        let (this, refused) = (Arc::clone(self), refused.cloned());
        let renewal = tokio::spawn(async move {
            let mut current = this.current.lock().await;
            if let Some(access) = current.as_ref().filter(|one| one.is_good(refused.as_ref())) {
                return Ok(access.header.clone());
            }
            let access = this.shared(refused.as_ref()).await?;
            let header = access.header.clone();
            *current = Some(access);
            Ok(header)
        });
        match renewal.await {
            Ok(header) => header,
            Err(error) => Err(self.failed(format!("renewing the access token ended: {error}"))),
        }
    }

    /// The token that all processes share: what another one has stored, or what we renew while no
    /// other does.
    async fn shared(&self, refused: Option<&HeaderValue>) -> Result<Access> {
        if let Some(access) = self.stored_access(refused).await? {
            return Ok(access);
        }
        let name = format!("{SIGN_IN} of connection '{}'", self.connection);
        let lease = self
            .meta
            .lease(&name, "renewing the access token", PATIENCE)
            .await?;
        let renewed = match self.stored_access(refused).await {
            Ok(None) => self.renew().await,
            // Another process was faster.
            Ok(Some(access)) => Ok(access),
            Err(error) => Err(error),
        };
        // One that is not given back is taken over: the outcome says more.
        let released = lease.release().await;
        let access = renewed?;
        released?;
        Ok(access)
    }

    async fn stored_access(&self, refused: Option<&HeaderValue>) -> Result<Option<Access>> {
        let stored = self.stored().await?;
        let granted = stored.as_ref().and_then(|stored| stored.access.as_ref());
        Ok(granted.and_then(|granted| granted.access(refused)))
    }

    /// Renews the access token. Only one process does so at a time.
    async fn renew(&self) -> Result<Access> {
        let (refresh_token, lost_at) = match self.stored().await? {
            Some(stored) => (stored.refresh_token, stored.asked_at),
            None => (self.app.refresh_token.reveal().trim().to_string(), None),
        };
        // Shows that the answer can be stored, and to the next run that one may have been lost.
        self.keep(&Stored {
            refresh_token: refresh_token.clone(),
            access: None,
            asked_at: Some(Utc::now()),
        })
        .await?;
        fault::point("ingest.sign_in.asking")?;
        let renewed = self.ask(&refresh_token, lost_at).await?;
        fault::point("ingest.sign_in.answered")?;
        let life = renewed.expires_in.unwrap_or(3600.0).max(1.0);
        let granted = Granted {
            token: renewed.access_token,
            granted_at: Utc::now(),
            life_seconds: (life as u32).min(LONGEST_LIFE),
        };
        let access = granted.access(None).ok_or_else(|| {
            self.failed("the site handed out an access token that no HTTP header can carry")
        })?;
        self.keep(&Stored {
            refresh_token: renewed.refresh_token.unwrap_or(refresh_token),
            access: Some(granted),
            asked_at: None,
        })
        .await?;
        fault::point("ingest.sign_in.stored")?;
        tracing::info!(connection = self.connection, "access token renewed");
        Ok(access)
    }

    async fn ask(&self, refresh_token: &str, lost_at: Option<DateTime<Utc>>) -> Result<Renewed> {
        let body = json!({
            "grant_type": "refresh_token",
            "client_id": self.app.client_id.trim(),
            "client_secret": self.app.client_secret.reveal().trim(),
            "refresh_token": refresh_token,
        });
        let request = self.http.post(self.token_url.clone()).json(&body);
        let request = request.timeout(Duration::from_secs(30));
        let answer = transport::ask(request, "POST", &self.token_url, &self.limits).await?;
        match answer.status {
            200 => {
                let renewed = serde_json::from_slice(&answer.body);
                // What the answer is can't be shown: it may hold tokens.
                renewed.map_err(|_| {
                    self.failed(format!(
                        "the answer to {} is not what a renewal gives; correct token_url",
                        answer.call
                    ))
                })
            }
            300..=399 => Err(self.failed(format!(
                "{} is redirected, which is not followed; correct token_url",
                answer.call
            ))),
            429 | 500..=599 => Err(Error::Failing {
                call: answer.call,
                status: answer.status,
                tries: answer.tries,
            }),
            _ => Err(self.refused(&answer, refresh_token, lost_at)),
        }
    }

    /// Why a renewal is refused, and what to do.
    fn refused(
        &self,
        answer: &Answer,
        refresh_token: &str,
        lost_at: Option<DateTime<Utc>>,
    ) -> Error {
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default();
        let code = text("error");
        let mut words = format!("{} {code} {}", answer.status, text("error_description"));
        for secret in [refresh_token, self.app.client_secret.reveal().trim()] {
            words = words.replace(secret, "***");
        }
        let words = excerpt(words.as_bytes());
        if matches!(
            code,
            "invalid_client" | "unauthorized_client" | "access_denied"
        ) {
            return self.failed(format!(
                "client_id and client_secret are not accepted ({words}); correct them in the settings"
            ));
        }
        let lost = lost_at.map_or_else(String::new, |at| {
            format!(
                ", probably because a run ended at {} before it could store the next one",
                at.format("%Y-%m-%d %H:%M:%S UTC")
            )
        });
        self.failed(format!(
            "the refresh token is no longer accepted ({words}){lost}; sign in to the app again and write the new \
             refresh_token into the settings"
        ))
    }

    async fn stored(&self) -> Result<Option<Stored>> {
        let text = self.meta.secret(self.place()).await?;
        let stored = text.map(|text| serde_json::from_str(&text));
        stored.transpose().map_err(|_| {
            self.failed(
                "what is stored of the sign-in is not of this version; sign in to the app again and write the \
                 new refresh_token into the settings",
            )
        })
    }

    async fn keep(&self, stored: &Stored) -> Result<()> {
        let text = serde_json::to_string(stored)
            .map_err(|_| self.failed("the sign-in can't be written as JSON"))?;
        Ok(self.meta.keep_secret(self.place(), &text).await?)
    }

    fn place(&self) -> SecretPlace<'_> {
        SecretPlace {
            connection: &self.connection,
            name: SIGN_IN,
            origin: &self.origin,
        }
    }

    fn failed(&self, reason: impl Into<String>) -> Error {
        Error::SignIn {
            connection: self.connection.clone(),
            reason: reason.into(),
        }
    }
}
