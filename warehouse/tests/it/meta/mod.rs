//! The metadata database: one suite, over SQLite and over PostgreSQL.

mod away;
mod inbox;
mod leases;
mod opening;
mod queue;
mod records;
mod replicas;
mod schema;
mod secrets;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Connection, Executor};
use warehouse::{Config, Error, MetaDb, SecretKey, Warehouse};

/// Runs each test over both databases.
macro_rules! over_both {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                Box::pin(super::$test(crate::meta::Backend::sqlite())).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                Box::pin(super::$test(crate::meta::Backend::postgres())).await;
            })+
        }
    };
}
pub(crate) use over_both;

/// An empty metadata database.
#[derive(Debug)]
pub(crate) struct Backend {
    folder: tempfile::TempDir,
    url: String,
}

impl Backend {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/meta.db", folder.path().display());
        Self { folder, url }
    }

    pub(crate) fn postgres() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = tests::database();
        Self { folder, url }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres:")
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            store_url: format!("file:{}/lake", self.folder.path().display()),
            metadata_url: self.url.clone(),
            ..Config::default()
        }
    }

    pub(crate) async fn warehouse(&self) -> Warehouse {
        Warehouse::open(&self.config()).await.unwrap()
    }

    /// A handle with connections of its own, as another process has one.
    pub(crate) async fn open(&self) -> MetaDb {
        self.warehouse().await.meta().clone()
    }

    pub(crate) async fn open_with(&self, key: Option<&SecretKey>) -> MetaDb {
        let config = Config {
            key: key.cloned(),
            ..self.config()
        };
        Warehouse::open(&config).await.unwrap().meta().clone()
    }

    pub(crate) async fn refused(&self) -> Error {
        Warehouse::open(&self.config()).await.unwrap_err()
    }

    /// Rows of a statement that goes past the product.
    pub(crate) async fn raw(&self, statement: &str) -> Vec<AnyRow> {
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&self.url).await.unwrap();
        let statement = AssertSqlSafe(statement.to_string());
        connection.fetch_all(statement).await.unwrap()
    }
}
