//! What can go wrong with models, and who has to act.

use schemas::{Blame, Retry, TableName};

/// Result of a transform operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the model engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A model or check file is wrong.
    #[error("{file}: {reason}")]
    Project {
        /// File under `sql/`.
        file: String,
        /// What is wrong, with the line where it is known.
        reason: String,
    },
    /// Models read each other in a circle.
    #[error("models read each other in a circle: {0}")]
    Cycle(String),
    /// A selector names no model.
    #[error("there is no model '{0}'; write a model's name, name+ or +name")]
    UnknownModel(String),
    /// A model can't be run.
    #[error("model {model} ({file}): {reason}")]
    Model {
        /// Name of the model.
        model: String,
        /// Its file under `sql/`.
        file: String,
        /// What the engine said.
        reason: String,
    },
    /// Data tests failed; the old release stays.
    #[error("{} failed, so the current release stays: {}", count(.0), told(.0))]
    Checks(Vec<FailedCheck>),
    /// The warehouse failed.
    #[error(transparent)]
    Warehouse(#[from] warehouse::Error),
}

impl Error {
    /// Who has to act.
    pub fn blame(&self) -> Blame {
        match self {
            Error::UnknownModel(_) => Blame::User,
            Error::Warehouse(error) => error.blame(),
            _ => Blame::Us,
        }
    }

    /// Whether the same attempt may succeed later.
    pub fn retry(&self) -> Retry {
        match self {
            Error::Warehouse(error) => error.retry(),
            _ => Retry::Never,
        }
    }
}

/// A data test that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCheck {
    /// Name of the test.
    pub name: String,
    /// Table that it is about, if it is one.
    pub table: Option<TableName>,
    /// Rows that fail it.
    pub rows: u64,
    /// Which, in words.
    pub text: String,
}

fn told(failures: &[FailedCheck]) -> String {
    let texts: Vec<&str> = failures
        .iter()
        .map(|failure| failure.text.as_str())
        .collect();
    texts.join("; ")
}

fn count(failures: &[FailedCheck]) -> String {
    match failures.len() {
        1 => "a data test".to_string(),
        n => format!("{n} data tests"),
    }
}
