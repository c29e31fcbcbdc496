//! What can go wrong in the warehouse, who has to act, and whether trying again helps.

use std::error::Error as StdError;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use deltalake::DeltaTableError;
use schemas::{Blame, Retry, TableName};

/// Result of a warehouse operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the warehouse.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store's address can't be used.
    #[error("store url '{url}': {reason}")]
    StoreUrl {
        /// The address as configured.
        url: String,
        /// What is wrong and what to write instead.
        reason: String,
    },
    /// The address of Redis can't be used.
    #[error("cache.redis: {reason}")]
    RedisUrl {
        /// What to write instead.
        reason: String,
    },
    /// The metadata database's address can't be used.
    #[error("metadata url '{url}': {reason}")]
    MetadataUrl {
        /// The address as configured.
        url: String,
        /// What is wrong and what to write instead.
        reason: String,
    },
    /// No space left on the device.
    #[error(
        "the disk is full while {action}; free some space and run the command again, nothing half-written is visible"
    )]
    DiskFull {
        /// What was being done.
        action: String,
    },
    /// Reading or writing the object store failed.
    #[error("{action} failed in the store: {source}")]
    Store {
        /// What was being done.
        action: String,
        /// What the store said.
        source: object_store::Error,
    },
    /// Reading or writing a Delta table failed.
    #[error("{action} table {table} failed: {source}")]
    Table {
        /// Table concerned.
        table: TableName,
        /// What was being done.
        action: &'static str,
        /// What the table engine said.
        source: Box<DeltaTableError>,
    },
    /// Rows do not fit the contract of their table.
    #[error("rows do not fit table {table}: {reason}")]
    Rows {
        /// Table concerned.
        table: TableName,
        /// What does not fit.
        reason: String,
    },
    /// A raw file can't be written or read.
    #[error("raw file {file}: {source}")]
    Raw {
        /// Path within the store.
        file: String,
        /// What the codec said.
        source: Box<apache_avro::Error>,
    },
    /// The metadata database failed.
    #[error("{action} failed in the metadata database: {source}")]
    Meta {
        /// What was being done.
        action: &'static str,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The metadata database can't be reached, or went away.
    #[error(
        "{action} failed, for the metadata database does not answer: {source}; it is safe to try again when it does"
    )]
    MetaGone {
        /// What was being done.
        action: &'static str,
        /// What the driver said.
        source: sqlx::Error,
    },
    /// The metadata database can't be reached at the start.
    #[error("the metadata database {place} can't be reached: {source}; try again when it is there")]
    MetaAway {
        /// Where it should be, without its password.
        place: String,
        /// What the driver said.
        source: sqlx::Error,
    },
    /// A newer version has brought the metadata database forward.
    #[error(
        "the metadata database is of a newer version (its schema is {found}, this version knows {known}); run that version, or restore a backup from before"
    )]
    NewerMetadata {
        /// Number of its newest migration.
        found: i64,
        /// Number of the newest migration of this version.
        known: i64,
    },
    /// Somebody else holds what is needed alone.
    #[error(
        "{name} is in use by '{purpose}' (process {process}, since {since}); run the command again when it has ended"
    )]
    Held {
        /// What is held.
        name: String,
        /// What for.
        purpose: String,
        /// Host and number of the process that holds it.
        process: String,
        /// Since when.
        since: String,
    },
    /// What was held alone is no longer.
    #[error(
        "this process lost its hold on {0}, for it could not renew it in time; run the command again, it continues where it stopped"
    )]
    LeaseLost(String),
    /// The metadata database has a schema that this version doesn't know.
    #[error(
        "the metadata database can't be brought to this version's schema: {0}; use the version that last wrote it, or restore a backup"
    )]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A secret is to be stored or read, and there is no key.
    #[error(
        "{what} is stored only encrypted, and there is no key; set SPRINT_REPORTS_KEY to 64 hexadecimal digits, or let metadata.key_file name a file that holds them"
    )]
    NoKey {
        /// The secret.
        what: String,
    },
    /// A stored secret was encrypted with another key, or was changed since.
    #[error(
        "{what} was stored with key {written_with} and can't be read with key {given}; set SPRINT_REPORTS_KEY or metadata.key_file to the former, or write a new secret into the settings"
    )]
    WrongKey {
        /// The secret.
        what: String,
        /// Id of the key it was stored with.
        written_with: String,
        /// Id of the key at hand.
        given: String,
    },
    /// Encrypting failed.
    #[error("a secret can't be encrypted: {0}")]
    Cipher(String),
    /// Nothing was published yet.
    #[error(
        "there is no release yet; run `sprint-reports refresh` (and `sync` before it) to publish the first"
    )]
    NoRelease,
    /// The release asked for does not exist.
    #[error("there is no release '{0}'; `sprint-reports release list` shows them")]
    UnknownRelease(String),
    /// The release asked for was removed by retention.
    #[error(
        "release '{name}' was removed by retention (settings [maintain]); kept are {kept}; `sprint-reports release list` shows them"
    )]
    ReleaseRemoved {
        /// As it was asked for.
        name: String,
        /// What is kept.
        kept: String,
    },
    /// A backup can't be written or read.
    #[error("backup {place}: {reason}")]
    Backup {
        /// Where it is.
        place: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A release file can't be read.
    #[error("release file {file} can't be read: {reason}")]
    ReleaseFile {
        /// Path within the store.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Somebody else published at the same moment.
    #[error("another process published release {0} at the same moment; run `refresh` again")]
    ReleaseTaken(String),
    /// The query is wrong.
    #[error("{message}")]
    Query {
        /// The SQL standard's class of it.
        sqlstate: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The statement is not one that reads.
    #[error("only SELECT, EXPLAIN, SHOW and DESCRIBE are allowed here: {0}")]
    NotReadOnly(String),
    /// The query took too long.
    #[error("the query was stopped after {0} seconds; narrow it, or raise the deadline")]
    Deadline(u64),
    /// The query returned too much.
    #[error("the query returns more than {0} rows; add a LIMIT or a filter")]
    TooManyRows(u64),
    /// The query text is too long, or a function in it would make too much.
    #[error("the query is too large: {0}")]
    TooLarge(String),
    /// The query is too deeply nested or joins too much.
    #[error("the query is too complex: {0}; write it in parts (WITH)")]
    TooComplex(String),
    /// The query needs more memory than it may have.
    #[error("the query needs more memory than it may use: {0}")]
    Memory(String),
    /// The engine failed.
    #[error("the query engine failed: {0}")]
    Engine(String),
    /// A fault that a test asked for.
    #[error("fault injected at {0}")]
    Injected(String),
}

impl Error {
    /// Who has to act.
    pub fn blame(&self) -> Blame {
        match self {
            Error::StoreUrl { .. }
            | Error::MetadataUrl { .. }
            | Error::RedisUrl { .. }
            | Error::NewerMetadata { .. }
            | Error::NoKey { .. }
            | Error::WrongKey { .. }
            | Error::NoRelease
            | Error::UnknownRelease(_)
            | Error::ReleaseRemoved { .. }
            | Error::Backup { .. }
            | Error::Query { .. }
            | Error::NotReadOnly(_)
            | Error::Deadline(_)
            | Error::TooManyRows(_)
            | Error::TooLarge(_)
            | Error::TooComplex(_)
            | Error::Held { .. }
            | Error::Memory(_) => Blame::User,
            _ => Blame::Us,
        }
    }

    /// Whether the same attempt may succeed later.
    pub fn retry(&self) -> Retry {
        match self {
            Error::Store { .. }
            | Error::Table { .. }
            | Error::Meta { .. }
            | Error::MetaGone { .. }
            | Error::MetaAway { .. }
            | Error::ReleaseTaken(_)
            | Error::Held { .. }
            | Error::LeaseLost(_)
            | Error::DiskFull { .. } => Retry::Later,
            _ => Retry::Never,
        }
    }

    pub(crate) fn store(action: impl Into<String>, source: object_store::Error) -> Self {
        let action = action.into();
        if is_disk_full(&source) {
            return Error::DiskFull { action };
        }
        Error::Store { action, source }
    }

    pub(crate) fn table(
        table: &TableName,
        action: &'static str,
        source: impl Into<DeltaTableError>,
    ) -> Self {
        let source = source.into();
        if is_disk_full(&source) {
            return Error::DiskFull {
                action: format!("{action} table {table}"),
            };
        }
        Error::Table {
            table: table.clone(),
            action,
            source: Box::new(source),
        }
    }

    pub(crate) fn meta(action: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| {
            // SQLite reports a full disk in its own words.
            if is_disk_full(&source) || source.to_string().contains("database or disk is full") {
                return Error::DiskFull {
                    action: action.to_string(),
                };
            }
            match crate::meta::db::is_gone(&source) {
                true => Error::MetaGone { action, source },
                false => Error::Meta { action, source },
            }
        }
    }

    pub(crate) fn query(message: impl Into<String>) -> Self {
        Error::Query {
            sqlstate: "42000",
            message: message.into(),
        }
    }

    /// Class of the error as the SQL standard and PostgreSQL number them.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Error::Query { sqlstate, .. } => sqlstate,
            Error::NotReadOnly(_) => "25006",
            Error::Deadline(_) => "57014",
            Error::TooManyRows(_) | Error::TooLarge(_) => "54000",
            Error::TooComplex(_) => "54001",
            Error::Memory(_) => "53200",
            Error::DiskFull { .. } => "53100",
            Error::NoRelease => "55000",
            Error::UnknownRelease(_) | Error::ReleaseRemoved { .. } => "22023",
            Error::Store { .. }
            | Error::Meta { .. }
            | Error::MetaGone { .. }
            | Error::MetaAway { .. } => "58030",
            _ => "XX000",
        }
    }

    /// Sorts what the engine says into what the user can act on.
    pub(crate) fn engine(error: DataFusionError) -> Self {
        let error = match own(error) {
            Ok(own) => return own,
            Err(error) => error,
        };
        let query = |sqlstate, message: String| Error::Query { sqlstate, message };
        match error.find_root() {
            DataFusionError::SQL(parser, _) => query("42601", format!("syntax error: {parser}")),
            DataFusionError::Plan(message) => query(planning(message), message.clone()),
            DataFusionError::SchemaError(schema, _) => query("42703", schema.to_string()),
            DataFusionError::ResourcesExhausted(message) => Error::Memory(message.clone()),
            DataFusionError::NotImplemented(message) => {
                query("0A000", format!("not supported: {message}"))
            }
            DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
                ArrowError::DivideByZero => query("22012", "division by zero".to_string()),
                ArrowError::ArithmeticOverflow(message) => query("22003", message.clone()),
                ArrowError::CastError(message) | ArrowError::ParseError(message) => {
                    query("22P02", message.clone())
                }
                other => query("22000", other.to_string()),
            },
            DataFusionError::Execution(message) => query("22000", message.clone()),
            root if is_disk_full(root) => Error::DiskFull {
                action: "running a query".to_string(),
            },
            root => Error::Engine(root.strip_backtrace()),
        }
    }
}

/// An error of ours that went through the engine.
fn own(error: DataFusionError) -> Result<Error, DataFusionError> {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(own) => Ok(*own),
            Err(inner) => match inner.downcast::<DataFusionError>() {
                Ok(error) => own(*error),
                Err(inner) => Err(DataFusionError::External(inner)),
            },
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => own(*inner),
        DataFusionError::ArrowError(arrow, backtrace) => match *arrow {
            ArrowError::ExternalError(inner) => match inner.downcast::<DataFusionError>() {
                Ok(error) => own(*error),
                Err(inner) => Err(DataFusionError::ArrowError(
                    Box::new(ArrowError::ExternalError(inner)),
                    backtrace,
                )),
            },
            other => Err(DataFusionError::ArrowError(Box::new(other), backtrace)),
        },
        other => Err(other),
    }
}

/// Class of a planning error, by the words of the planner.
fn planning(message: &str) -> &'static str {
    let lower = message.to_lowercase();
    let missing = lower.contains("not found");
    if lower.contains("invalid function")
        || lower.contains("no function matches")
        || lower.contains("table function") && missing
    {
        "42883"
    } else if lower.contains("table") && missing || lower.contains("failed to resolve") {
        "42P01"
    } else if lower.contains("schema") && lower.contains("not found") {
        "3F000"
    } else if lower.contains("must be in the group by") || lower.contains("group by") {
        "42803"
    } else {
        "42000"
    }
}

/// Whether somewhere down the chain the operating system said that no space is left.
fn is_disk_full(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(io) = current.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::StorageFull
        {
            return true;
        }
        next = current.source();
    }
    // Some layers keep only the text of their cause.
    error.to_string().contains("No space left on device")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_recognised_through_layers() {
        let io = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let store = object_store::Error::Generic {
            store: "local",
            source: Box::new(io),
        };
        assert!(matches!(
            Error::store("writing x", store),
            Error::DiskFull { .. }
        ));
        let other = object_store::Error::NotImplemented {
            operation: "x".into(),
            implementer: "y".into(),
        };
        assert!(matches!(
            Error::store("writing x", other),
            Error::Store { .. }
        ));
    }
}
