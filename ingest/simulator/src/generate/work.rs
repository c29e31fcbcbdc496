//! Work on single issues: progress through a workflow, estimates, sub-tasks, re-opening.

use chrono::{DateTime, Duration, Utc};

use crate::generate::driver::{Driver, Job};
use crate::world::Edit;
use crate::world::model::{IssueKind, SprintState};
use crate::world::site::{DONE, IN_PROGRESS, IN_REVIEW, ON_HOLD, RESOLVED, TESTING, TO_DO};

/// An issue worked on in a sprint gets done in it, with these chances for ordinary and for hard ones.
const FINISHED: f64 = 0.935;
const FINISHED_HARD: f64 = 0.42;
/// Of the issues that became done, the share that is opened again.
const REOPENED: f64 = 0.066;

impl Driver<'_> {
    /// Plans the way of an issue through its workflow within a span of time.
    pub(super) fn progress(
        &mut self,
        issue: u64,
        sprint: Option<u64>,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) {
        let Some(found) = self.world.issue(issue) else {
            return;
        };
        let Some(project) = self.world.project(found.project) else {
            return;
        };
        let steps: Vec<u64> = [IN_PROGRESS, IN_REVIEW, TESTING, RESOLVED]
            .into_iter()
            .filter(|step| project.workflow.contains(step))
            .collect();
        let here = steps
            .iter()
            .position(|step| *step == found.status)
            .map_or(0, |at| at + 1);
        let mut path: Vec<u64> = steps[here..].to_vec();
        let mood = sprint
            .and_then(|sprint| self.moods.get(&sprint))
            .copied()
            .unwrap_or_default();
        let usual = if self.hard.contains(&issue) {
            FINISHED_HARD
        } else {
            FINISHED
        };
        let chance = (usual + mood).clamp(0.2, 1.0);
        if self.finishing.due(chance) {
            // Small work skips columns, and some goes back once.
            if path.len() > 1 && self.random.chance(0.25) {
                path.truncate(1);
            } else if path.len() > 1 && self.random.chance(0.08) {
                path.push(IN_PROGRESS);
                path.push(path[path.len() - 2]);
            }
            path.push(DONE);
        } else {
            let reached = self.random.index(path.len() + 1);
            path.truncate(reached);
            if !path.is_empty() && self.random.chance(0.12) {
                path.push(ON_HOLD);
            }
        }
        let mut instants: Vec<_> = path.iter().map(|_| self.between(from, until)).collect();
        instants.sort_unstable();
        for (status, at) in path.iter().zip(&instants) {
            self.later(
                *at,
                Job::Reach {
                    issue,
                    status: *status,
                    sprint,
                },
            );
        }
        if self.random.chance(0.15)
            && let Some(at) = instants.last()
        {
            let seconds = 1800 * self.random.between(1, 14);
            self.edit_later(*at, Edit::LogWork { issue, seconds });
        }
    }

    pub(super) fn reach(&mut self, issue: u64, status: u64, sprint: Option<u64>) {
        let Some(found) = self.world.issue(issue) else {
            return;
        };
        if found.status == DONE || sprint.is_some_and(|sprint| !found.sprints.contains(&sprint)) {
            return;
        }
        if !self
            .world
            .project(found.project)
            .is_some_and(|project| project.workflow.contains(&status))
        {
            return;
        }
        let (assignee, project) = (found.assignee, found.project);
        if assignee.is_none()
            && let Some(index) = self.world.projects.iter().position(|p| p.id == project)
        {
            let assignee = self.draw_person(index);
            self.edit(Edit::Assign { issue, assignee });
        }
        if status == DONE {
            self.close_subtasks(issue);
        }
        self.edit(Edit::SetStatus { issue, status });
        if status == DONE && self.reopening.due(REOPENED) {
            let at = self.between(self.at + Duration::hours(1), self.at + Duration::days(12));
            self.later(at, Job::Reopen { issue });
        }
    }

    /// Back to work; if its sprint is over, in the one that runs now.
    pub(super) fn reopen(&mut self, issue: u64) {
        let Some(found) = self.world.issue(issue) else {
            return;
        };
        let Some(last) = found.sprints.last().copied() else {
            self.edit(Edit::SetStatus {
                issue,
                status: IN_PROGRESS,
            });
            self.later(
                self.at + Duration::days(2),
                Job::Reach {
                    issue,
                    status: DONE,
                    sprint: None,
                },
            );
            return;
        };
        let Some(board) = self.world.sprint(last).map(|sprint| sprint.board) else {
            return;
        };
        self.edit(Edit::SetStatus {
            issue,
            status: IN_PROGRESS,
        });
        let running = self
            .world
            .active_sprints()
            .find(|sprint| sprint.board == board)
            .map(|sprint| (sprint.id, sprint.end));
        if let Some((sprint, end)) = running {
            self.edit(Edit::SetSprint {
                issue,
                sprint: Some(sprint),
            });
            let until = end.unwrap_or(self.at) - Duration::hours(4);
            if until > self.at {
                let at = self.between(self.at + Duration::minutes(10), until);
                self.later(
                    at,
                    Job::Reach {
                        issue,
                        status: DONE,
                        sprint: Some(sprint),
                    },
                );
            }
        }
    }

    /// Missing estimates are mostly made up for; some others change.
    pub(super) fn estimate_late(&mut self, issue: u64, from: DateTime<Utc>, until: DateTime<Utc>) {
        let Some(points) = self.world.issue(issue).map(|found| found.points) else {
            return;
        };
        let chance = if points.is_none() { 0.45 } else { 0.08 };
        if self.random.chance(chance) {
            let at = self.between(from, until);
            let points = Some(self.draw_points());
            self.edit_later(at, Edit::SetPoints { issue, points });
        }
    }

    /// Some stories are split into sub-tasks, which show their parent's sprint.
    pub(super) fn split(&mut self, parent: u64) {
        let Some(found) = self.world.issue(parent) else {
            return;
        };
        let fresh = self.world.subtasks_of(parent).is_empty();
        let Some(project) = self
            .world
            .projects
            .iter()
            .position(|p| p.id == found.project)
        else {
            return;
        };
        if found.kind != IssueKind::Story || !fresh || !self.random.chance(0.16) {
            return;
        }
        for _ in 0..self.random.between(1, 4) {
            let mut new = self.draw_kind(project, IssueKind::SubTask);
            new.parent = Some(parent);
            new.points = self.random.chance(0.2).then_some(1.0);
            new.estimate_seconds = Some(3600 * self.random.between(1, 9));
            self.at += Duration::seconds(self.random.between(10, 90));
            if let Some(subtask) = self.create(new)
                && self.random.chance(0.7)
            {
                let at = self.between(self.at, self.at + Duration::days(6));
                self.later(
                    at,
                    Job::Reach {
                        issue: subtask,
                        status: IN_PROGRESS,
                        sprint: None,
                    },
                );
                let at = self.between(at, at + Duration::days(4));
                self.later(
                    at,
                    Job::Reach {
                        issue: subtask,
                        status: DONE,
                        sprint: None,
                    },
                );
            }
        }
    }

    fn close_subtasks(&mut self, parent: u64) {
        for issue in self.world.subtasks_of(parent).to_vec() {
            self.edit(Edit::SetStatus {
                issue,
                status: DONE,
            });
        }
    }

    pub(super) fn reassign(&mut self, issue: u64, sprint: u64) {
        let Some(found) = self.world.issue(issue) else {
            return;
        };
        let running = self
            .world
            .sprint(sprint)
            .is_some_and(|s| s.state == SprintState::Active);
        let Some(project) = self
            .world
            .projects
            .iter()
            .position(|p| p.id == found.project)
        else {
            return;
        };
        let now = found.assignee;
        for _ in 0..6 {
            let next = self.draw_person(project);
            if next != now && running {
                self.edit(Edit::Assign {
                    issue,
                    assignee: next,
                });
                return;
            }
        }
    }

    /// Work without sprints: support, and everything before the team's first sprint.
    pub(super) fn flow(&mut self, project: usize, kind: IssueKind) {
        let mut new = self.draw_issue(project);
        new.kind = kind;
        new.labels = vec!["support".to_owned()];
        let Some(issue) = self.create(new) else {
            return;
        };
        let first = self.between(self.at, self.at + Duration::days(6));
        self.later(
            first,
            Job::Reach {
                issue,
                status: TO_DO,
                sprint: None,
            },
        );
        self.progress(
            issue,
            None,
            first + Duration::hours(1),
            first + Duration::days(14),
        );
    }
}
