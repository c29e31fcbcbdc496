use std::fmt;

/// Who has to act on an error. Every error type of the workspace answers this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// The person who typed the command, the settings or the query.
    User,
    /// The system that data is read from.
    Source,
    /// This program, its disk or its databases.
    Us,
}

/// Whether doing the same again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Retry {
    /// Not before something was changed.
    Never,
    /// The same attempt may succeed later.
    Later,
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Blame::User => "user",
            Blame::Source => "source",
            Blame::Us => "us",
        })
    }
}
