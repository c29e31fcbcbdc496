//! A site of any number of issues that holds none of them: each is made from its number when it is
//! asked for. For measuring what a reader needs when there are very many; it answers exactly the
//! requests of an extractor of issues and nothing else, checks no credentials, and has no sprints.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Creation of the first issue: 2020-01-01, in milliseconds; the next ones follow a minute apart.
const FIRST_MS: i64 = 1_577_836_800_000;
const MINUTE_MS: i64 = 60_000;
const FIRST_ID: i64 = 10_000;
/// History entries of an issue.
const HISTORIES: i64 = 4;
const PAGE: usize = 5000;

/// The site's state: how many issues there are, and which were edited since.
#[derive(Debug)]
struct Site {
    issues: i64,
    edited: Mutex<BTreeMap<i64, i64>>,
}

/// Serves a wide site until the process ends; returns its address once it listens.
pub async fn serve(issues: u32, address: SocketAddr) -> io::Result<SocketAddr> {
    let site = Arc::new(Site {
        issues: i64::from(issues),
        edited: Mutex::default(),
    });
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/rest/api/2/serverInfo", get(server_info))
        .route("/rest/api/3/myself", get(myself))
        .route("/rest/api/3/search/jql", post(search))
        .route("/rest/api/3/issue/bulkfetch", post(issues_by_id))
        .route("/rest/api/3/changelog/bulkfetch", post(changelogs))
        .route("/edit/{count}", post(edit))
        .route("/rest/api/3/project/search", get(projects))
        .route("/rest/api/3/status", get(statuses))
        .route("/rest/api/3/field", get(nothing))
        .with_state(site);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

fn time(ms: i64) -> String {
    let at = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
        .replace('Z', "+0000")
}

impl Site {
    fn created(number: i64) -> i64 {
        FIRST_MS + number * MINUTE_MS
    }

    fn updated(&self, number: i64) -> i64 {
        let edited = self.edited.lock().unwrap_or_else(PoisonError::into_inner);
        let as_made = Self::created(number) + HISTORIES * MINUTE_MS;
        edited.get(&number).copied().unwrap_or(as_made)
    }

    /// Numbers of the issues that a query finds, from a position on.
    fn find(&self, jql: &str, start: usize, size: usize) -> (Vec<i64>, bool) {
        let after = |text: &str| -> Option<i64> {
            let rest = jql.split(text).nth(1)?.trim_start();
            rest.split_whitespace().next()?.parse().ok()
        };
        if let Some(from) = after("created >=") {
            let first = ((from - FIRST_MS + MINUTE_MS - 1) / MINUTE_MS).max(0);
            let found = (first..self.issues).skip(start).take(size + 1);
            return cut(found.collect(), size);
        }
        let from = after("updated >=").unwrap_or(0);
        if jql.contains("DESC") {
            let newest = (0..self.issues).max_by_key(|number| self.updated(*number));
            return (newest.into_iter().collect(), false);
        }
        // In order of the last update: the edited ones come after all others.
        let edited: BTreeMap<i64, i64> = self
            .edited
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let first = ((from - FIRST_MS + MINUTE_MS - 1) / MINUTE_MS - HISTORIES).max(0);
        let still = (first..self.issues).filter(|number| !edited.contains_key(number));
        let mut later: Vec<(i64, i64)> = edited
            .iter()
            .map(|(number, at)| (*at, *number))
            .filter(|(at, _)| *at >= from)
            .collect();
        later.sort_unstable();
        let all = still.chain(later.into_iter().map(|(_, number)| number));
        cut(all.skip(start).take(size + 1).collect(), size)
    }

    fn issue(&self, number: i64) -> Value {
        let (id, updated) = (FIRST_ID + number, self.updated(number));
        let words = "The report shows another total than the list it links to. ".repeat(20);
        let paragraph = json!({"type": "paragraph", "content": [{"type": "text", "text": words}]});
        json!({
            "id": id.to_string(),
            "key": format!("WIDE-{}", number + 1),
            "fields": {
                "summary": format!("Issue number {number} of a wide site"),
                "created": time(Self::created(number)),
                "updated": time(updated),
                "issuetype": {"id": "10001", "name": "Story", "subtask": false},
                "project": {"id": "1", "key": "WIDE", "name": "Wide"},
                "status": {"id": "3", "name": "In Progress", "statusCategory": {"id": 4, "key": "indeterminate"}},
                "priority": {"id": "3", "name": "Medium"},
                "assignee": {"accountId": format!("account-{}", number % 500), "displayName": "Somebody"},
                "reporter": {"accountId": format!("account-{}", number % 300), "displayName": "Somebody"},
                "labels": ["wide", format!("group-{}", number % 50)],
                "description": {"type": "doc", "version": 1, "content": [paragraph]},
                "issuelinks": [],
                "comment": {"comments": [], "total": 0, "maxResults": 20, "startAt": 0},
            },
        })
    }

    fn histories(number: i64) -> Vec<Value> {
        let histories = (0..HISTORIES).map(|entry| {
            json!({
                "id": (number * HISTORIES + entry + 1).to_string(),
                "author": {"accountId": format!("account-{}", number % 500)},
                "created": Self::created(number) + (entry + 1) * MINUTE_MS,
                "items": [{"field": "status", "fieldtype": "jira", "fieldId": "status",
                    "from": "1", "fromString": "To Do", "to": "3", "toString": "In Progress"}],
            })
        });
        histories.collect()
    }
}

fn cut(mut found: Vec<i64>, size: usize) -> (Vec<i64>, bool) {
    let more = found.len() > size;
    found.truncate(size);
    (found, more)
}

async fn server_info() -> Json<Value> {
    Json(
        json!({"baseUrl": "http://wide.invalid", "version": "1001.0.0", "deploymentType": "Cloud",
        "serverTime": Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)}),
    )
}

async fn myself() -> Json<Value> {
    Json(json!({"accountId": "account-0", "displayName": "Reader", "timeZone": "UTC"}))
}

async fn projects() -> Json<Value> {
    let project = json!({"id": "1", "key": "WIDE", "name": "Wide"});
    Json(json!({"values": [project], "isLast": true, "total": 1, "startAt": 0, "maxResults": 50}))
}

async fn statuses() -> Json<Value> {
    Json(
        json!([{"id": "3", "name": "In Progress", "statusCategory": {"id": 4, "key": "indeterminate"}}]),
    )
}

async fn nothing() -> Json<Value> {
    Json(json!([]))
}

async fn search(State(site): State<Arc<Site>>, Json(asked): Json<Value>) -> Json<Value> {
    let jql = asked["jql"].as_str().unwrap_or_default();
    let light = asked["fields"] == json!(["id"]);
    let most = asked["maxResults"].as_u64().unwrap_or(50) as usize;
    let size = most.min(if light { PAGE } else { 100 });
    let token = asked["nextPageToken"].as_str();
    let start = token.and_then(|token| token.parse().ok()).unwrap_or(0);
    let (found, more) = site.find(jql, start, size);
    let issues: Vec<Value> = found
        .iter()
        .map(|number| {
            let id = (FIRST_ID + number).to_string();
            if light {
                return json!({"id": id});
            }
            json!({"id": id, "fields": {"updated": time(site.updated(*number))}})
        })
        .collect();
    let mut page = json!({"issues": issues, "isLast": !more});
    if more {
        page["nextPageToken"] = (start + size).to_string().into();
    }
    Json(page)
}

fn numbers(site: &Site, asked: &Value) -> Vec<i64> {
    let ids = asked["issueIdsOrKeys"].as_array().into_iter().flatten();
    let ids = ids.filter_map(|id| id.as_str()?.parse::<i64>().ok());
    let numbers = ids.map(|id| id - FIRST_ID);
    numbers
        .filter(|number| (0..site.issues).contains(number))
        .collect()
}

async fn issues_by_id(State(site): State<Arc<Site>>, Json(asked): Json<Value>) -> Json<Value> {
    let numbers = numbers(&site, &asked);
    let issues: Vec<Value> = numbers.iter().map(|number| site.issue(*number)).collect();
    Json(json!({"issues": issues, "issueErrors": []}))
}

async fn changelogs(State(site): State<Arc<Site>>, Json(asked): Json<Value>) -> Json<Value> {
    let logs: Vec<Value> = numbers(&site, &asked)
        .into_iter()
        .map(|number| {
            let id = (FIRST_ID + number).to_string();
            json!({"issueId": id, "changeHistories": Site::histories(number)})
        })
        .collect();
    Json(json!({"issueChangeLogs": logs}))
}

/// Edits that many issues, spread over the whole site, now.
async fn edit(State(site): State<Arc<Site>>, Path(count): Path<i64>) -> Json<Value> {
    let mut edited = site.edited.lock().unwrap_or_else(PoisonError::into_inner);
    let step = (site.issues / count.max(1)).max(1);
    let now = Utc::now();
    for number in (0..site.issues).step_by(step as usize).take(count as usize) {
        edited.insert(number, now.timestamp_millis());
    }
    Json(json!({"edited": count}))
}
