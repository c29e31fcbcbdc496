//! The event queue that plays a history: every job happens at its instant and may plan others.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use chrono::{DateTime, Duration, Utc};

use crate::generate::calendar::{Calendar, Slot};
use crate::random::Random;
use crate::world::model::IssueKind;
use crate::world::{Edit, NewIssue, World};

/// Something that happens at an instant.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a few thousand at most, and edits are the most of them"
)]
pub(super) enum Job {
    Edit(Edit),
    /// A new backlog issue of a project.
    File {
        project: usize,
    },
    /// A support or pre-sprint issue that flows without sprints.
    Flow {
        project: usize,
        kind: IssueKind,
    },
    /// The issue reaches a status, unless it left the sprint it was worked on in.
    Reach {
        issue: u64,
        status: u64,
        sprint: Option<u64>,
    },
    Plan {
        board: usize,
        number: usize,
    },
    Start {
        board: usize,
        number: usize,
    },
    Complete {
        board: usize,
        number: usize,
    },
    /// An issue joins a running sprint, created for it or taken from the backlog.
    Join {
        board: usize,
        number: usize,
        created: bool,
    },
    Leave {
        issue: u64,
        sprint: u64,
        back: bool,
    },
    Reopen {
        issue: u64,
    },
    Reassign {
        issue: u64,
        sprint: u64,
    },
    Release {
        project: usize,
        version: usize,
    },
}

/// Says yes at a given rate with less scatter than independent draws, so that small worlds keep to it.
#[derive(Default)]
pub(super) struct Quota(f64);

impl Quota {
    pub(super) fn due(&mut self, rate: f64) -> bool {
        self.0 += rate;
        let due = self.0 >= 0.5;
        self.0 -= f64::from(u8::from(due));
        due
    }
}

pub(super) struct Driver<'w> {
    pub(super) world: &'w mut World,
    pub(super) random: Random,
    pub(super) calendar: Calendar,
    pub(super) at: DateTime<Utc>,
    /// Epics by project.
    pub(super) epics: Vec<Vec<u64>>,
    /// Slots and sprint ids by board, first sprint first.
    pub(super) slots: Vec<Vec<Slot>>,
    pub(super) sprint_ids: Vec<Vec<u64>>,
    pub(super) leaving: Quota,
    pub(super) finishing: Quota,
    pub(super) reopening: Quota,
    /// Good and bad sprints: what is added to the chance to finish in them.
    pub(super) moods: std::collections::HashMap<u64, f64>,
    /// Issues that take several sprints.
    pub(super) hard: std::collections::HashSet<u64>,
    queue: BinaryHeap<Reverse<(DateTime<Utc>, u64)>>,
    jobs: std::collections::HashMap<u64, Job>,
    sequence: u64,
}

impl<'w> Driver<'w> {
    pub(super) fn new(world: &'w mut World) -> Self {
        let random = Random::new(world.settings.seed.wrapping_mul(31).wrapping_add(17));
        let calendar = Calendar::new(&world.settings);
        let epics = vec![Vec::new(); world.projects.len()];
        Self {
            at: world.now(),
            world,
            random,
            calendar,
            epics,
            slots: Vec::new(),
            sprint_ids: Vec::new(),
            leaving: Quota::default(),
            finishing: Quota::default(),
            reopening: Quota::default(),
            moods: std::collections::HashMap::new(),
            hard: std::collections::HashSet::new(),
            queue: BinaryHeap::new(),
            jobs: std::collections::HashMap::new(),
            sequence: 0,
        }
    }

    pub(super) fn run(mut self) {
        let now = self.world.settings.now;
        let begin = now - Duration::seconds((self.world.settings.years * 365.25 * 86_400.0) as i64);
        self.at = begin;
        self.lay_out_sprints(begin);
        self.lay_out_projects(begin, now);
        while let Some(Reverse((at, sequence))) = self.queue.pop() {
            if at > now {
                break;
            }
            self.at = at;
            if let Some(job) = self.jobs.remove(&sequence) {
                self.perform(job);
            }
        }
    }

    pub(super) fn later(&mut self, at: DateTime<Utc>, job: Job) {
        self.sequence += 1;
        self.queue.push(Reverse((at, self.sequence)));
        self.jobs.insert(self.sequence, job);
    }

    pub(super) fn edit_later(&mut self, at: DateTime<Utc>, edit: Edit) {
        self.later(at, Job::Edit(edit));
    }

    /// Makes an edit now. An edit that lost its object meanwhile is dropped, as a person would.
    pub(super) fn edit(&mut self, edit: Edit) -> Option<u64> {
        self.world
            .apply(edit, self.at)
            .ok()
            .map(|applied| applied.id)
    }

    pub(super) fn create(&mut self, new: NewIssue) -> Option<u64> {
        self.edit(Edit::CreateIssue(new))
    }

    pub(super) fn between(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) -> DateTime<Utc> {
        self.calendar.between(&mut self.random, from, to)
    }

    fn perform(&mut self, job: Job) {
        match job {
            Job::Edit(edit) => {
                self.edit(edit);
            }
            Job::File { project } => {
                self.file(project, None);
            }
            Job::Flow { project, kind } => self.flow(project, kind),
            Job::Reach {
                issue,
                status,
                sprint,
            } => self.reach(issue, status, sprint),
            Job::Plan { board, number } => self.plan(board, number),
            Job::Start { board, number } => self.start(board, number),
            Job::Complete { board, number } => self.complete(board, number),
            Job::Join {
                board,
                number,
                created,
            } => self.join(board, number, created),
            Job::Leave {
                issue,
                sprint,
                back,
            } => self.leave(issue, sprint, back),
            Job::Reopen { issue } => self.reopen(issue),
            Job::Reassign { issue, sprint } => self.reassign(issue, sprint),
            Job::Release { project, version } => self.release(project, version),
        }
    }

    /// A new issue in the backlog, or right in a sprint.
    pub(super) fn file(&mut self, project: usize, sprint: Option<u64>) -> Option<u64> {
        let mut new = self.draw_issue(project);
        new.sprint = sprint;
        let id = self.create(new)?;
        if self.random.chance(0.08) {
            self.hard.insert(id);
        }
        self.plan_life(id);
        Some(id)
    }
}
