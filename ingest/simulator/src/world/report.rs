//! The sprint report as the server itself would freeze it, from what sprint logs saw.

use std::collections::BTreeSet;

use crate::world::World;
use crate::world::observe::{Shot, SprintLog};

/// One issue of a report, with its estimate at the start (or entry) and at the end (or exit).
#[derive(Clone, Debug, PartialEq)]
pub struct ReportIssue {
    pub id: u64,
    pub start_points: Option<f64>,
    pub end_points: Option<f64>,
    /// Was in the sprint at its start, not done and in a column of the board.
    pub committed: bool,
    pub re_entered: bool,
}

/// The four lists of a sprint report; sub-tasks and deleted issues are in none of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SprintReport {
    pub completed: Vec<ReportIssue>,
    pub not_completed: Vec<ReportIssue>,
    pub punted: Vec<ReportIssue>,
    pub completed_elsewhere: Vec<ReportIssue>,
    pub added: BTreeSet<u64>,
}

impl World {
    /// `None` for a sprint that never started.
    pub fn sprint_report(&self, sprint: u64) -> Option<SprintReport> {
        let log = self.log(sprint)?;
        let end = log.end.clone().unwrap_or_else(|| self.members_now(sprint));
        let mut report = SprintReport::default();
        let seen: BTreeSet<u64> = log
            .start
            .keys()
            .chain(log.entered.keys())
            .copied()
            .collect();
        for id in seen {
            if self.issues.get(&id).is_none_or(|issue| issue.is_subtask()) {
                continue;
            }
            if log.entered.contains_key(&id) {
                report.added.insert(id);
            }
            let line = line(log, id, end.get(&id).or(log.left.get(&id)));
            match end.get(&id) {
                None => report.punted.push(line),
                Some(shot) if !shot.done => report.not_completed.push(line),
                Some(_) if log.became_done.contains(&id) => report.completed.push(line),
                Some(_) => report.completed_elsewhere.push(line),
            }
        }
        Some(report)
    }
}

fn line(log: &SprintLog, id: u64, end: Option<&Shot>) -> ReportIssue {
    let start = log.start.get(&id);
    ReportIssue {
        id,
        start_points: start.or(log.entered.get(&id)).and_then(|shot| shot.points),
        end_points: end.and_then(|shot| shot.points),
        committed: start.is_some_and(|shot| !shot.done && shot.mapped),
        re_entered: log.re_entered.contains(&id),
    }
}
