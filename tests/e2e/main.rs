//! Promises to users, kept by the real binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test"
)]

mod alerts;
mod demo;
mod deployments;
mod errors;
mod escapes;
mod faults;
mod flow;
mod http;
mod logs;
mod maintenance;
mod pipelines;
mod postgres;
mod releases;
mod s3;
mod sign_in;
mod truth;
mod twice;
mod webhooks;
mod work;

use serde_json::{Value, json};
use tests::{Product, Server};

/// The tables that a sync and a refresh fill, each with its key.
const TABLES: [(&str, &str); 35] = [
    (
        "jira.board_columns",
        "connection, board_id, ordinal, status_key",
    ),
    ("jira.board_features", "connection, board_id, feature"),
    ("jira.board_sprints", "connection, board_id, sprint_id"),
    ("jira.boards", "connection, board_id"),
    ("jira.changelog_items", "connection, history_id, ordinal"),
    ("jira.comments", "connection, comment_id"),
    ("jira.components", "connection, component_id"),
    ("jira.fields", "connection, field_id"),
    ("jira.issue_links", "connection, link_id"),
    ("jira.issue_types", "connection, issue_type_id"),
    ("jira.issues", "connection, issue_id"),
    ("jira.link_types", "connection, link_type_id"),
    ("jira.priorities", "connection, priority_id"),
    ("jira.projects", "connection, project_id"),
    ("jira.remote_links", "connection, remote_link_id"),
    (
        "jira.sprint_report_answers",
        "connection, sprint_id, board_id",
    ),
    (
        "jira.sprint_reports",
        "connection, sprint_id, issue_id, board_id",
    ),
    ("jira.resolutions", "connection, resolution_id"),
    ("jira.sites", "connection"),
    ("jira.sprints", "connection, sprint_id"),
    ("jira.statuses", "connection, status_id"),
    ("jira.users", "connection, user_id"),
    ("jira.versions", "connection, version_id"),
    ("jira.worklogs", "connection, worklog_id"),
    (
        "marts.issue_assignee_periods",
        "connection, issue_id, from_at",
    ),
    (
        "marts.issue_points_periods",
        "connection, issue_id, from_at",
    ),
    ("marts.sprint_burndown", "connection, sprint_id, ordinal"),
    ("marts.sprint_burndown_daily", "connection, sprint_id, day"),
    ("marts.velocity", "connection, board_id, sprint_id"),
    (
        "marts.issue_parent_periods",
        "connection, issue_id, from_at",
    ),
    (
        "marts.issue_sprint_periods",
        "connection, issue_id, from_at",
    ),
    (
        "marts.issue_status_periods",
        "connection, issue_id, from_at",
    ),
    ("marts.sprint_metrics", "connection, sprint_id"),
    ("marts.sprint_scope", "connection, sprint_id, issue_id"),
    ("marts.sprints", "connection, sprint_id"),
];

/// Everything the product knows, for comparing two of them.
async fn contents(product: &Product) -> Vec<(&'static str, Vec<Value>)> {
    let server = Server::start(product);
    let mut contents = Vec::new();
    for (table, key) in TABLES {
        let query = format!("select * from {table} order by {key}");
        let answer = server.post("/api/v1/sql", &json!({"query": query})).await;
        assert_eq!(answer.status, 200, "{table}: {}", answer.body);
        contents.push((table, answer.json()["rows"].as_array().unwrap().clone()));
    }
    contents
}

/// Opens what a product has written, beside it.
trait Opened {
    async fn warehouse(&self) -> warehouse::Warehouse;
}

impl Opened for Product {
    async fn warehouse(&self) -> warehouse::Warehouse {
        let path = self.path().join("data").display().to_string();
        let config = warehouse::Config {
            store_url: format!("file:{path}/lake"),
            metadata_url: format!("sqlite:{path}/meta.db"),
            ..warehouse::Config::default()
        };
        warehouse::Warehouse::open(&config).await.unwrap()
    }
}

/// Fails with the first difference between two products.
async fn assert_same(left: &Product, right: &Product) {
    assert_holds(right, &contents(left).await).await;
}

/// Fails with the first difference between what a product holds and what it should.
async fn assert_holds(product: &Product, expected: &[(&'static str, Vec<Value>)]) {
    for ((table, expected), (_, found)) in expected.iter().zip(contents(product).await) {
        assert_eq!(found.len(), expected.len(), "rows of {table}");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found, expected, "a row of {table}");
        }
        assert!(
            !expected.is_empty(),
            "{table} holds nothing, so nothing was compared"
        );
    }
}
