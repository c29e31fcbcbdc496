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

/// A list of a sprint report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportList {
    Completed,
    NotCompleted,
    Punted,
    CompletedElsewhere,
}

/// What a report says wrongly, on purpose: whoever compares it must notice.
#[derive(Clone, Debug, PartialEq)]
pub enum Misreport {
    /// An issue is left out.
    Missing { issue: u64 },
    /// An issue that has nothing to do with the sprint is listed.
    Extra { issue: u64, list: ReportList },
    /// Another estimate at the end.
    Estimate { issue: u64, points: Option<f64> },
    /// An issue stands in another list.
    List { issue: u64, list: ReportList },
}

impl SprintReport {
    fn list(&mut self, list: ReportList) -> &mut Vec<ReportIssue> {
        match list {
            ReportList::Completed => &mut self.completed,
            ReportList::NotCompleted => &mut self.not_completed,
            ReportList::Punted => &mut self.punted,
            ReportList::CompletedElsewhere => &mut self.completed_elsewhere,
        }
    }

    fn lists(&mut self) -> [&mut Vec<ReportIssue>; 4] {
        [
            &mut self.completed,
            &mut self.not_completed,
            &mut self.punted,
            &mut self.completed_elsewhere,
        ]
    }

    fn take(&mut self, issue: u64) -> Option<ReportIssue> {
        self.lists().into_iter().find_map(|lines| {
            let position = lines.iter().position(|line| line.id == issue)?;
            Some(lines.remove(position))
        })
    }

    fn distort(&mut self, misreport: &Misreport) {
        match *misreport {
            Misreport::Missing { issue } => drop(self.take(issue)),
            Misreport::Extra { issue, list } => self.list(list).push(ReportIssue {
                id: issue,
                start_points: None,
                end_points: None,
                committed: false,
                re_entered: false,
            }),
            Misreport::Estimate { issue, points } => {
                let lines = self.lists().into_iter().flatten();
                for line in lines.filter(|line| line.id == issue) {
                    line.end_points = points;
                }
            }
            Misreport::List { issue, list } => {
                if let Some(line) = self.take(issue) {
                    self.list(list).push(line);
                }
            }
        }
    }
}

impl World {
    /// Makes the served report of a sprint wrong. [`World::sprint_report`] stays right.
    pub fn misreport(&mut self, sprint: u64, misreport: Misreport) {
        self.misreports.entry(sprint).or_default().push(misreport);
    }

    /// The report as the site serves it.
    pub(crate) fn served_report(&self, sprint: u64) -> Option<SprintReport> {
        let mut report = self.sprint_report(sprint)?;
        for misreport in self.misreports.get(&sprint).into_iter().flatten() {
            report.distort(misreport);
        }
        Some(report)
    }

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
