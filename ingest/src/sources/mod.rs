//! The kinds of sources. A new one gets a folder here and an arm in [`Kind::of`].

pub(crate) mod jira;

use crate::{Connection, Result};

/// A kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A Jira site.
    Jira,
}

impl Kind {
    pub(crate) fn of(connection: &Connection) -> Result<Self> {
        match connection.kind.as_str() {
            "jira" => Ok(Kind::Jira),
            other => Err(connection.refuse(format!(
                "kind '{other}' is not known; this version reads 'jira'"
            ))),
        }
    }
}
