//! Steps of a run, and what was done to each stream in it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use warehouse::Step;

use super::{
    COMMITS, DEPLOYMENTS, ISSUE_REFERENCES, PULL_REQUEST_COMMITS, PULL_REQUESTS, REPOSITORIES,
};
use crate::http::Counters;
use crate::{Error, Result, StreamReport};

/// Streams in the order of reports.
const IN_ORDER: [&str; 6] = [
    REPOSITORIES,
    PULL_REQUESTS,
    PULL_REQUEST_COMMITS,
    COMMITS,
    DEPLOYMENTS,
    ISSUE_REFERENCES,
];

/// What was done to each stream.
#[derive(Debug, Default)]
pub(super) struct Reports(BTreeMap<&'static str, StreamReport>);

impl Reports {
    pub(super) fn of(&mut self, stream: &'static str) -> &mut StreamReport {
        self.0
            .entry(stream)
            .or_insert_with(|| StreamReport::of(stream))
    }

    /// Records read and rows changed so far.
    pub(super) fn sums(&self) -> (u64, u64) {
        let read = self.0.values().map(|report| report.read).sum();
        (read, self.0.values().map(StreamReport::changed).sum())
    }

    pub(super) fn in_order(mut self) -> Vec<StreamReport> {
        let taken = IN_ORDER.iter().filter_map(|stream| self.0.remove(stream));
        taken.collect()
    }
}

/// A step that is under way.
pub(super) struct Begun {
    pub(super) stream: &'static str,
    pub(super) started_at: DateTime<Utc>,
    pub(super) spent: Counters,
    pub(super) done: (u64, u64),
}

impl Begun {
    /// The step as it went.
    pub(super) fn ended(
        &self,
        connection: &str,
        spent: Counters,
        done: (u64, u64),
        outcome: &Result<()>,
    ) -> Step {
        let status = if outcome.is_ok() {
            "succeeded"
        } else {
            "failed"
        };
        Step {
            step: format!("{connection}.{}", self.stream),
            status: status.to_string(),
            attempts: 1,
            rows_in: done.0 - self.done.0,
            rows_out: done.1 - self.done.1,
            bytes: spent.bytes - self.spent.bytes,
            requests: spent.requests - self.spent.requests,
            retries: spent.retries - self.spent.retries,
            started_at: self.started_at,
            finished_at: Utc::now(),
            error: outcome.as_ref().err().map(Error::to_string),
        }
    }
}
