//! Promises to users, kept by the real binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test"
)]

mod demo;
mod errors;
mod escapes;
mod faults;
mod http;
mod real_input;
mod releases;
mod s3;
mod truth;
mod twice;

use chrono::{DateTime, TimeZone, Utc};
use simulator::{Settings, Simulator, WorldSettings};
use tests::Product;

/// The instant at which the simulated histories of these tests end.
fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 4, 10, 0, 0).unwrap()
}

/// A simulated site with a small world.
async fn small_site() -> Simulator {
    let world = WorldSettings::small(11, now());
    Simulator::start(Settings {
        world,
        ..Settings::default()
    })
    .await
    .unwrap()
}

/// A product connected to a simulated site.
fn connected(site: &Simulator) -> Product {
    let account = Settings::default().account;
    Product::connected(site.url(), &account.email, &account.token)
}

/// A product that has synced and published once, shared by tests that only read.
async fn filled() -> &'static Product {
    static FILLED: tokio::sync::OnceCell<Product> = tokio::sync::OnceCell::const_new();
    FILLED
        .get_or_init(|| async {
            let site = small_site().await;
            let product = connected(&site);
            product.run(&["sync"]).ok();
            product.run(&["refresh"]).ok();
            product
        })
        .await
}

/// The tables that a sync and a refresh fill, each with its key.
const TABLES: [(&str, &str); 21] = [
    (
        "jira.board_columns",
        "connection, board_id, ordinal, status_key",
    ),
    ("jira.board_sprints", "connection, board_id, sprint_id"),
    ("jira.boards", "connection, board_id"),
    ("jira.changelog_items", "connection, history_id, ordinal"),
    ("jira.fields", "connection, field_id"),
    ("jira.issues", "connection, issue_id"),
    ("jira.projects", "connection, project_id"),
    ("jira.sites", "connection"),
    ("jira.sprints", "connection, sprint_id"),
    ("jira.statuses", "connection, status_id"),
    ("jira.users", "connection, user_id"),
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
fn contents(product: &Product) -> Vec<(String, Vec<serde_json::Value>)> {
    TABLES
        .iter()
        .map(|(table, key)| {
            let rows = product.sql(&format!("select * from {table} order by {key}"));
            (table.to_string(), rows)
        })
        .collect()
}

/// Fails with the first difference between two products.
#[track_caller]
fn assert_same(left: &Product, right: &Product) {
    for ((table, left), (_, right)) in contents(left).into_iter().zip(contents(right)) {
        assert_eq!(left.len(), right.len(), "rows of {table}");
        for (left, right) in left.iter().zip(&right) {
            assert_eq!(left, right, "a row of {table}");
        }
        assert!(
            !left.is_empty(),
            "{table} holds nothing, so nothing was compared"
        );
    }
}
