//! How the generated history compares with published figures about real sprints.
//!
//! Sources:
//! * TAWOS: point-in-time study of 952 sprints of 15 projects of the TAWOS data set
//!   (github.com/maximzavrazhnov/tawos-temporal-integrity-analysis, README).
//! * TSE 2017: Choetkiertikul, Dam, Tran, Ghose and Grundy, "Predicting delivery capability in iterative
//!   software development", IEEE TSE, doi 10.1109/TSE.2017.2693989. Figures computed from the data the
//!   authors publish (github.com/morakotch/datasets, `*_iteration_80.csv`), every sprint counted once:
//!   1,536 sprints with 8,405 issues at their start.
//! * EMSE 2013: Shihab et al., "Studying re-opened bugs in open source software", Empirical Software
//!   Engineering 18(5), doi 10.1007/s10664-012-9228-6: 6.5 % of Apache's bugs were
//!   re-opened (quoted from memory of the paper; bugs only).

use std::fmt::Write;

use crate::world::model::{Issue, SprintState};
use crate::world::{IssueTruth, Outcome, SprintTruth, World};

/// How far a simulated rate may be from the published one.
pub const TOLERANCE: f64 = 0.2;

/// A published rate and the same one of a world.
#[derive(Clone, Debug)]
pub struct Rate {
    pub name: &'static str,
    pub definition: &'static str,
    pub source: &'static str,
    pub published: f64,
    pub simulated: f64,
}

impl Rate {
    /// Simulated relative to published, minus one.
    pub fn deviation(&self) -> f64 {
        self.simulated / self.published - 1.0
    }

    pub fn within_tolerance(&self) -> bool {
        self.deviation().abs() <= TOLERANCE
    }
}

#[derive(Default)]
struct Sums {
    at_start: f64,
    added: f64,
    removed: f64,
    last: f64,
    last_created: f64,
    last_joined: f64,
    last_reassigned: f64,
    points: f64,
    delivered: f64,
}

/// Name, definition, source, published value.
const PUBLISHED: [(&str, &str, &str, f64); 8] = [
    (
        "late additions",
        "issues that entered after the start / all issues ever in the sprint",
        "TSE 2017",
        0.435,
    ),
    (
        "removals",
        "issues taken out while the sprint ran / all issues ever in the sprint",
        "TSE 2017",
        0.144,
    ),
    (
        "delivered",
        "points done at the end / points in the sprint at the end",
        "TSE 2017",
        0.838,
    ),
    (
        "carry-over",
        "points not done at the end / points in the sprint at the end",
        "TSE 2017",
        0.162,
    ),
    (
        "created after the start",
        "issues in the sprint at its end that were created after its start / all of them",
        "TAWOS",
        0.39,
    ),
    (
        "changed membership",
        "issues in the sprint at its end that were not in it at its start / all of them",
        "TAWOS",
        0.45,
    ),
    (
        "changed assignee",
        "issues in the sprint at its end with another assignee than at the start / all of them",
        "TAWOS",
        0.34,
    ),
    (
        "re-opened",
        "issues that left a done status / issues that ever reached one",
        "EMSE 2013",
        0.065,
    ),
];

/// The rates of a world's closed sprints; sub-tasks are left out.
pub fn measured(world: &World) -> Vec<Rate> {
    let mut sums = Sums::default();
    for sprint in world
        .sprints()
        .filter(|sprint| sprint.state == SprintState::Closed)
    {
        let Some(truth) = world.sprint_truth(sprint.id) else {
            continue;
        };
        for (id, part) in truth.issues.iter().filter(|(_, part)| !part.is_subtask) {
            if let Some(issue) = world.issue(*id) {
                sums.count(issue, part, &truth);
            }
        }
    }
    let (done, reopened) = reopened(world);
    let ever = sums.at_start + sums.added;
    let simulated = [
        sums.added / ever,
        sums.removed / ever,
        sums.delivered / sums.points,
        1.0 - sums.delivered / sums.points,
        sums.last_created / sums.last,
        sums.last_joined / sums.last,
        sums.last_reassigned / sums.last,
        reopened / done,
    ];
    let rate = |((name, definition, source, published), simulated)| Rate {
        name,
        definition,
        source,
        published,
        simulated,
    };
    PUBLISHED.into_iter().zip(simulated).map(rate).collect()
}

impl Sums {
    fn count(&mut self, issue: &Issue, part: &IssueTruth, truth: &SprintTruth) {
        if part.added_after_start {
            self.added += 1.0;
        } else {
            self.at_start += 1.0;
        }
        if part.outcome == Outcome::Removed {
            self.removed += 1.0;
            return;
        }
        self.last += 1.0;
        self.last_created += f64::from(u8::from(issue.created > truth.started));
        self.last_joined += f64::from(u8::from(part.added_after_start));
        let before = issue.assignee_line.at(truth.started.max(issue.created));
        self.last_reassigned += f64::from(u8::from(before != issue.assignee_line.at(truth.ended)));
        let points = part.end_points.unwrap_or_default();
        self.points += points;
        if part.outcome != Outcome::NotCompleted {
            self.delivered += points;
        }
    }
}

/// Issues that ever reached a done column, and those that left it again.
fn reopened(world: &World) -> (f64, f64) {
    let mut counts = (0.0, 0.0);
    for issue in world.issues().filter(|issue| !issue.is_subtask()) {
        let board = world
            .boards()
            .iter()
            .find(|board| board.scrum && board.projects.contains(&issue.project));
        let Some(board) = board else { continue };
        let done: Vec<bool> = issue
            .status_line
            .entries()
            .iter()
            .map(|(_, status)| board.is_done(*status))
            .collect();
        if done.contains(&true) {
            counts.0 += 1.0;
        }
        if done.windows(2).any(|pair| pair[0] && !pair[1]) {
            counts.1 += 1.0;
        }
    }
    counts
}

/// Published against simulated, as a text table.
pub fn table(world: &World) -> String {
    let mut text = format!(
        "{:<25} {:>9} {:>9} {:>9}  source\n",
        "rate", "published", "simulated", "deviation"
    );
    for rate in measured(world) {
        let mark = if rate.within_tolerance() {
            ""
        } else {
            "  outside the tolerance"
        };
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "{:<25} {:>8.1}% {:>8.1}% {:>+8.1}%  {}{mark}",
            rate.name,
            rate.published * 100.0,
            rate.simulated * 100.0,
            rate.deviation() * 100.0,
            rate.source
        );
    }
    text
}
