//! What can be done to a site, by the generator and by tests alike.

use std::fmt;

use chrono::{NaiveDate, SubsecRound};

use crate::world::World;
use crate::world::model::{Instant, IssueKind};

/// A change to the site. Applying one that changes nothing writes no history.
#[derive(Clone, Debug)]
pub enum Edit {
    CreateIssue(NewIssue),
    SetStatus {
        issue: u64,
        status: u64,
    },
    SetPoints {
        issue: u64,
        points: Option<f64>,
    },
    /// The field keeps its closed sprints; `None` puts the issue into the backlog.
    SetSprint {
        issue: u64,
        sprint: Option<u64>,
    },
    /// Index of a user of [`crate::Site::users`].
    Assign {
        issue: u64,
        assignee: Option<usize>,
    },
    SetSummary {
        issue: u64,
        summary: String,
    },
    SetLabels {
        issue: u64,
        labels: Vec<String>,
    },
    SetFlagged {
        issue: u64,
        flagged: bool,
    },
    /// Version ids of the issue's project; each one that leaves or enters is an item of the history.
    SetFixVersions {
        issue: u64,
        versions: Vec<u64>,
    },
    /// The epic (for a sub-task the parent is fixed).
    SetEpic {
        issue: u64,
        epic: Option<u64>,
    },
    Rank {
        issue: u64,
        higher: bool,
    },
    Comment {
        issue: u64,
        text: String,
    },
    LogWork {
        issue: u64,
        seconds: i64,
    },
    DeleteWorklog {
        issue: u64,
        worklog: u64,
    },
    /// To a page outside the site; leaves an item in the history.
    LinkRemote {
        issue: u64,
        title: String,
    },
    UnlinkRemote {
        issue: u64,
        link: u64,
    },
    /// `outward` blocks `inward`.
    Block {
        outward: u64,
        inward: u64,
    },
    /// To another project: new key, same id; sub-tasks move along.
    Move {
        issue: u64,
        project: u64,
    },
    /// With its sub-tasks, without a trace.
    Delete {
        issue: u64,
    },
    ArchiveProject {
        project: u64,
    },
    CreateSprint {
        board: u64,
        name: String,
        goal: String,
        start: Option<Instant>,
        end: Option<Instant>,
    },
    RenameSprint {
        sprint: u64,
        name: String,
    },
    StartSprint {
        sprint: u64,
    },
    /// Unfinished issues go to `next`, or stay with the closed sprint in the backlog.
    CompleteSprint {
        sprint: u64,
        next: Option<u64>,
    },
    RenameStatus {
        status: u64,
        name: String,
    },
}

/// An issue to be created; the values it is created with leave no history.
#[derive(Clone, Debug)]
pub struct NewIssue {
    pub project: u64,
    pub kind: IssueKind,
    pub summary: String,
    pub parent: Option<u64>,
    pub sprint: Option<u64>,
    pub points: Option<f64>,
    pub assignee: Option<usize>,
    pub reporter: usize,
    pub owner: Option<usize>,
    pub team: Option<usize>,
    /// Index into Highest, High, Medium, Low, Lowest.
    pub priority: usize,
    pub labels: Vec<String>,
    pub components: Vec<u64>,
    pub fix_versions: Vec<u64>,
    pub due: Option<NaiveDate>,
    pub estimate_seconds: Option<i64>,
}

impl NewIssue {
    pub fn new(project: u64, kind: IssueKind, summary: &str) -> Self {
        Self {
            project,
            kind,
            summary: summary.to_owned(),
            parent: None,
            sprint: None,
            points: None,
            assignee: None,
            reporter: 0,
            owner: None,
            team: None,
            priority: 2,
            labels: Vec::new(),
            components: Vec::new(),
            fix_versions: Vec::new(),
            due: None,
            estimate_seconds: None,
        }
    }
}

/// What an edit made, and when it counts as made.
#[derive(Clone, Copy, Debug)]
pub struct Applied {
    pub at: Instant,
    /// Of the issue, sprint or worklog that the edit created, otherwise of the one it named.
    pub id: u64,
}

/// Why an edit could not be made; the world is unchanged then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    Unknown { what: &'static str, id: u64 },
    Refused(&'static str),
}

impl fmt::Display for EditError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { what, id } => write!(out, "there is no {what} {id}"),
            Self::Refused(why) => out.write_str(why),
        }
    }
}

impl std::error::Error for EditError {}

pub(super) type EditResult = Result<u64, EditError>;

impl World {
    /// Makes an edit at the site's present instant.
    pub fn apply_now(&mut self, edit: Edit) -> Result<Applied, EditError> {
        self.apply(edit, self.now())
    }

    /// Makes an edit at an instant, which is raised to that of the last edit if it is earlier (and to
    /// just after a sprint's completion with all it moved). The clock follows.
    pub fn apply(&mut self, edit: Edit, at: Instant) -> Result<Applied, EditError> {
        let at = at.trunc_subsecs(3).max(self.last);
        let before = self.last;
        self.last = at;
        let id = self
            .dispatch(edit, at)
            .inspect_err(|_| self.last = before)?;
        if self.clock.now() < self.last {
            self.clock.set(self.last);
        }
        Ok(Applied { at, id })
    }

    fn dispatch(&mut self, edit: Edit, at: Instant) -> EditResult {
        match edit {
            Edit::CreateIssue(new) => self.create_issue(new, at),
            Edit::SetStatus { issue, status } => self.set_status(issue, status, at),
            Edit::SetPoints { issue, points } => self.set_points(issue, points, at),
            Edit::SetSprint { issue, sprint } => self.set_sprint(issue, sprint, at),
            Edit::Assign { issue, assignee } => self.assign(issue, assignee, at),
            Edit::SetSummary { issue, summary } => self.set_summary(issue, summary, at),
            Edit::SetLabels { issue, labels } => self.set_labels(issue, labels, at),
            Edit::SetFlagged { issue, flagged } => self.set_flagged(issue, flagged, at),
            Edit::SetFixVersions { issue, versions } => self.set_fix_versions(issue, versions, at),
            Edit::SetEpic { issue, epic } => self.set_epic(issue, epic, at),
            Edit::Rank { issue, higher } => self.rank(issue, higher, at),
            Edit::Comment { issue, text } => self.comment(issue, text, at),
            Edit::LogWork { issue, seconds } => self.log_work(issue, seconds, at),
            Edit::DeleteWorklog { issue, worklog } => self.delete_worklog(issue, worklog, at),
            Edit::LinkRemote { issue, title } => self.link_remote(issue, title, at),
            Edit::UnlinkRemote { issue, link } => self.unlink_remote(issue, link, at),
            Edit::Block { outward, inward } => self.block(outward, inward, at),
            Edit::Move { issue, project } => self.move_issue(issue, project, at),
            Edit::Delete { issue } => self.delete(issue),
            Edit::ArchiveProject { project } => self.archive(project, at),
            Edit::CreateSprint {
                board,
                name,
                goal,
                start,
                end,
            } => self.create_sprint(board, name, goal, (start, end), at),
            Edit::RenameSprint { sprint, name } => self.rename_sprint(sprint, name),
            Edit::StartSprint { sprint } => self.start_sprint(sprint, at),
            Edit::CompleteSprint { sprint, next } => self.complete_sprint(sprint, next, at),
            Edit::RenameStatus { status, name } => self.rename_status(status, name),
        }
    }
}
