//! What goes wrong is said in one clear sentence with the remedy, and nothing half-written stays.

use std::net::TcpListener;

use simulator::{Fault, FaultKind, Settings};
use tests::{Ended, Product, small_site};

/// The error is one line that says all of these.
#[track_caller]
fn assert_says(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(
        ended.code,
        Some(code),
        "out: {}\nerr: {}",
        ended.out,
        ended.err
    );
    let errors: Vec<_> = ended
        .err
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "one sentence: {}", ended.err);
    for word in words {
        assert!(errors[0].contains(word), "'{word}' in: {}", errors[0]);
    }
}

#[test]
fn a_wrong_url() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let product = Product::connected(&format!("http://{free}"), "a@example.org", "x");
    let ended = product.run(&["sync"]);
    assert_says(&ended, 1, &["site", &free.to_string(), "url"]);
    assert_eq!(product.releases(), 0);
}

#[test]
fn plain_http_to_another_host() {
    let product = Product::connected("http://jira.example.org", "a@example.org", "x");
    let ended = product.run(&["sync"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(
        ended.err.contains("https") && ended.err.contains("insecure"),
        "{}",
        ended.err
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token() {
    let site = small_site().await;
    let product = Product::connected(
        site.url(),
        &Settings::default().account.email,
        "wrong-secret",
    );
    let ended = product.run(&["sync"]);
    assert_says(&ended, 1, &["401", "token"]);
    assert!(
        !ended.err.contains("wrong-secret"),
        "the token is never shown"
    );
    let tries = site.requests().len();
    assert!(
        tries <= 3,
        "a refused token is not tried again and again: {tries}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_html() {
    let site = small_site().await;
    let product = Product::reading(&site);
    site.inject(Fault::new("/rest/api/3/issue/bulkfetch", FaultKind::Html).times(1000));
    let ended = product.run(&["sync"]);
    assert_says(&ended, 1, &["bulkfetch", "JSON"]);
    product.run(&["refresh", "--select", "+velocity"]);
    let issues = product.run(&[
        "sql",
        "select count(*) as n from jira.issues",
        "--format",
        "json",
    ]);
    assert!(issues.code == Some(1) || issues.json()[0]["n"] == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passing_fault_is_got_over() {
    let site = small_site().await;
    let product = Product::reading(&site);
    site.inject(Fault::status("/rest/api/3/issue/bulkfetch", 503).times(1));
    site.inject(Fault::new("/rest/api/3/changelog/bulkfetch", FaultKind::TruncatedBody).times(1));
    site.inject(Fault::new("/rest/api/3/search/jql", FaultKind::Html).times(1));
    product.run(&["sync"]).ok();
}

#[test]
fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let product = Product::new();
    let ended = product.run(&["demo", "--port-http", &port]);
    assert_says(&ended, 1, &["can't listen", &port, "--port-http"]);
    assert_eq!(product.releases(), 0);
}

#[test]
fn an_unknown_setting() {
    let product = Product::new();
    product.write("sprint-reports.toml", "[stor]\nurl = \"file:x\"\n");
    let ended = product.run(&["sync"]);
    assert_says(
        &ended,
        2,
        &["unknown setting 'stor'", "did you mean 'store'?"],
    );
    let product = Product::new();
    let mut command = product.command(&["check"]);
    let output = command
        .env("SPRINT_REPORTS__STORE__ULR", "x")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn wrong_usage() {
    let product = Product::new();
    assert_eq!(product.run(&["sink"]).code, Some(2));
    assert_eq!(
        product.run(&["sync", "--connection", "nobody"]).code,
        Some(2)
    );
    let ended = product.run(&["sync"]);
    assert_says(
        &ended,
        2,
        &["no source is configured", "sprint-reports demo"],
    );
    let ended = product.run(&["sql", "select 1"]);
    assert_says(&ended, 1, &["refresh"]);
    let ended = product.run(&["refresh", "--select", "no_such_model"]);
    assert_says(&ended, 2, &["no_such_model"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_says_what_is_well_and_what_is_not() {
    let site = small_site().await;
    let product = Product::reading(&site);
    let well = product.run(&["check"]).ok();
    assert!(
        well.out.contains("connection site") && well.out.contains("reachable"),
        "{}",
        well.out
    );
    let wrong = Product::connected(site.url(), "a@example.org", "wrong");
    let ended = wrong.run(&["check"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.out.contains("FAIL  connection site"), "{}", ended.out);
}
