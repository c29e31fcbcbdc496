//! A sprint's life: created, started, completed, with its unfinished issues carried over.

use chrono::Duration;

use crate::world::World;
use crate::world::change::custom;
use crate::world::edit::{EditError, EditResult};
use crate::world::model::{Instant, Sprint, SprintState};

impl World {
    pub(super) fn create_sprint(
        &mut self,
        board: u64,
        name: String,
        goal: String,
        planned: (Option<Instant>, Option<Instant>),
        at: Instant,
    ) -> EditResult {
        let found = self.board(board).ok_or(EditError::Unknown {
            what: "board",
            id: board,
        })?;
        if !found.scrum {
            return Err(EditError::Refused("the board does not support sprints"));
        }
        let id = self.next.sprint;
        self.next.sprint += 1;
        self.sprints.insert(
            id,
            Sprint {
                id,
                board,
                name,
                goal,
                state: SprintState::Future,
                created: at,
                start: planned.0,
                end: planned.1,
                activated: None,
                completed: None,
            },
        );
        Ok(id)
    }

    pub(super) fn rename_sprint(&mut self, id: u64, name: String) -> EditResult {
        self.known_sprint(id)?;
        if let Some(sprint) = self.sprints.get_mut(&id) {
            sprint.name = name;
        }
        Ok(id)
    }

    pub(super) fn start_sprint(&mut self, id: u64, at: Instant) -> EditResult {
        let days = i64::from(self.settings.sprint_days);
        if self.known_sprint(id)?.state != SprintState::Future {
            return Err(EditError::Refused("the sprint was started before"));
        }
        if let Some(sprint) = self.sprints.get_mut(&id) {
            sprint.state = SprintState::Active;
            sprint.activated = Some(at);
            // The start a team enters is seldom the instant of the button.
            let planned = sprint
                .start
                .filter(|start| (*start - at).abs() < Duration::hours(12));
            let start = planned.unwrap_or(at);
            sprint.start = Some(start);
            sprint.end = Some(
                sprint
                    .end
                    .filter(|end| *end > at)
                    .unwrap_or(start + Duration::days(days)),
            );
        }
        self.active.insert(id);
        self.observe_start(id);
        Ok(id)
    }

    pub(super) fn complete_sprint(
        &mut self,
        id: u64,
        next: Option<u64>,
        at: Instant,
    ) -> EditResult {
        if self.known_sprint(id)?.state != SprintState::Active {
            return Err(EditError::Refused("the sprint is not active"));
        }
        if let Some(next) = next
            && (next == id || self.known_sprint(next)?.state == SprintState::Closed)
        {
            return Err(EditError::Refused(
                "unfinished issues cannot go to that sprint",
            ));
        }
        self.observe_end(id);
        self.active.remove(&id);
        if let Some(sprint) = self.sprints.get_mut(&id) {
            sprint.state = SprintState::Closed;
            sprint.completed = Some(at);
        }
        // Jira writes the moves in the same request: at the completion's instant or little later.
        let moved = at + Duration::milliseconds(self.random.between(0, 5));
        if let Some(next) = next {
            for issue in self.unfinished_in(id) {
                self.carry_over(issue, next, moved);
            }
        }
        // Nobody else is that quick.
        self.last = at + Duration::milliseconds(10);
        Ok(id)
    }

    fn unfinished_in(&self, sprint: u64) -> Vec<u64> {
        let board = self
            .sprints
            .get(&sprint)
            .and_then(|sprint| self.board(sprint.board));
        self.members_of(sprint)
            .filter(|issue| board.is_none_or(|board| !board.is_done(issue.status)))
            .map(|issue| issue.id)
            .collect()
    }

    fn carry_over(&mut self, issue: u64, next: u64, at: Instant) {
        let Some(from) = self.issues.get(&issue).map(|issue| issue.sprints.clone()) else {
            return;
        };
        let to = self.with_sprint(&from, Some(next));
        self.write_sprints(issue, from, to, at);
    }

    pub(super) fn set_sprint(
        &mut self,
        issue: u64,
        sprint: Option<u64>,
        at: Instant,
    ) -> EditResult {
        let found = self.known_issue(issue)?;
        if found.is_subtask() {
            return Err(EditError::Refused("a sub-task is in its parent's sprint"));
        }
        let from = found.sprints.clone();
        if let Some(sprint) = sprint
            && self.known_sprint(sprint)?.state == SprintState::Closed
        {
            return Err(EditError::Refused("the sprint is closed"));
        }
        let to = self.with_sprint(&from, sprint);
        self.write_sprints(issue, from, to, at);
        Ok(issue)
    }

    /// The field's next value: closed sprints stay, any other is replaced.
    fn with_sprint(&self, now: &[u64], sprint: Option<u64>) -> Vec<u64> {
        let closed = |id: &u64| {
            self.sprints
                .get(id)
                .is_some_and(|s| s.state == SprintState::Closed)
        };
        now.iter()
            .copied()
            .filter(|id| closed(id) && Some(*id) != sprint)
            .chain(sprint)
            .collect()
    }

    fn write_sprints(&mut self, issue: u64, from: Vec<u64>, to: Vec<u64>, at: Instant) {
        if from == to {
            return;
        }
        let item = custom(
            "Sprint",
            &self.site.fields.sprint,
            self.sprints_side(&from),
            self.sprints_side(&to),
        );
        for sprint in &from {
            self.members.entry(*sprint).or_default().remove(&issue);
        }
        for sprint in &to {
            self.members.entry(*sprint).or_default().insert(issue);
        }
        self.mutate(issue, at, |issue| {
            issue.sprints = to;
            vec![item]
        });
    }

    pub(super) fn known_sprint(&self, id: u64) -> Result<&Sprint, EditError> {
        self.sprints
            .get(&id)
            .ok_or(EditError::Unknown { what: "sprint", id })
    }
}
