//! The main job on embedded defaults.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::Product;

/// One demo for the tests of this file; it takes a while.
fn demo() -> &'static Product {
    static DEMO: std::sync::OnceLock<Product> = std::sync::OnceLock::new();
    DEMO.get_or_init(|| {
        let product = Product::new();
        let started = Instant::now();
        let ended = product.run(&["demo", "--exit"]).ok();
        let took = started.elapsed();
        println!("demo --exit took {took:?}");
        assert!(
            took < Duration::from_secs(180),
            "the demo took {took:?} in this build"
        );
        assert!(
            ended.out.contains("Committed at the start"),
            "{}",
            ended.out
        );
        product
    })
}

#[test]
fn an_empty_folder_gets_a_release_that_sql_reads() {
    let product = demo();
    assert_eq!(product.releases(), 1);
    let key = std::fs::read_to_string(product.path().join("data/key")).unwrap();
    assert_eq!(key.trim().len(), 64);
    let sprints = "select count(*) as n from marts.sprint_metrics where committed_issues > 0";
    assert!(product.value(sprints).as_i64().unwrap() >= 10);
    let row = &product.sql("select * from jira.issues where due_on is null limit 1")[0];
    assert!(row["issue_id"].is_i64());
    assert!(row["created_at"].as_str().unwrap().ends_with('Z'));
    assert!(
        row.as_object().unwrap().contains_key("due_on"),
        "null fields are present"
    );
}

#[test]
fn every_figure_is_the_sum_of_its_issues() {
    let product = demo();
    let recount = "
        with recount as (
            select connection, sprint_id,
                sum(case when committed then 1 else 0 end) as committed_issues,
                sum(case when committed then coalesce(start_points, 0) else 0 end) as committed_points,
                sum(case when outcome = 'completed' then 1 else 0 end) as completed_issues,
                sum(case when outcome = 'completed' then coalesce(end_points, 0) else 0 end) as completed_points,
                sum(case when outcome = 'removed' then 1 else 0 end) as removed_issues,
                sum(case when added_after_start then 1 else 0 end) as added_issues
            from marts.sprint_scope where not is_subtask group by connection, sprint_id
        )
        select m.sprint_id from marts.sprint_metrics m join recount r
            on r.connection = m.connection and r.sprint_id = m.sprint_id
        where m.committed_issues <> r.committed_issues or m.committed_points <> r.committed_points
           or m.completed_issues <> r.completed_issues or m.completed_points <> r.completed_points
           or m.removed_issues <> r.removed_issues or m.added_issues <> r.added_issues";
    assert_eq!(product.sql(recount), Vec::<Value>::new());
}

#[test]
fn every_figure_can_be_traced_to_raw_records() {
    let product = demo();
    // From a sprint's issues to the tables, and from both tables to the records as received.
    let untraced = |sql: &str| product.value(sql).as_i64().unwrap();
    let issues = "select count(*) as n from marts.sprint_scope c
        left join jira.issues i on i.connection = c.connection and i.issue_id = c.issue_id
        left join (select distinct connection, key from raw.records where stream = 'issues') r
            on r.connection = c.connection and r.key = cast(c.issue_id as varchar)
        where i.issue_id is null or r.key is null";
    assert_eq!(untraced(issues), 0);
    let items = "select count(*) as n from jira.changelog_items h
        left join (select distinct connection, key from raw.records where stream = 'changelogs') r
            on r.connection = h.connection and r.key = cast(h.issue_id as varchar) || '/' || cast(h.history_id as varchar)
        where r.key is null";
    assert_eq!(untraced(items), 0);
    assert!(untraced("select count(*) as n from marts.sprint_scope") > 100);
}

#[test]
fn a_second_demo_in_the_folder_goes_on_with_the_same_site() {
    let product = Product::new();
    product.run(&["demo", "--exit"]).ok();
    let before = product.value("select count(*) as n from jira.changelog_items");
    product.run(&["demo", "--exit"]).ok();
    assert_eq!(
        product.value("select count(*) as n from jira.changelog_items"),
        before
    );
    assert_eq!(
        product.releases(),
        1,
        "nothing changed, nothing was published"
    );
}

#[test]
fn the_server_answers_reports_until_it_is_stopped() {
    let product = Product::new();
    let mut child = product
        .command(&["demo", "--port-http", "0"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines
        .by_ref()
        .map(Result::unwrap)
        .find_map(|line| {
            line.strip_prefix("reports over HTTP   http://")
                .map(str::to_string)
        })
        .expect("the demo prints its address");
    assert!(get(&address, "/health/ready").contains("\"release_id\":\"r1\""));
    let sprints: Value = serde_json::from_str(&get(&address, "/api/v1/sprints/")).unwrap();
    let closed = sprints
        .as_array()
        .unwrap()
        .iter()
        .find(|sprint| sprint["state"] == "closed");
    let id = &closed.unwrap()["sprint_id"];
    let report: Value =
        serde_json::from_str(&get(&address, &format!("/api/v1/sprints/{id}/report"))).unwrap();
    assert_eq!(&report["sprint"]["sprint_id"], id);
    assert!(!report["scope"].as_array().unwrap().is_empty());
    let missing: Value =
        serde_json::from_str(&get(&address, "/api/v1/sprints/999999/report")).unwrap();
    assert_eq!(missing["error"]["code"], "RESOURCE_NOT_FOUND");
    let kill = std::process::Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(kill.success());
    assert!(
        child.wait().unwrap().success(),
        "SIGTERM ends the server in order"
    );
}

/// Body of a GET.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    if head.to_lowercase().contains("transfer-encoding: chunked") {
        return body
            .lines()
            .filter(|line| line.starts_with(['{', '[']))
            .collect();
    }
    body.to_string()
}
