//! The kinds of sources. A new one gets a folder here, an implementation of [`Connector`] and a line
//! in [`KINDS`].

mod filter;
mod git;
mod github;
mod gitlab;
pub(crate) mod jira;
mod time;

use futures::future::BoxFuture;
use warehouse::Warehouse;

use crate::inbox::Events;
use crate::{Connection, Discovery, Limits, Progress, Result, SyncOptions, SyncReport};

/// What can be read, by the name that the settings give it.
static KINDS: &[(&str, &dyn Connector)] = &[
    ("jira", &jira::Jira),
    ("github", &git::Git(&github::GitHub)),
    ("gitlab", &git::Git(&gitlab::GitLab)),
];

/// What a kind of source can do. Whatever it does, killed anywhere and begun again it comes to the
/// same tables: records are landed before any table sees them, and a cursor is committed with rows.
pub(crate) trait Connector: Sync {
    /// Says what the source is and what the account sees there. Writes nothing.
    fn discover<'a>(
        &'a self,
        connection: &'a Connection,
        limits: Limits,
    ) -> BoxFuture<'a, Result<Discovery>>;

    /// Reads what is new to the end.
    fn sync<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<SyncReport>>;

    /// Rebuilds the tables from the raw zone, without calling the source.
    fn replay<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<SyncReport>>;

    /// How it reacts to events, if it sends any.
    fn events(&self) -> Option<&dyn Events> {
        None
    }
}

/// One run over one connection.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) warehouse: &'a Warehouse,
    pub(crate) connection: &'a Connection,
    pub(crate) options: &'a SyncOptions,
    /// Run that it is a part of.
    pub(crate) run_id: &'a str,
    pub(crate) progress: &'a dyn Progress,
}

/// What reads a connection.
pub(crate) fn connector(connection: &Connection) -> Result<&'static dyn Connector> {
    let known = KINDS.iter().find(|(kind, _)| *kind == connection.kind);
    known.map(|(_, connector)| *connector).ok_or_else(|| {
        let names: Vec<_> = KINDS.iter().map(|(kind, _)| format!("'{kind}'")).collect();
        connection.refuse(format!(
            "kind '{}' is not known; this version reads {}",
            connection.kind,
            names.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::tests::connection as settings;

    #[test]
    fn an_unknown_kind_is_told_with_what_is_known() {
        let mut other = settings("https://x");
        assert!(connector(&other).is_ok());
        other.kind = "trac".into();
        let error = connector(&other).err().unwrap().to_string();
        assert!(
            error.contains(
                "kind 'trac' is not known; this version reads 'jira', 'github', 'gitlab'"
            ),
            "{error}"
        );
    }
}
