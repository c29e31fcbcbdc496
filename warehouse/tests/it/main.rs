//! Behaviour of the warehouse on a local lake.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test"
)]

mod backup;
mod changes;
mod maintenance;
mod meta;
mod query;
mod release;
mod tables;
mod upgrade;
mod year;

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

/// A listener that hears nothing.
struct Silent;

impl warehouse::maintenance::Progress for Silent {
    fn at(&self, _: &str, _: usize, _: usize) {}
    fn done(&self, _: &str) {}
}

/// Files below a folder.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Lets a release have been published at another instant.
fn publish_at(folder: &tempfile::TempDir, number: u64, at: chrono::DateTime<chrono::Utc>) {
    let path = folder
        .path()
        .join(format!("lake/releases/{number:012}.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut release: Value = serde_json::from_str(&text).unwrap();
    release["published_at"] = Value::from(at.to_rfc3339());
    std::fs::write(&path, release.to_string()).unwrap();
}

/// Answer of a query, at a release or an instant.
async fn answer(
    lake: &Warehouse,
    sql: &str,
    as_of: &str,
) -> Result<Vec<schemas::Row>, warehouse::Error> {
    use futures::TryStreamExt;
    let options = warehouse::QueryOptions {
        as_of: Some(as_of.to_string()),
        ..warehouse::QueryOptions::default()
    };
    let stream = lake.query().run(sql, &options).await?;
    let batches: Vec<_> = stream.try_collect().await?;
    let rows = batches
        .iter()
        .map(|batch| warehouse::batch_to_rows(batch).unwrap());
    Ok(rows.flatten().collect())
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
