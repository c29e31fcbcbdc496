//! What really happened in a sprint, from the world's timelines: the yardstick for warehouse models.
//!
//! Rules: T0 is the activation, T1 the completion (now, while the sprint runs). Changes at T0 belong to
//! the start, changes at T1 to the sprint, the completion's own moves to neither. Done means the
//! right-most column of the sprint's own board; a sub-task is in its parent's sprints.

use std::collections::BTreeMap;

use crate::world::World;
use crate::world::model::{Board, Instant, Issue};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Completed,
    CompletedOutside,
    NotCompleted,
    Removed,
}

impl Outcome {
    /// The value of the warehouse's `outcome` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::CompletedOutside => "completed_outside",
            Self::NotCompleted => "not_completed",
            Self::Removed => "removed",
        }
    }
}

/// One issue's part in a sprint.
#[derive(Clone, Debug, PartialEq)]
pub struct IssueTruth {
    pub key: String,
    pub is_subtask: bool,
    pub committed: bool,
    pub added_after_start: bool,
    pub outcome: Outcome,
    /// At the start, or at the first entry of an issue that was added.
    pub start_points: Option<f64>,
    /// At the end, or when the issue last left.
    pub end_points: Option<f64>,
    pub re_entered: bool,
    pub entered_at: Instant,
    pub left_at: Option<Instant>,
    /// Last became done, if it is done at the end.
    pub done_at: Option<Instant>,
}

/// A started sprint; deleted issues are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct SprintTruth {
    pub sprint: u64,
    pub board: u64,
    pub started: Instant,
    pub ended: Instant,
    /// The sprint still runs: `ended` is now.
    pub provisional: bool,
    pub issues: BTreeMap<u64, IssueTruth>,
}

/// When an issue was in and out of a sprint.
struct Stay {
    in_at_start: bool,
    in_at_end: bool,
    /// Entries and exits after T0 up to T1.
    moves: Vec<(Instant, bool)>,
    /// The entry that the membership at T0 goes back to.
    since: Option<Instant>,
}

impl World {
    /// `None` for a sprint that never started.
    pub fn sprint_truth(&self, sprint: u64) -> Option<SprintTruth> {
        let found = self.sprint(sprint)?;
        let board = self.board(found.board)?;
        let started = found.activated?;
        let ended = found.completed.unwrap_or_else(|| self.now());
        let issues = self.issues.values().filter_map(|issue| {
            let stay = self.stay(issue, sprint, started, ended)?;
            Some((issue.id, truth_of(issue, board, &stay, (started, ended))))
        });
        Some(SprintTruth {
            sprint,
            board: board.id,
            started,
            ended,
            provisional: found.completed.is_none(),
            issues: issues.collect(),
        })
    }

    fn stay(&self, issue: &Issue, sprint: u64, started: Instant, ended: Instant) -> Option<Stay> {
        let holder = if issue.is_subtask() {
            self.issues.get(&issue.parent?)?
        } else {
            issue
        };
        let mut inside = false;
        let mut stay = Stay {
            in_at_start: false,
            in_at_end: false,
            moves: Vec::new(),
            since: None,
        };
        for (at, sprints) in holder.sprint_line.entries() {
            // A sub-task takes part from its own creation on.
            let at = (*at).max(issue.created);
            if at > ended {
                break;
            }
            let now = sprints.contains(&sprint);
            if now != inside {
                if at <= started {
                    stay.since = now.then_some(at);
                } else if stay
                    .moves
                    .last()
                    .is_some_and(|last| last.0 == at && issue.is_subtask())
                {
                    stay.moves.pop();
                } else {
                    stay.moves.push((at, now));
                }
            }
            inside = now;
        }
        stay.in_at_start = stay.since.is_some();
        stay.in_at_end = inside;
        (stay.in_at_start || stay.moves.iter().any(|(_, entered)| *entered)).then_some(stay)
    }
}

fn truth_of(
    issue: &Issue,
    board: &Board,
    stay: &Stay,
    (started, ended): (Instant, Instant),
) -> IssueTruth {
    let done_at_start = issue
        .status_line
        .at(started)
        .is_some_and(|status| board.is_done(*status));
    let mapped = issue
        .status_line
        .at(started)
        .is_some_and(|status| board.maps(*status));
    let first_entry = stay
        .moves
        .iter()
        .find(|(_, entered)| *entered)
        .map(|(at, _)| *at);
    let left_at = stay
        .moves
        .last()
        .filter(|(_, entered)| !entered)
        .map(|(at, _)| *at);
    let entries = stay.moves.iter().filter(|(_, entered)| *entered).count();
    let done_at = became_done(issue, board, ended);
    let outcome = match (stay.in_at_end, done_at) {
        (false, _) => Outcome::Removed,
        (true, None) => Outcome::NotCompleted,
        (true, Some(at)) if at > started => Outcome::Completed,
        (true, Some(_)) => Outcome::CompletedOutside,
    };
    let entered_at = stay.since.or(first_entry).unwrap_or(started);
    let points_from = if stay.in_at_start {
        started
    } else {
        entered_at
    };
    IssueTruth {
        key: issue.key.clone(),
        is_subtask: issue.is_subtask(),
        committed: stay.in_at_start && !done_at_start && mapped,
        added_after_start: !stay.in_at_start,
        outcome,
        start_points: issue.points_line.at(points_from).copied().flatten(),
        end_points: issue
            .points_line
            .at(left_at.unwrap_or(ended))
            .copied()
            .flatten(),
        re_entered: entries > usize::from(!stay.in_at_start),
        entered_at,
        left_at,
        done_at,
    }
}

/// The last change into the done column that still holds at `ended`.
fn became_done(issue: &Issue, board: &Board, ended: Instant) -> Option<Instant> {
    let mut since = None;
    for (at, status) in issue.status_line.entries() {
        if *at > ended {
            break;
        }
        since = if board.is_done(*status) {
            since.or(Some(*at))
        } else {
            None
        };
    }
    since
}
