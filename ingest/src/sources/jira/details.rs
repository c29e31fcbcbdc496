//! What a step says beside its numbers, for `system.steps`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use warehouse::Step;

use crate::http::Counters;
use crate::{Error, Note, Result, StreamReport};

/// What a step says beside its numbers.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Details {
    /// By the key of the project.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) projects: BTreeMap<String, Seen>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// Issues of a project in one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Seen {
    /// Issues read because they are new or have changed.
    pub(crate) read: u64,
    /// Issues that the site showed; only a run that looks at all of them knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) visible: Option<u64>,
}

impl Details {
    /// The details as JSON, with the notes of the step; nothing when there are none.
    pub(crate) fn with(mut self, notes: &[Note]) -> Option<Value> {
        self.notes = notes.iter().map(|note| note.text.clone()).collect();
        if self.projects.is_empty() && self.notes.is_empty() {
            return None;
        }
        serde_json::to_value(&self).ok()
    }
}

/// The record of a step that has ended.
pub(super) fn step(
    connection: &str,
    stream: &str,
    started_at: DateTime<Utc>,
    reports: &[StreamReport],
    spent: Counters,
    outcome: &Result<()>,
) -> Step {
    Step {
        step: format!("{connection}.{stream}"),
        status: if outcome.is_ok() {
            "succeeded"
        } else {
            "failed"
        }
        .to_string(),
        attempts: 1,
        rows_in: reports.iter().map(|report| report.read).sum(),
        rows_out: reports.iter().map(StreamReport::changed).sum(),
        bytes: spent.bytes,
        requests: spent.requests,
        retries: spent.retries,
        started_at,
        finished_at: Utc::now(),
        error: outcome.as_ref().err().map(Error::to_string),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_known_is_said() {
        assert_eq!(Details::default().with(&[]), None);
        let seen = |visible| Seen { read: 2, visible };
        let details = Details {
            projects: BTreeMap::from([("A".into(), seen(None)), ("B".into(), seen(Some(5)))]),
            notes: Vec::new(),
        };
        let note = Note {
            stream: "issues",
            text: "x".into(),
        };
        assert_eq!(
            details.with(&[note]),
            Some(
                json!({"projects": {"A": {"read": 2}, "B": {"read": 2, "visible": 5}}, "notes": ["x"]})
            )
        );
    }
}
