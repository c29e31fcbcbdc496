//! Recorded pages of a real Jira site go through the whole job; what comes out is compared, value by
//! value, with what another tool made of the same pages. Where both differ, the difference is
//! listed with its reason, so that nothing else may differ.
//!
//! Skipped with a message unless `SPRINT_REPORTS_TEST_DATA` names the folder of the recordings; each
//! rule that they show is also shown by a synthetic case.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test"
)]

mod flow;
mod flow_cases;
mod periods;
mod records;
mod sprints;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use simulator::{Settings, Simulator};
use tests::{Product, test_data};

/// The recorded site read and published, once for all tests; `None` without recordings.
async fn recorded() -> Option<&'static Product> {
    static RECORDED: tokio::sync::OnceCell<Option<Product>> = tokio::sync::OnceCell::const_new();
    let product = RECORDED.get_or_init(|| async {
        let raw = test_data()?.join("devlake/raw");
        let site = Simulator::replay(&raw, Settings::default()).await.unwrap();
        let product = Product::reading(&site);
        product.run(&["sync"]).ok();
        product.run(&["refresh"]).ok();
        Some(product)
    });
    let product = product.await.as_ref();
    if product.is_none() {
        println!("skipped: SPRINT_REPORTS_TEST_DATA names no folder with recorded payloads");
    }
    product
}

/// A table of the other tool: some columns of a CSV file, as text.
fn theirs(file: &str, columns: &[&str]) -> BTreeSet<Vec<String>> {
    let path = test_data().unwrap().join("devlake").join(Path::new(file));
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let places: Vec<_> = columns
        .iter()
        .map(|column| header.iter().position(|name| name == *column).unwrap())
        .collect();
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        places.iter().map(|place| row[*place].to_string()).collect()
    });
    rows.collect()
}

/// Our rows as text, in the other tool's way of writing: nothing for null, 0 and 1 for no and yes.
fn ours(product: &Product, sql: &str, columns: &[&str]) -> BTreeSet<Vec<String>> {
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::Bool(value) => u8::from(*value).to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let rows = product.sql(sql).into_iter();
    rows.map(|row| columns.iter().map(|column| text(&row[*column])).collect())
        .collect()
}

/// An instant of either tool, to the millisecond.
fn instant(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let instant = text.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    instant.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// Rewrites some columns of all rows.
fn mapped(
    rows: BTreeSet<Vec<String>>,
    columns: &[usize],
    change: impl Fn(&str) -> String,
) -> BTreeSet<Vec<String>> {
    let rows = rows.into_iter().map(|mut row| {
        for column in columns {
            row[*column] = change(&row[*column]);
        }
        row
    });
    rows.collect()
}

/// Fails unless both sides differ in exactly the rows given.
#[track_caller]
fn differ_in(
    ours: &BTreeSet<Vec<String>>,
    theirs: &BTreeSet<Vec<String>>,
    only_ours: &[&[&str]],
    only_theirs: &[&[&str]],
) {
    let listed = |rows: &[&[&str]]| {
        let rows = rows.iter();
        rows.map(|row| row.iter().map(ToString::to_string).collect::<Vec<_>>())
            .collect::<BTreeSet<_>>()
    };
    let found: BTreeSet<_> = ours.difference(theirs).cloned().collect();
    assert_eq!(found, listed(only_ours), "only ours");
    let found: BTreeSet<_> = theirs.difference(ours).cloned().collect();
    assert_eq!(found, listed(only_theirs), "only theirs");
}
