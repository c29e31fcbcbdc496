//! Sprints of a history: planned, started, disturbed and completed.

use chrono::{DateTime, Duration, Utc};

use crate::generate::driver::{Driver, Job};
use crate::generate::words;
use crate::world::Edit;
use crate::world::model::{IssueKind, SprintState};
use crate::world::site::{CANCELLED, DONE, ON_HOLD, TO_DO, TRIAGE};

/// Issues joining a running sprint, per issue that was in it at the start.
const JOINING: f64 = 0.80;
/// Of those that join, the share that did not exist before the sprint.
const JOINING_NEW: f64 = 0.88;
/// Of all that were ever in a sprint, the share that is taken out while it runs.
const LEAVING: f64 = 0.178;
const LEAVING_BACK: f64 = 0.12;
/// Of the issues of a sprint, the share that changes hands while it runs.
const REASSIGNED: f64 = 0.15;

impl Driver<'_> {
    /// The boards' calendars, and the sprints that exist before the first one starts.
    pub(super) fn lay_out_sprints(&mut self, begin: DateTime<Utc>) {
        let settings = self.world.settings.clone();
        let possible =
            ((settings.now - begin).num_days() / i64::from(settings.sprint_days.max(2))).max(1) - 1;
        let closed = i64::from(settings.sprints_per_board).min(possible.max(0));
        for board in 0..self.world.boards.len() {
            let own = self.world.boards[board].scrum
                && self.world.boards[board].shows_sprints_of.is_empty();
            self.slots.push(Vec::new());
            self.sprint_ids.push(Vec::new());
            if !own {
                continue;
            }
            let last = -i64::from(settings.future_sprints);
            for back in (last..=closed).rev() {
                let slot = self.calendar.slot(&mut self.random, &settings, board, back);
                self.slots[board].push(slot);
            }
            for number in 0..=closed as usize {
                let slot = self.slots[board][number];
                self.later(
                    slot.start - Duration::minutes(40),
                    Job::Plan { board, number },
                );
                self.later(slot.start, Job::Start { board, number });
                self.later(slot.complete, Job::Complete { board, number });
            }
            self.add_sprints(board, 0);
        }
    }

    /// Keeps the next sprints of a board ready for planning.
    fn add_sprints(&mut self, board: usize, number: usize) {
        let ahead = self.world.settings.future_sprints.max(1) as usize;
        while self.sprint_ids[board].len() <= number + ahead {
            let index = self.sprint_ids[board].len();
            let slot = self.slots[board].get(index).copied();
            let prefix = self.world.boards[board]
                .name
                .split(' ')
                .next()
                .unwrap_or("Team")
                .to_owned();
            let name = match index % 9 {
                4 => format!("{prefix} Sprint {}, hardening", index + 1),
                7 => format!("{prefix} Sprint {} [beta]", index + 1),
                _ => format!("{prefix} Sprint {}", index + 1),
            };
            let edit = Edit::CreateSprint {
                board: self.world.boards[board].id,
                name,
                goal: words::goal(index),
                start: slot.map(|slot| slot.start),
                end: slot.map(|slot| slot.planned_end),
            };
            let Some(id) = self.edit(edit) else { return };
            self.sprint_ids[board].push(id);
        }
    }

    pub(super) fn plan(&mut self, board: usize, number: usize) {
        let Some(sprint) = self.sprint_ids[board].get(number).copied() else {
            return;
        };
        self.add_sprints(board, number);
        let mean = f64::from(self.world.settings.issues_per_sprint);
        let target = self.random.normal(mean, mean * 0.18).round().max(2.0) as usize;
        let present = self.members(sprint).len();
        let project = self.project_of(board);
        let wanted = target.saturating_sub(present);
        let backlog = self.backlog(project, wanted);
        for issue in backlog.iter().copied() {
            self.at += Duration::seconds(self.random.between(5, 40));
            self.edit(Edit::SetSprint {
                issue,
                sprint: Some(sprint),
            });
            self.make_ready(issue);
        }
        for _ in backlog.len()..wanted {
            self.at += Duration::seconds(self.random.between(5, 40));
            if let Some(issue) = self.file(project, Some(sprint)) {
                self.make_ready(issue);
            }
        }
        // What was never asked for leaves the board before it is committed to.
        for issue in self.members(sprint) {
            if self.random.chance(0.02) {
                let status = if self.random.chance(0.6) {
                    DONE
                } else {
                    ON_HOLD
                };
                self.edit(Edit::SetStatus { issue, status });
            }
        }
    }

    pub(super) fn start(&mut self, board: usize, number: usize) {
        let Some(sprint) = self.sprint_ids[board].get(number).copied() else {
            return;
        };
        let mood = self.random.normal(0.0, 0.08);
        self.moods.insert(sprint, mood);
        let slot = self.slots[board][number];
        self.edit(Edit::StartSprint { sprint });
        if number.is_multiple_of(6) {
            let name = self
                .world
                .sprint(sprint)
                .map(|s| format!("{} (extended)", s.name));
            let at = self.between(slot.start, slot.complete);
            self.edit_later(
                at,
                Edit::RenameSprint {
                    sprint,
                    name: name.unwrap_or_default(),
                },
            );
        }
        let members = self.members(sprint);
        for issue in members.iter().copied() {
            self.work_on(issue, sprint, slot);
        }
        let joining = self
            .random
            .normal(JOINING * members.len() as f64, 1.6)
            .round()
            .max(0.0) as usize;
        for _ in 0..joining {
            let created = self.random.chance(JOINING_NEW);
            let at = self.between(
                slot.start + Duration::minutes(5),
                slot.complete - Duration::days(1),
            );
            self.later(
                at,
                Job::Join {
                    board,
                    number,
                    created,
                },
            );
        }
        // The backlog fills for the sprint after this one.
        let project = self.project_of(board);
        for _ in 0..self.random.between(4, 9) {
            let at = self.between(slot.start, slot.complete);
            self.later(at, Job::File { project });
        }
        if slot.complete > self.world.settings.now {
            self.fill_next(board, number + 1, slot.start);
        }
    }

    /// The running sprint's successor already has some content at `now`.
    fn fill_next(&mut self, board: usize, number: usize, from: DateTime<Utc>) {
        let Some(next) = self.sprint_ids[board].get(number).copied() else {
            return;
        };
        let now = self.world.settings.now;
        for issue in self.backlog(self.project_of(board), 4) {
            let at = self.between(from, now);
            self.edit_later(
                at,
                Edit::SetSprint {
                    issue,
                    sprint: Some(next),
                },
            );
        }
    }

    pub(super) fn join(&mut self, board: usize, number: usize, created: bool) {
        let sprint = self.sprint_ids[board][number];
        if self
            .world
            .sprint(sprint)
            .is_none_or(|sprint| sprint.state != SprintState::Active)
        {
            return;
        }
        let slot = self.slots[board][number];
        let mut project = self.project_of(board);
        if self.random.chance(0.04) {
            project = self.random.index(self.world.projects.len());
        }
        let at_creation = created && self.random.chance(0.5);
        let issue = match (created, at_creation) {
            (true, true) => self.file(project, Some(sprint)),
            (true, false) => self.file(project, None),
            (false, _) => self.backlog(project, 1).first().copied(),
        };
        let Some(issue) = issue else { return };
        if !at_creation {
            self.at += Duration::seconds(self.random.between(2, 900));
            self.edit(Edit::SetSprint {
                issue,
                sprint: Some(sprint),
            });
        }
        self.make_ready(issue);
        self.work_on(issue, sprint, slot);
    }

    /// Plans what becomes of a member until the sprint's completion.
    fn work_on(&mut self, issue: u64, sprint: u64, slot: crate::generate::calendar::Slot) {
        let from = self.at.max(slot.start) + Duration::minutes(2);
        let until = slot.complete - Duration::minutes(10);
        if until <= from {
            return;
        }
        self.estimate_late(issue, from, until);
        if self.random.chance(REASSIGNED) {
            let at = self.between(from, until);
            self.later(at, Job::Reassign { issue, sprint });
        }
        if self.leaving.due(LEAVING) {
            let at = self.between(from, until);
            let back = self.random.chance(LEAVING_BACK);
            self.later(
                at,
                Job::Leave {
                    issue,
                    sprint,
                    back,
                },
            );
            return;
        }
        self.progress(issue, Some(sprint), from, until);
        self.split(issue);
    }

    pub(super) fn leave(&mut self, issue: u64, sprint: u64, back: bool) {
        if !self
            .world
            .issue(issue)
            .is_some_and(|found| found.sprints.contains(&sprint))
        {
            return;
        }
        if self.random.chance(0.12) {
            self.edit(Edit::SetStatus {
                issue,
                status: CANCELLED,
            });
        }
        self.edit(Edit::SetSprint {
            issue,
            sprint: None,
        });
        if back {
            let at = self.at + Duration::hours(self.random.between(3, 40));
            self.edit_later(
                at,
                Edit::SetSprint {
                    issue,
                    sprint: Some(sprint),
                },
            );
        }
    }

    pub(super) fn complete(&mut self, board: usize, number: usize) {
        let Some(sprint) = self.sprint_ids[board].get(number).copied() else {
            return;
        };
        self.add_sprints(board, number);
        // Once in a while the unfinished work goes back to the backlog instead.
        let next = self.sprint_ids[board].get(number + 1).copied();
        let next = next.filter(|_| !self.random.chance(0.05));
        self.edit(Edit::CompleteSprint { sprint, next });
    }

    pub(super) fn members(&self, sprint: u64) -> Vec<u64> {
        self.world
            .members_of(sprint)
            .map(|issue| issue.id)
            .collect()
    }

    /// Unfinished issues of a project that are in no open sprint, best rank first.
    fn backlog(&self, project: usize, count: usize) -> Vec<u64> {
        let id = self.world.projects[project].id;
        let open = |sprint: &u64| {
            self.world
                .sprint(*sprint)
                .is_some_and(|sprint| sprint.state != SprintState::Closed)
        };
        let mut found: Vec<_> = self
            .world
            .issues_of(id)
            .filter(|issue| {
                matches!(
                    issue.kind,
                    IssueKind::Story | IssueKind::Task | IssueKind::Bug
                )
            })
            .filter(|issue| issue.resolved.is_none() && [TO_DO, TRIAGE].contains(&issue.status))
            .filter(|issue| !issue.sprints.iter().any(open))
            .filter(|issue| !issue.labels.iter().any(|label| label == "support"))
            .map(|issue| (issue.rank, issue.id))
            .collect();
        found.sort_unstable();
        found.into_iter().take(count).map(|(_, id)| id).collect()
    }

    fn make_ready(&mut self, issue: u64) {
        if self
            .world
            .issue(issue)
            .is_some_and(|found| found.status == TRIAGE)
        {
            self.edit(Edit::SetStatus {
                issue,
                status: TO_DO,
            });
        }
    }

    fn project_of(&self, board: usize) -> usize {
        let id = self.world.boards[board]
            .projects
            .first()
            .copied()
            .unwrap_or_default();
        self.world
            .projects
            .iter()
            .position(|project| project.id == id)
            .unwrap_or_default()
    }
}
