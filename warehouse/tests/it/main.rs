//! Behaviour of the warehouse on a local lake.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test"
)]

mod changes;
mod meta;
mod query;
mod release;
mod tables;
mod upgrade;

use serde_json::Value;
use warehouse::{Commit, Config, Warehouse};

/// A warehouse in a folder of its own.
async fn open(folder: &tempfile::TempDir) -> Warehouse {
    let path = folder.path().display();
    let config = Config {
        store_url: format!("file:{path}/lake"),
        metadata_url: format!("sqlite:{path}/meta.db"),
        ..Config::default()
    };
    Warehouse::open(&config).await.unwrap()
}

fn row(value: Value) -> schemas::Row {
    value.as_object().unwrap().clone()
}

fn commit(marks: &[(&str, i64)]) -> Commit {
    Commit {
        run_id: "run".to_string(),
        marks: marks
            .iter()
            .map(|(name, value)| (name.to_string(), *value))
            .collect(),
    }
}
