//! REST from outside.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tests::{Product, Server, filled};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_come_from_one_release_and_say_which() {
    let product = filled().await;
    let server = Server::start(product);
    let sprints = server.get("/api/v1/sprints/").await;
    assert_eq!(sprints.status, 200);
    let tag = sprints.header("etag").to_string();
    assert!(tag.starts_with("\"r1."), "{tag}");
    let closed = sprints.json();
    let closed = closed
        .as_array()
        .unwrap()
        .iter()
        .find(|sprint| sprint["state"] == "closed");
    let id = closed.unwrap()["sprint_id"].as_i64().unwrap();
    let board = closed.unwrap()["board_id"].as_i64().unwrap();
    for path in [
        "/api/v1/releases".to_string(),
        "/api/v1/sprints".to_string(),
        format!("/api/v1/sprints/{id}"),
        format!("/api/v1/sprints/{id}/report"),
        format!("/api/v1/sprints/{id}/burndown"),
        format!("/api/v1/boards/{board}/velocity"),
    ] {
        let plain = server.get(&path).await;
        assert_eq!(plain.status, 200, "{path}: {}", plain.body);
        assert_eq!(plain.header("etag"), tag, "{path}");
        let slash = server.get(&format!("{path}/")).await;
        assert_eq!(slash.body, plain.body, "{path} with a slash");
        let known = server.get_with(&path, &[("if-none-match", &tag)]).await;
        assert_eq!((known.status, known.body.as_str()), (304, ""), "{path}");
        let stale = server.get_with(&path, &[("if-none-match", "\"r0\"")]).await;
        assert_eq!(stale.status, 200, "{path}");
    }
    // The burndown ends where the report does, and velocity says the same.
    let report = server
        .get(&format!("/api/v1/sprints/{id}/report"))
        .await
        .json();
    let burndown = server
        .get(&format!("/api/v1/sprints/{id}/burndown"))
        .await
        .json();
    let last = burndown["events"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(last["event"], "sprint_completed");
    assert_eq!(
        last["completed_points"],
        report["sprint"]["completed_points"]
    );
    assert_eq!(
        last["remaining_points"],
        report["sprint"]["not_completed_points"]
    );
    let velocity = server
        .get(&format!("/api/v1/boards/{board}/velocity"))
        .await
        .json();
    let same = velocity["sprints"]
        .as_array()
        .unwrap()
        .iter()
        .find(|sprint| sprint["sprint_id"] == id);
    assert_eq!(
        same.unwrap()["completed_points"],
        report["sprint"]["completed_points"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_read_page_by_page() {
    let product = filled().await;
    let server = Server::start(product);
    let all = server.get("/api/v1/sprints/?limit=1000").await.json();
    let mut paged = Vec::new();
    let mut next = Some("/api/v1/sprints/?limit=2".to_string());
    while let Some(path) = next {
        let page = server.get(&path).await;
        paged.extend(page.json().as_array().unwrap().clone());
        let link = page.header("link").to_string();
        next = link
            .strip_prefix('<')
            .and_then(|link| link.split_once('>'))
            .map(|(path, _)| path.to_string());
    }
    assert_eq!(Value::from(paged), all);
    let closed = server.get("/api/v1/sprints/?state=closed").await.json();
    assert!(
        closed
            .as_array()
            .unwrap()
            .iter()
            .all(|sprint| sprint["state"] == "closed")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_have_one_envelope_and_the_id_of_the_log() {
    let product = filled().await;
    let server = Server::start(product);
    for (path, status, code) in [
        ("/api/v1/nothing", 404, "RESOURCE_NOT_FOUND"),
        ("/api/v1/sprints/999999", 404, "RESOURCE_NOT_FOUND"),
        ("/api/v1/sprints/999999/report/", 404, "RESOURCE_NOT_FOUND"),
        ("/api/v1/boards/999999/velocity", 404, "RESOURCE_NOT_FOUND"),
        ("/api/v1/sprints?as_of=r77", 404, "RESOURCE_NOT_FOUND"),
        ("/api/v1/sprints/seven", 422, "VALIDATION_ERROR"),
        ("/api/v1/sprints?limit=0", 422, "VALIDATION_ERROR"),
        ("/api/v1/sprints?limit=many", 422, "VALIDATION_ERROR"),
        ("/api/v1/sprints?state=odd", 422, "VALIDATION_ERROR"),
        ("/api/v1/sql", 405, "METHOD_NOT_ALLOWED"),
    ] {
        let answer = server
            .get_with(path, &[("x-correlation-id", "mine-1")])
            .await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let error = &answer.json()["error"];
        assert_eq!(error["code"], code, "{path}");
        assert!(error["message"].as_str().unwrap().len() > 5, "{path}");
        assert!(error["details"].is_object(), "{path}");
        assert_eq!(error["request_id"], "mine-1", "{path}");
        assert_eq!(answer.header("x-correlation-id"), "mine-1");
    }
    // What could not stand in a log is not taken over.
    let odd = server
        .get_with("/health", &[("x-correlation-id", "a b")])
        .await;
    assert_ne!(odd.header("x-correlation-id"), "a b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_is_answered_as_json_and_as_arrow() {
    let product = filled().await;
    let server = Server::start(product);
    let query = json!({"query": "select sprint_id, started_at, goal from sprints where sprint_id > 0 order by 1 limit 3"});
    let answer = server.post("/api/v1/sql", &query).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = answer.json();
    assert_eq!(body["release_id"], "r1");
    assert_eq!(
        body["columns"][0],
        json!({"name": "sprint_id", "type": "Int64"})
    );
    assert_eq!(body["rows"].as_array().unwrap().len(), 3);
    assert!(body["rows"][0].as_object().unwrap().contains_key("goal"));
    for (body, status, code) in [
        (
            json!({"query": "select * from sprints", "max_rows": 1}),
            422,
            "TOO_MANY_ROWS",
        ),
        (
            json!({"query": "select * from sprints", "max_rows": 0}),
            422,
            "VALIDATION_ERROR",
        ),
        (json!({"sql": "select 1"}), 422, "VALIDATION_ERROR"),
        (
            json!({"query": "select 1", "as_of": "r9"}),
            404,
            "RESOURCE_NOT_FOUND",
        ),
        (
            json!({"query": "select s.sprint_id, t.sprint_id from sprints s cross join sprints t"}),
            400,
            "QUERY_ERROR",
        ),
        (
            json!({"query": "select count(*) from generate_series(1, 1000000) a cross join generate_series(1, 1000000) b", "timeout_seconds": 1}),
            504,
            "DEADLINE",
        ),
    ] {
        let answer = server.post("/api/v1/sql", &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert_eq!(answer.json()["error"]["code"], code, "{body}");
    }
    // Answers and the query log have the same id.
    let id = answer.header("x-correlation-id");
    let logged =
        format!("select status, protocol, rows from system.queries where request_id = '{id}'");
    let logged = server
        .post("/api/v1/sql", &json!({"query": logged}))
        .await
        .json();
    assert_eq!(
        logged["rows"],
        json!([{"status": "succeeded", "protocol": "http", "rows": 3}])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operation_is_observable() {
    let product = filled().await;
    let server = Server::start(product);
    assert_eq!(server.get("/health/live").await.status, 200);
    let ready = server.get("/health/ready").await.json();
    assert_eq!(ready["release_id"], "r1");
    server.get("/api/v1/sprints/").await;
    server.postgres().await.rows("select 1").await.unwrap();
    let metrics = server.get("/metrics").await;
    assert!(
        metrics
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    for line in [
        "sprint_reports_http_requests_total{method=\"GET\",route=\"/api/v1/sprints\",status=\"200\"} 1",
        "sprint_reports_queries_total{protocol=\"postgres\",status=\"succeeded\"} 1",
        "sprint_reports_release_number 1",
        "sprint_reports_data_age_seconds{connection=\"site\"}",
        "# TYPE sprint_reports_query_seconds histogram",
    ] {
        assert!(
            metrics.body.contains(line),
            "{line} is not in\n{}",
            metrics.body
        );
    }
    let api = server.get("/api/v1/openapi.json").await.json();
    assert_eq!(api["openapi"], "3.1.0");
    let printed = product.run(&["openapi"]).ok().json();
    assert_eq!(printed["paths"], api["paths"]);
    let page = server.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(
        !page.body.contains("//unpkg.com"),
        "the page needs no other server"
    );
    assert_eq!(server.stop().code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_first_release_everything_says_so() {
    let product = Product::new();
    let server = Server::start(&product);
    assert_eq!(server.get("/health/live").await.status, 200);
    let ready = server.get("/health/ready").await;
    assert_eq!(
        (ready.status, &ready.json()["status"]),
        (503, &json!("waiting"))
    );
    let sprints = server.get("/api/v1/sprints/").await;
    assert_eq!(sprints.status, 503);
    assert!(sprints.body.contains("refresh"), "{}", sprints.body);
    let error = server.postgres().await.rows("select 1").await.unwrap_err();
    assert_eq!(error.sqlstate, "55000");
}

/// Every model has a page; every link on them leads somewhere, and every column it names is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_of_the_models_lead_to_each_other() {
    let server = Server::start(filled().await);
    let links = |page: &str| -> BTreeSet<String> {
        let parts = page.split("href=\"").skip(1);
        let links = parts.filter_map(|part| part.split('"').next());
        links
            .map(str::to_string)
            .filter(|link| link.starts_with("/docs/models/"))
            .collect()
    };
    let index = server.get("/docs/models").await;
    assert_eq!(index.status, 200);
    assert!(
        index
            .header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    let mut open: Vec<String> = links(&index.body).into_iter().collect();
    let mut pages: BTreeMap<String, String> = BTreeMap::new();
    let mut wanted: BTreeSet<(String, String)> = BTreeSet::new();
    while let Some(link) = open.pop() {
        let (path, column) = link.split_once('#').unwrap_or((&link, ""));
        if !column.is_empty() {
            wanted.insert((path.to_string(), column.to_string()));
        }
        if pages.contains_key(path) {
            continue;
        }
        let page = server.get(path).await;
        assert_eq!(page.status, 200, "{link}");
        open.extend(links(&page.body));
        pages.insert(path.to_string(), page.body);
    }
    assert!(
        pages.len() > 60 && wanted.len() > 300,
        "{} pages, {} columns",
        pages.len(),
        wanted.len()
    );
    for (path, column) in wanted {
        let anchor = format!("<tr id=\"{column}\">");
        assert!(
            pages[&path].contains(&anchor),
            "{path} has no column {column}"
        );
    }
    let etag = index.header("etag").to_string();
    let again = server
        .get_with("/docs/models", &[("if-none-match", &etag)])
        .await;
    assert_eq!(again.status, 304);
    // An older release is linked with itself.
    let older = server.get("/docs/models?as_of=r1").await;
    assert!(
        links(&older.body)
            .iter()
            .all(|link| link.contains("?as_of=r1"))
    );
}
