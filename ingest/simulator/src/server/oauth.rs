//! Signing in as an app: access tokens that end, refresh tokens that are good once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::server::{Shared, lock};
use crate::settings::OAuth;

/// What was handed out.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    state: Mutex<Handed>,
}

#[derive(Debug, Default)]
struct Handed {
    count: usize,
    /// When each refresh token was used first; `None` for the one that is good.
    refresh: HashMap<String, Option<Instant>>,
    /// When each access token ends.
    access: HashMap<String, Instant>,
}

impl Tokens {
    pub(super) fn new(oauth: Option<&OAuth>) -> Self {
        let first = oauth.map(|oauth| (oauth.refresh_token.clone(), None));
        Self {
            state: Mutex::new(Handed {
                refresh: first.into_iter().collect(),
                ..Handed::default()
            }),
        }
    }

    /// Whether an access token is good.
    pub(super) fn admits(&self, token: &str) -> bool {
        let ends = lock(&self.state).access.get(token).copied();
        ends.is_some_and(|ends| ends > Instant::now())
    }

    /// Ends all access tokens; refresh tokens stay good.
    pub(super) fn end_access(&self) {
        lock(&self.state).access.clear();
    }

    /// What a person gets who signs in to the app anew. What was handed out before is void.
    pub(super) fn sign_in(&self) -> String {
        let mut state = lock(&self.state);
        state.access.clear();
        state.refresh.clear();
        state.count += 1;
        let token = format!("simulated-consent-{}", state.count);
        state.refresh.insert(token.clone(), None);
        token
    }

    /// Takes a refresh token for a new pair. One that was used before voids everything.
    fn renew(&self, oauth: &OAuth, refresh_token: &str) -> Option<(String, String)> {
        let mut state = lock(&self.state);
        let now = Instant::now();
        match state.refresh.get_mut(refresh_token)? {
            Some(used_at) if used_at.elapsed() >= oauth.leeway => {
                state.refresh.clear();
                state.access.clear();
                return None;
            }
            Some(_) => {}
            unused => *unused = Some(now),
        }
        state.count += 1;
        let (access, refresh) = (
            format!("simulated-access-{}", state.count),
            format!("simulated-refresh-{}", state.count),
        );
        state.access.insert(access.clone(), now + oauth.access_life);
        state.refresh.insert(refresh.clone(), None);
        Some((access, refresh))
    }
}

/// `POST /oauth/token`
pub(super) async fn token(State(shared): State<Arc<Shared>>, Json(body): Json<Value>) -> Response {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let refuse = |status: StatusCode, error: &str, description: &str| {
        let body = json!({"error": error, "error_description": description});
        (status, Json(body)).into_response()
    };
    let Some(oauth) = &shared.settings.oauth else {
        return refuse(StatusCode::NOT_FOUND, "not_found", "no app is known here");
    };
    if text("grant_type") != "refresh_token" {
        let error = "unsupported_grant_type";
        return refuse(StatusCode::BAD_REQUEST, error, "only refresh_token");
    }
    if text("client_id") != oauth.client_id || text("client_secret") != oauth.client_secret {
        return refuse(StatusCode::UNAUTHORIZED, "access_denied", "Unauthorized");
    }
    let Some((access, refresh)) = shared.tokens.renew(oauth, text("refresh_token")) else {
        let description = "Unknown or invalid refresh token.";
        return refuse(StatusCode::FORBIDDEN, "invalid_grant", description);
    };
    Json(json!({
        "access_token": access,
        "refresh_token": refresh,
        "expires_in": oauth.access_life.as_secs(),
        "token_type": "Bearer",
        "scope": "read:jira-work read:jira-user offline_access",
    }))
    .into_response()
}

/// `GET /oauth/token/accessible-resources`
pub(super) async fn resources(State(shared): State<Arc<Shared>>) -> Response {
    let resource = |id: &str, url: &str| json!({"id": id, "url": url, "name": "simulated", "scopes": ["read:jira-work"], "avatarUrl": ""});
    Json(json!([
        resource(
            "00000000-0000-4000-8000-000000000000",
            "https://elsewhere.example.org"
        ),
        resource(&shared.settings.cloud_id, &shared.base),
    ]))
    .into_response()
}
