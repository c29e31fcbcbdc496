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
mod logs;
mod releases;
mod s3;
mod truth;
mod twice;

use tests::Product;

/// The tables that a sync and a refresh fill, each with its key.
const TABLES: [(&str, &str); 30] = [
    (
        "jira.board_columns",
        "connection, board_id, ordinal, status_key",
    ),
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
