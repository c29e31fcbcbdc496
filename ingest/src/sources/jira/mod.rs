//! Jira, Cloud and Data Center: what is read, in which order, and how records become rows.
//!
//! [`api`] speaks to the site, [`rows`] turns records into rows (purely, so that a replay gives the
//! same ones), [`streams`] reads each kind of record, [`run`] puts them in order.

mod api;
mod bisect;
mod chosen;
mod context;
mod details;
mod discover;
mod document;
mod fields;
mod greet;
mod jql;
mod react;
mod replay;
mod rows;
mod run;
mod sprint_field;
mod streams;
mod webhook;

use futures::future::BoxFuture;

use super::{Connector, Job, filter, time};
use crate::inbox::Events;
use crate::{Connection, Discovery, Limits, Result, SyncReport};

/// Reads Jira sites.
pub(crate) struct Jira;

impl Connector for Jira {
    fn discover<'a>(
        &'a self,
        connection: &'a Connection,
        limits: Limits,
    ) -> BoxFuture<'a, Result<Discovery>> {
        Box::pin(discover::discover(connection, limits))
    }

    fn sync<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<SyncReport>> {
        Box::pin(run::sync(
            job.warehouse,
            job.connection,
            job.options,
            job.run_id,
            job.progress,
        ))
    }

    fn replay<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<SyncReport>> {
        Box::pin(replay::replay(
            job.warehouse,
            job.connection,
            job.run_id,
            job.progress,
        ))
    }

    fn events(&self) -> Option<&dyn Events> {
        Some(self)
    }
}
