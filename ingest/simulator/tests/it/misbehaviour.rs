//! Faults, rate limits and the request log.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use simulator::{Fault, FaultKind, RateLimit, Settings};

use crate::client::{Client, small};

#[tokio::test]
async fn faults_hit_the_requests_they_name() {
    let client = Client::start(small()).await;
    let path = "/rest/api/3/field";
    client
        .simulator
        .inject(Fault::status("/field", 503).nth(2).times(1));
    assert_eq!(client.raw("/rest/api/3/status").await.status(), 200);
    assert_eq!(client.raw(path).await.status(), 200);
    assert_eq!(client.raw(path).await.status(), 503);
    client
        .simulator
        .inject(Fault::new("/field", FaultKind::Html));
    let page = client.raw(path).await;
    assert_eq!(page.headers()["content-type"], "text/html;charset=UTF-8");
    client
        .simulator
        .inject(Fault::new("/field", FaultKind::TruncatedBody));
    let cut = client.raw(path).await.text().await.unwrap();
    assert!(cut.starts_with('[') && serde_json::from_str::<Value>(&cut).is_err());
    client
        .simulator
        .inject(Fault::new("/field", FaultKind::DroppedConnection));
    let dropped = match client.send(Method::GET, path, None).await {
        Ok(response) => response.bytes().await.map(drop),
        Err(error) => Err(error),
    };
    assert!(dropped.is_err());
    assert_eq!(client.raw(path).await.status(), 200);
    let log = client.simulator.requests();
    assert_eq!(log.iter().filter(|request| request.path == path).count(), 6);
    assert!(log.iter().any(|request| request.status == 503));
}

#[tokio::test]
async fn limits_say_when_to_come_back() {
    let limit = RateLimit::EveryNth {
        n: 3,
        retry_after: Duration::from_secs(2),
    };
    let client = Client::start(Settings {
        rate_limit: Some(limit),
        ..small()
    })
    .await;
    let mut refused = 0;
    for _ in 0..9 {
        let response = client.raw("/rest/api/3/status").await;
        assert_eq!(response.headers()["X-RateLimit-Limit"], "3");
        if response.status() == 429 {
            refused += 1;
            assert_eq!(response.headers()["Retry-After"], "2");
            assert_eq!(response.headers()["X-RateLimit-Remaining"], "0");
            assert!(response.headers().contains_key("X-RateLimit-Reset"));
        }
    }
    assert_eq!(refused, 3);
    let bucket = RateLimit::Bucket {
        capacity: 2.0,
        per_second: 20.0,
    };
    let client = Client::start(Settings {
        rate_limit: Some(bucket),
        ..small()
    })
    .await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(client.raw("/rest/api/3/status").await.status().as_u16());
    }
    assert!(
        statuses.contains(&429) && statuses[0] == 200,
        "{statuses:?}"
    );
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert_eq!(client.raw("/rest/api/3/status").await.status(), 200);
}

#[tokio::test]
async fn malformed_bodies_are_refused() {
    let client = Client::start(small()).await;
    let url = format!("{}/rest/api/3/issue/bulkfetch", client.simulator.url());
    let sent = reqwest::Client::new()
        .post(url)
        .bearer_auth("simulator-token")
        .body("{")
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 400);
    let many: Vec<String> = (0..101).map(|id| id.to_string()).collect();
    let body = json!({"issueIdsOrKeys": many});
    let sent = client
        .send(Method::POST, "/rest/api/3/issue/bulkfetch", Some(body))
        .await
        .unwrap();
    assert_eq!(sent.status(), 400);
}
