//! `rest.md`: paths, the shape of every answer, and the errors.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tests::{Product, Server, filled};

use crate::page::{Page, same};

/// Types found at each path of a JSON value.
type Shape = BTreeMap<String, BTreeSet<&'static str>>;

fn shape(path: &str, value: &Value, found: &mut Shape) {
    let kind = match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                shape(&format!("{path}{dot}{name}"), value, found);
            }
            return;
        }
        Value::Array(items) => {
            for item in items {
                shape(&format!("{path}[]"), item, found);
            }
            return;
        }
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
    };
    found.entry(path.to_string()).or_default().insert(kind);
}

/// The requests that show a path: all that its fields can be must come up in them.
async fn answers(server: &Server, path: &str) -> Vec<Value> {
    if path.starts_with("/api/v1/pipelines") || path.starts_with("/api/v1/runs") {
        return of_jobs(server, path).await;
    }
    let sprints = server.get("/api/v1/sprints/?limit=1000").await.json();
    let sprints = sprints.as_array().unwrap().clone();
    let ids: Vec<_> = sprints.iter().map(|row| row["sprint_id"].clone()).collect();
    let boards: BTreeSet<_> = sprints
        .iter()
        .filter_map(|row| row["board_id"].as_i64())
        .collect();
    let paths: Vec<String> = match path {
        path if path.starts_with("/api/v1/webhooks/") => Vec::new(),
        path if path.contains("/sprints/{id}") => ids
            .iter()
            .map(|id| path.replace("{id}", &id.to_string()))
            .collect(),
        path if path.contains("/boards/{id}") => boards
            .iter()
            .map(|id| path.replace("{id}", &id.to_string()))
            .collect(),
        path => vec![path.to_string()],
    };
    let mut answers = Vec::new();
    for path in paths {
        let answer = if path == "/api/v1/sql" {
            let query = "select 1 as n, null as nothing, 'x' as t, 2.5::double as d, true as b";
            server.post(&path, &json!({"query": query})).await
        } else {
            server.get(&path).await
        };
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answers.push(answer.json());
    }
    answers
}

/// What is answered about pipelines and runs: one waits and nobody works on it, others have ended.
async fn of_jobs(server: &Server, path: &str) -> Vec<Value> {
    filled().await.run(&["pipeline", "list"]).ok();
    let request = async || {
        let path = "/api/v1/pipelines/hourly/runs";
        let answer = server.post(path, &json!({})).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.json()
    };
    let waiting = request().await;
    let id = waiting["run_id"].as_str().unwrap().to_string();
    let runs = server
        .get("/api/v1/runs?status=succeeded&limit=1")
        .await
        .json();
    let cancel = async |id: &str| {
        let path = format!("/api/v1/runs/{id}/cancel");
        let answer = server.post(&path, &json!({})).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.json()
    };
    let answers = match path {
        "/api/v1/pipelines/{name}/runs" => vec![waiting],
        "/api/v1/runs/{id}/cancel" => return vec![cancel(&id).await],
        "/api/v1/runs" => {
            let all = server.get("/api/v1/runs").await.json();
            vec![runs, all]
        }
        "/api/v1/runs/{id}" => {
            let ended = runs["runs"][0]["run_id"].as_str().unwrap();
            let ended = server.get(&format!("/api/v1/runs/{ended}")).await.json();
            vec![
                ended,
                server.get(&format!("/api/v1/runs/{id}")).await.json(),
            ]
        }
        path => {
            let paths = ["hourly", "nightly"].map(|name| path.replace("{name}", name));
            let mut answers = Vec::new();
            for path in &paths {
                answers.push(server.get(path).await.json());
            }
            cancel(&id).await;
            for path in &paths {
                answers.push(server.get(path).await.json());
            }
            return answers;
        }
    };
    cancel(&id).await;
    answers
}

/// The answer to an event of a connection that accepts them.
async fn event_kept(path: &str) -> Value {
    let product = Product::accepting("http://127.0.0.1:9", "a secret");
    let server = Server::start(&product);
    let path = path.replace("{connection}", "site");
    let signature = simulator::signature("a secret", b"{}");
    let headers = [("x-hub-signature", signature.as_str())];
    let answer = server.send(&path, "{}", &headers).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

/// The fields of an answer with their types; `as PATH` is replaced by the fields of that answer.
fn fields(page: &Page, heading: &str) -> Vec<Vec<String>> {
    let rows = page.table(heading).into_iter();
    rows.flat_map(|row| match row[1].strip_prefix("as ") {
        Some(other) => fields(page, other)
            .into_iter()
            .map(|inner| vec![format!("{}.{}", row[0], inner[0]), inner[1].clone()])
            .collect(),
        None => vec![row],
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_and_shapes() {
    let server = Server::start(filled().await);
    let page = Page::read("rest.md");
    let api = server.get("/api/v1/openapi.json").await.json();
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut paths = Vec::new();
    for (path, methods) in api["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            paths.push(format!("{} {path}", method.to_uppercase()));
        }
    }
    let headings = page.headings();
    let promised: Vec<String> = headings
        .iter()
        .filter(|heading| **heading != "Errors")
        .map(ToString::to_string)
        .collect();
    same(&promised, &paths, "paths of rest.md");
    for heading in &promised {
        let path = heading.split_once(' ').unwrap().1;
        // What is no JSON.
        if path == "/metrics" || path.ends_with("/events") {
            continue;
        }
        let mut found = Shape::new();
        if path.starts_with("/api/v1/webhooks/") {
            shape("", &event_kept(path).await, &mut found);
        }
        for answer in answers(&server, path).await {
            shape("", &answer, &mut found);
        }
        let rows = fields(&page, heading);
        let promised: Vec<String> = rows.iter().map(|row| row[0].clone()).collect();
        let product: Vec<String> = found.keys().cloned().collect();
        same(&promised, &product, heading);
        for row in rows {
            let allowed: BTreeSet<&str> = row[1].split(" or ").collect();
            let seen: BTreeSet<&str> = found[&row[0]].iter().copied().collect();
            let never: Vec<_> = allowed
                .difference(&seen)
                .filter(|kind| **kind != "null")
                .collect();
            assert!(
                seen.is_subset(&allowed) && never.is_empty(),
                "{heading}: {} is {seen:?}, and {allowed:?} on the page",
                row[0]
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors() {
    let server = Server::start(filled().await);
    for row in Page::read("rest.md").table("Errors") {
        let (method, path) = row[0].split_once(' ').unwrap();
        let answer = match method {
            "GET" => server.get(path).await,
            _ => {
                let (path, body) = path.split_once(' ').unwrap();
                server
                    .post(path, &serde_json::from_str(body).unwrap())
                    .await
            }
        };
        assert_eq!(
            answer.status.to_string(),
            row[1],
            "{}: {}",
            row[0],
            answer.body
        );
        let error = answer.json()["error"].clone();
        assert_eq!(
            error["code"],
            row[2].as_str(),
            "{}: {}",
            row[0],
            answer.body
        );
        let mut found = Shape::new();
        shape("", &error, &mut found);
        for field in ["code", "message", "request_id"] {
            assert!(found[field].contains("string"), "{}: {field}", row[0]);
        }
        assert!(error["details"].is_object());
        assert_eq!(answer.header("x-correlation-id"), error["request_id"]);
    }
}
