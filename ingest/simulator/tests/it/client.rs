//! A small client for the tests.

use reqwest::{Method, StatusCode};
use serde_json::Value;
use simulator::{Settings, Simulator, WorldSettings};

use crate::world::now;

pub struct Client {
    pub simulator: Simulator,
    http: reqwest::Client,
}

pub fn settings() -> Settings {
    Settings {
        world: WorldSettings {
            now: now(),
            ..WorldSettings::default()
        },
        ..Settings::default()
    }
}

pub fn small() -> Settings {
    Settings {
        world: WorldSettings::small(5, now()),
        ..Settings::default()
    }
}

impl Client {
    pub async fn start(settings: Settings) -> Self {
        Self::of(Simulator::start(settings).await.unwrap())
    }

    pub fn of(simulator: Simulator) -> Self {
        Self {
            simulator,
            http: reqwest::Client::new(),
        }
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<reqwest::Response> {
        let account = &self.simulator.settings().account;
        let url = format!("{}{path}", self.simulator.url());
        let mut request = self
            .http
            .request(method, url)
            .basic_auth(&account.email, Some(&account.token));
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await
    }

    pub async fn raw(&self, path: &str) -> reqwest::Response {
        self.send(Method::GET, path, None).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Value {
        let response = self.raw(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let response = self.send(Method::POST, path, Some(body)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    /// Status and first error message of a refused call.
    pub async fn refused(&self, path: &str) -> (u16, String) {
        let response = self.raw(path).await;
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        (
            status,
            body["errorMessages"][0]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    }

    /// All issues of a query, page by page.
    pub async fn search(&self, jql: &str, fields: &str, page: usize) -> Vec<Value> {
        let mut issues = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut body = serde_json::json!({"jql": jql, "maxResults": page, "fields": [fields]});
            if let Some(token) = token {
                body["nextPageToken"] = token.into();
            }
            let mut found = self.post("/rest/api/3/search/jql", body).await;
            issues.append(found["issues"].as_array_mut().unwrap());
            token = found["nextPageToken"].as_str().map(str::to_owned);
            assert_eq!(found["isLast"], token.is_none());
            if token.is_none() {
                return issues;
            }
        }
    }
}
