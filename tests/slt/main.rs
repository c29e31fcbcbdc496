//! The `.slt` files of this folder, each run twice: by the query service in this process, and over
//! the PostgreSQL protocol against the real server. Both read the lake of `site.json`, a history
//! small enough to compute every figure by hand.
//!
//! `onlyif wire` and `onlyif in-process` mark what exists on one side only. A text with spaces is one
//! column, so rows are compared with single blanks between columns; null is `NULL`, no text `(empty)`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

mod in_process;
mod wire;

use std::path::{Path, PathBuf};

use schemas::TableName;
use serde_json::{Map, Value};
use sqllogictest::{AsyncDB, Runner, strict_column_validator};
use tests::{Product, Server};
use warehouse::{Commit, Config, Warehouse};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("slt")
}

/// The files, in the order of their names.
fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "slt"))
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    files
}

/// The lake of a product, opened in this process.
async fn lake(product: &Product) -> Warehouse {
    let path = product.path().display().to_string();
    std::fs::create_dir_all(product.path().join("data")).unwrap();
    let config = Config {
        store_url: format!("file:{path}/data/lake"),
        metadata_url: format!("sqlite:{path}/data/meta.db"),
        ..Config::default()
    };
    Warehouse::open(&config).await.unwrap()
}

/// A product whose release shows `site.json`.
async fn product() -> Product {
    let product = Product::new();
    let lake = lake(&product).await;
    let text = std::fs::read_to_string(folder().join("site.json")).unwrap();
    let tables: Map<String, Value> = serde_json::from_str(&text).unwrap();
    for (table, rows) in tables {
        let rows = rows.as_array().unwrap().iter().map(|row| {
            let mut row = row.as_object().unwrap().clone();
            row.insert("connection".into(), "acme".into());
            if table == "changelog_items" {
                row.insert("ordinal".into(), 0.into());
            }
            row
        });
        let name = TableName::new("jira", &table);
        lake.tables()
            .upsert(&name, rows.collect(), &Commit::default())
            .await
            .unwrap();
    }
    drop(lake);
    product.run(&["refresh"]).ok();
    product
}

/// Runs all files; fails with what was wrong in each.
async fn run_all<D: AsyncDB>(connect: impl AsyncFn() -> D) {
    let mut wrong = Vec::new();
    for file in files() {
        let connection = connect().await;
        // One connection a file: what it sets ends with it.
        let connection = tokio::sync::Mutex::new(Some(connection));
        let mut runner = Runner::new(|| async { Ok(connection.lock().await.take().unwrap()) });
        runner.with_column_validator(strict_column_validator);
        if let Err(error) = runner.run_file_async(&file).await {
            wrong.push(error.display(false).to_string());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_process_and_over_the_wire() {
    let product = product().await;
    let lake = lake(&product).await;
    run_all(async || in_process::InProcess::new(lake.clone())).await;
    let server = Server::start(&product);
    run_all(async || wire::Wire::new(server.postgres().await)).await;
}
