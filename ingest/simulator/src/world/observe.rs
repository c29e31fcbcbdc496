//! Sprint logs: what the world saw at the moment a sprint started, while it ran and when it was
//! completed. Written as edits happen and never from histories, so that the sprint report made from
//! them is an oracle for anything that replays histories.

use std::collections::{BTreeMap, BTreeSet};

use crate::world::World;
use crate::world::model::{Instant, Issue};

/// An issue as it was at one moment, seen from the sprint's board.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shot {
    pub(super) points: Option<f64>,
    pub(super) done: bool,
    pub(super) mapped: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct SprintLog {
    pub(super) start: BTreeMap<u64, Shot>,
    pub(super) inside: BTreeSet<u64>,
    pub(super) entered: BTreeMap<u64, Shot>,
    entered_at: BTreeMap<u64, Instant>,
    pub(super) left: BTreeMap<u64, Shot>,
    pub(super) re_entered: BTreeSet<u64>,
    pub(super) became_done: BTreeSet<u64>,
    /// Members at completion; `None` while the sprint runs.
    pub(super) end: Option<BTreeMap<u64, Shot>>,
}

impl World {
    pub(super) fn observe_start(&mut self, sprint: u64) {
        let own = self.members_of(sprint);
        let subtasks = self
            .members_of(sprint)
            .flat_map(|issue| self.subtasks_of(issue.id))
            .filter_map(|id| self.issues.get(id));
        let start: BTreeMap<u64, Shot> = own
            .chain(subtasks)
            .map(|issue| (issue.id, self.shot(issue, sprint)))
            .collect();
        let inside = start.keys().copied().collect();
        self.logs.insert(
            sprint,
            SprintLog {
                start,
                inside,
                ..SprintLog::default()
            },
        );
    }

    pub(super) fn observe_end(&mut self, sprint: u64) {
        let members = self.members_now(sprint);
        if let Some(log) = self.logs.get_mut(&sprint) {
            log.end = Some(members);
        }
    }

    pub(super) fn members_now(&self, sprint: u64) -> BTreeMap<u64, Shot> {
        let inside = self
            .logs
            .get(&sprint)
            .map(|log| log.inside.clone())
            .unwrap_or_default();
        inside
            .iter()
            .filter_map(|id| self.issues.get(id))
            .map(|issue| (issue.id, self.shot(issue, sprint)))
            .collect()
    }

    pub(super) fn log(&self, sprint: u64) -> Option<&SprintLog> {
        self.logs.get(&sprint)
    }

    /// Tells the running sprints about a change to an issue, which its sub-tasks share.
    pub(super) fn observe(&mut self, id: u64, status_before: Option<u64>, at: Instant) {
        let running: Vec<u64> = self.active.iter().copied().collect();
        for sprint in running {
            self.observe_in(sprint, id, status_before, at);
            for subtask in self.subtasks_of(id).to_vec() {
                let status = self.issues.get(&subtask).map(|issue| issue.status);
                self.observe_in(sprint, subtask, status, at);
            }
        }
    }

    fn observe_in(&mut self, sprint: u64, id: u64, status_before: Option<u64>, at: Instant) {
        let Some(issue) = self.issues.get(&id) else {
            return;
        };
        let Some(found) = self.sprints.get(&sprint) else {
            return;
        };
        let member = self.sprints_of(issue).contains(&sprint);
        let shot = self.shot(issue, sprint);
        let board = self.board(found.board);
        let was_done = status_before.is_some_and(|s| board.is_some_and(|board| board.is_done(s)));
        // Changes at the very instant of the start belong to the start.
        let starting = found.activated.is_some_and(|activated| at <= activated);
        let Some(log) = self.logs.get_mut(&sprint) else {
            return;
        };
        if starting {
            if member {
                log.start.insert(id, shot);
                log.inside.insert(id);
            } else {
                log.start.remove(&id);
                log.inside.remove(&id);
            }
            return;
        }
        if shot.done && !was_done {
            log.became_done.insert(id);
        }
        if member && log.inside.insert(id) {
            if log.start.contains_key(&id) || log.entered.contains_key(&id) {
                log.re_entered.insert(id);
            } else {
                log.entered.insert(id, shot);
                log.entered_at.insert(id, at);
            }
        } else if member && log.entered_at.get(&id) == Some(&at) {
            // What happens at the very instant of the entry belongs to it.
            log.entered.insert(id, shot);
        } else if !member && log.inside.remove(&id) {
            log.left.insert(id, shot);
        }
    }

    fn shot(&self, issue: &Issue, sprint: u64) -> Shot {
        let board = self
            .sprints
            .get(&sprint)
            .and_then(|sprint| self.board(sprint.board));
        Shot {
            points: issue.points,
            done: board.is_some_and(|board| board.is_done(issue.status)),
            mapped: board.is_some_and(|board| board.maps(issue.status)),
        }
    }
}
