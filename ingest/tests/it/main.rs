//! Behaviour of ingest against a scripted site and against the simulator.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test"
)]

mod absences;
mod companions;
mod connectors;
mod data_center;
mod engine;
mod failures;
mod forges;
mod histories;
mod limits;
mod manifest;
mod matrix;
mod quarantine;
mod recorded;
mod relatives;
mod sign_in;
mod simulated;
mod site;
mod sprint_reports;
mod webhooks;

use std::time::Duration;

use ingest::{Auth, Connection, Limits, Result, Secret, Silent, SyncOptions, SyncReport};
use proptest::test_runner::{Config as Cases, RngAlgorithm, TestRng, TestRunner};
use schemas::{Contract, Row, TableName, contracts};
use tokio::sync::{RwLock, RwLockReadGuard};
use warehouse::{Config, SecretKey, Warehouse};

/// Whether every border and many random histories are tried (`make soak`), or a part of them.
fn is_thorough() -> bool {
    std::env::var_os("SPRINT_REPORTS_THOROUGH").is_some()
}

/// Draws random histories. The same ones each time by default, so that a run of the tests says the same again;
/// with PROPTEST_CASES (`make soak`) so many new ones.
fn histories_to_try(usual: u32, shrink: u32) -> TestRunner {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    let wanted = wanted.and_then(|cases| cases.parse().ok());
    let config = Cases {
        cases: wanted.unwrap_or(usual),
        failure_persistence: None,
        max_shrink_iters: shrink,
        ..Cases::default()
    };
    match wanted {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    }
}

/// Faults are armed for the whole process: tests that arm one run alone.
static FAULTS: RwLock<()> = RwLock::const_new(());

/// A warehouse in a folder of its own.
struct Lake {
    warehouse: Warehouse,
    folder: tempfile::TempDir,
    config: Config,
    _no_faults: Option<RwLockReadGuard<'static, ()>>,
}

impl Lake {
    async fn open() -> Self {
        let guard = FAULTS.read().await;
        Self {
            _no_faults: Some(guard),
            ..Self::unguarded().await
        }
    }

    async fn unguarded() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let config = Config {
            store_url: format!("file:{path}/lake"),
            metadata_url: format!("sqlite:{path}/meta.db"),
            key: SecretKey::parse(&"5e".repeat(32)),
            ..Config::default()
        };
        let warehouse = Warehouse::open(&config).await.unwrap();
        Self {
            warehouse,
            folder,
            config,
            _no_faults: None,
        }
    }

    /// All rows of all tables but the histories, in a fixed order: a history says when we looked, so
    /// two lakes differ in it.
    async fn rows(&self) -> Vec<(String, Vec<String>)> {
        let present = |contract: &&Contract| !contract.is_history();
        self.rows_of(contracts().iter().filter(present)).await
    }

    /// All rows of all tables, in a fixed order.
    async fn everything(&self) -> Vec<(String, Vec<String>)> {
        self.rows_of(contracts().iter()).await
    }

    async fn rows_of(
        &self,
        contracts: impl Iterator<Item = &'static Contract>,
    ) -> Vec<(String, Vec<String>)> {
        let mut all = Vec::new();
        for contract in contracts {
            let rows = self
                .warehouse
                .tables()
                .rows(contract.table(), None)
                .await
                .unwrap();
            let mut rows: Vec<_> = rows
                .into_iter()
                .map(|row| serde_json::Value::Object(row).to_string())
                .collect();
            rows.sort();
            all.push((contract.table().to_string(), rows));
        }
        all
    }

    /// Rows that live, without the part of an issue that keeps the time it was fetched at.
    async fn live_rows(&self) -> Vec<(String, Vec<String>)> {
        let mut all = Vec::new();
        for contract in contracts().iter().filter(|one| !one.is_history()) {
            let mut rows = self
                .warehouse
                .tables()
                .rows(contract.table(), Some("deleted_at is null"))
                .await
                .unwrap();
            for row in &mut rows {
                row.remove("fields_json");
            }
            let mut rows: Vec<_> = rows
                .into_iter()
                .map(|row| serde_json::Value::Object(row).to_string())
                .collect();
            rows.sort();
            all.push((contract.table().to_string(), rows));
        }
        all
    }

    /// Versions of all tables.
    async fn versions(&self) -> Vec<(String, Option<u64>)> {
        let mut all = Vec::new();
        for contract in contracts() {
            let version = self
                .warehouse
                .tables()
                .version(contract.table())
                .await
                .unwrap();
            all.push((contract.table().to_string(), version));
        }
        all
    }

    async fn table(&self, name: &str) -> Vec<Row> {
        self.warehouse
            .tables()
            .rows(&TableName::new("jira", name), None)
            .await
            .unwrap()
    }

    async fn raw_files(&self) -> usize {
        let mut files = 0;
        for stream in [
            "projects",
            "statuses",
            "boards",
            "fields",
            "sprints",
            "users",
            "issues",
            "changelogs",
        ] {
            files += self
                .warehouse
                .raw()
                .files("acme", stream)
                .await
                .unwrap()
                .len();
        }
        files
    }

    async fn sync(&self, connection: &Connection) -> Result<SyncReport> {
        ingest::sync(&self.warehouse, connection, &options(), &Silent).await
    }

    async fn sync_with(&self, connection: &Connection, options: SyncOptions) -> Result<SyncReport> {
        ingest::sync(&self.warehouse, connection, &options, &Silent).await
    }
}

fn connection(url: &str) -> Connection {
    Connection {
        name: "acme".into(),
        url: url.into(),
        auth: Auth::Basic,
        email: "reporter@example.org".into(),
        token: Secret::new("simulator-token"),
        ..Connection::default()
    }
}

/// Small batches, so that small sites need several; short pauses.
fn options() -> SyncOptions {
    SyncOptions {
        batch_issues: 4,
        limits: Limits {
            pause: Duration::from_millis(5),
            ..Limits::default()
        },
        ..SyncOptions::default()
    }
}
