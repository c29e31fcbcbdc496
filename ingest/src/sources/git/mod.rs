//! What the forges of git repositories have in common: which records are read, in which order, and how
//! they become rows. A forge adds its [`Dialect`]: addresses of requests and names of parts.
//!
//! [`api`] speaks to the forge, [`run`] puts the readers in order, [`write`] turns landed records into
//! rows (so that a replay gives the same ones).

mod api;
mod commits;
mod dialect;
mod discover;
mod marks;
mod newest;
mod record;
mod references;
mod replay;
mod run;
mod selection;
mod steps;
mod write;

pub(crate) use dialect::{Address, Ask, Dialect, PageShape, Part, Whole};
pub(crate) use record::{Mapped, Refusal, at, id, put_message, sha, text};

use futures::future::BoxFuture;
use schemas::TableName;

use super::{Connector, Job, filter, time};
use crate::{Connection, Discovery, Limits, Result, SyncReport};

pub(crate) const REPOSITORIES: &str = "repositories";
pub(crate) const PULL_REQUESTS: &str = "pull_requests";
pub(crate) const PULL_REQUEST_COMMITS: &str = "pull_request_commits";
pub(crate) const COMMITS: &str = "commits";
pub(crate) const DEPLOYMENTS: &str = "deployments";
pub(crate) const ISSUE_REFERENCES: &str = "issue_references";

/// Most repositories of a connection that names none.
const MOST_REPOSITORIES: usize = 1000;

/// Reads repositories of a forge.
pub(crate) struct Git(pub(crate) &'static dyn Dialect);

impl Connector for Git {
    fn discover<'a>(
        &'a self,
        connection: &'a Connection,
        limits: Limits,
    ) -> BoxFuture<'a, Result<Discovery>> {
        Box::pin(discover::discover(self.0, connection, limits))
    }

    fn sync<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<SyncReport>> {
        Box::pin(run::sync(self.0, job))
    }

    fn replay<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<SyncReport>> {
        Box::pin(replay::replay(self.0, job))
    }
}

/// A table of the schema that all forges fill.
fn table(name: &str) -> TableName {
    TableName::new("git", name)
}
