//! What can go wrong with pipelines, and who has to act.

use schemas::{Blame, Retry};

/// Result of an operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the pipelines.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A definition can't be used.
    #[error("{file}:{line}: {reason}")]
    Definition {
        /// Its file.
        file: String,
        /// Line in it, from 1.
        line: usize,
        /// What is wrong and what to write instead.
        reason: String,
    },
    /// The folder of definitions can't be read.
    #[error("the folder of pipeline definitions {folder}: {reason}")]
    Folder {
        /// The folder.
        folder: String,
        /// What the system said.
        reason: String,
    },
    /// Nobody defined it.
    #[error("there is no pipeline '{name}'; there are {}", .known.join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The settings of an alert channel can't be used.
    #[error("alerts '{channel}': {reason}")]
    Channel {
        /// The channel.
        channel: String,
        /// What is wrong and what to write instead.
        reason: String,
    },
    /// Another run of the pipeline works.
    #[error(
        "a run of '{pipeline}' is under way since {since} (run {run_id}); wait for it, or stop the process that works on it"
    )]
    UnderWay {
        /// The pipeline.
        pipeline: String,
        /// The run that works.
        run_id: String,
        /// Since when, RFC 3339.
        since: String,
    },
    /// The warehouse failed.
    #[error(transparent)]
    Warehouse(#[from] warehouse::Error),
}

impl Error {
    /// Who has to act.
    pub fn blame(&self) -> Blame {
        match self {
            Error::Warehouse(error) => error.blame(),
            _ => Blame::User,
        }
    }

    /// Whether the same attempt may succeed later.
    pub fn retry(&self) -> Retry {
        match self {
            Error::UnderWay { .. } => Retry::Later,
            Error::Warehouse(error) => error.retry(),
            _ => Retry::Never,
        }
    }
}
