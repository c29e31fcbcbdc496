//! The nouns of a site: people, projects, boards, sprints, issues and their histories.

use chrono::{DateTime, NaiveDate, Utc};

pub type Instant = DateTime<Utc>;

/// Status categories, with Jira's fixed ids and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    ToDo,
    InProgress,
    Done,
}

#[derive(Clone, Debug)]
pub struct Status {
    pub id: u64,
    pub name: String,
    pub category: Category,
}

#[derive(Clone, Debug)]
pub struct User {
    pub account_id: String,
    /// Data Center: login name and key.
    pub name: String,
    pub key: String,
    pub display_name: String,
    pub email: String,
    pub active: bool,
    pub app: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IssueKind {
    Epic,
    Story,
    Task,
    Bug,
    SubTask,
}

#[derive(Clone, Debug)]
pub struct Version {
    pub id: u64,
    pub name: String,
    pub start: NaiveDate,
    pub release: NaiveDate,
    pub released: bool,
}

#[derive(Clone, Debug)]
pub struct Component {
    pub id: u64,
    pub name: String,
}

#[derive(Clone, Debug)]
pub struct Project {
    pub id: u64,
    pub key: String,
    pub name: String,
    /// Index of the lead in the site's users.
    pub lead: usize,
    pub members: Vec<usize>,
    /// Index into the site's discipline teams.
    pub teams: Vec<usize>,
    /// Status ids of the workflow in working order; the first is where issues begin.
    pub workflow: Vec<u64>,
    pub workflow_id: u64,
    pub versions: Vec<Version>,
    pub components: Vec<Component>,
    pub estimate_field: String,
    pub next_number: u64,
    pub archived_at: Option<Instant>,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub statuses: Vec<u64>,
}

#[derive(Clone, Debug)]
pub struct Board {
    pub id: u64,
    pub name: String,
    /// False for a kanban board, which has no sprints.
    pub scrum: bool,
    /// Of a team-managed project: of the kind `simple`, whatever it can do.
    pub simple: bool,
    pub filter_id: u64,
    /// Projects of the board's filter, the board's location first.
    pub projects: Vec<u64>,
    /// Issue kinds of the filter; empty: all.
    pub kinds: Vec<IssueKind>,
    pub columns: Vec<Column>,
    /// Boards whose sprints are listed here besides its own.
    pub shows_sprints_of: Vec<u64>,
    pub estimate_field: Option<String>,
}

impl Board {
    /// The kind as the API names it.
    pub(crate) fn kind(&self) -> &'static str {
        match (self.simple, self.scrum) {
            (true, _) => "simple",
            (false, true) => "scrum",
            (false, false) => "kanban",
        }
    }

    /// Whether the status is in the right-most column.
    pub fn is_done(&self, status: u64) -> bool {
        self.columns
            .last()
            .is_some_and(|column| column.statuses.contains(&status))
    }

    /// Whether any column maps the status.
    pub fn maps(&self, status: u64) -> bool {
        self.columns
            .iter()
            .any(|column| column.statuses.contains(&status))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SprintState {
    Future,
    Active,
    Closed,
}

#[derive(Clone, Debug)]
pub struct Sprint {
    pub id: u64,
    pub board: u64,
    pub name: String,
    pub goal: String,
    pub state: SprintState,
    pub created: Instant,
    /// Planned start, then the start the team entered.
    pub start: Option<Instant>,
    pub end: Option<Instant>,
    pub activated: Option<Instant>,
    pub completed: Option<Instant>,
}

/// One changed field of a history.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryItem {
    pub field: String,
    pub field_id: Option<String>,
    pub custom: bool,
    pub from: Option<String>,
    pub from_text: Option<String>,
    pub to: Option<String>,
    pub to_text: Option<String>,
}

#[derive(Clone, Debug)]
pub struct History {
    pub id: u64,
    pub created: Instant,
    /// Index of the author; automation has none.
    pub author: Option<usize>,
    pub items: Vec<HistoryItem>,
}

#[derive(Clone, Debug)]
pub struct Worklog {
    pub id: u64,
    pub author: usize,
    pub started: Instant,
    pub created: Instant,
    pub seconds: i64,
}

#[derive(Clone, Debug)]
pub struct Comment {
    pub id: u64,
    pub author: usize,
    pub created: Instant,
    pub text: String,
}

/// A link to something outside the site.
#[derive(Clone, Debug)]
pub struct RemoteLink {
    pub id: u64,
    pub title: String,
}

/// A link as the outward end sees it; the other issue shows it as inward.
#[derive(Clone, Debug)]
pub struct Link {
    pub id: u64,
    pub kind: usize,
    pub outward: u64,
    pub inward: u64,
}

/// The values an attribute had, in the order of time; independent of the changelog.
#[derive(Clone, Debug)]
pub struct Timeline<T>(Vec<(Instant, T)>);

impl<T: PartialEq> Timeline<T> {
    pub(crate) fn starting(at: Instant, value: T) -> Self {
        Self(vec![(at, value)])
    }

    pub(crate) fn push(&mut self, at: Instant, value: T) {
        if self.0.last().is_none_or(|(_, last)| *last != value) {
            self.0.push((at, value));
        }
    }

    /// The value at an instant, changes at that instant included.
    pub fn at(&self, at: Instant) -> Option<&T> {
        self.0
            .iter()
            .rev()
            .find(|(since, _)| *since <= at)
            .map(|(_, value)| value)
    }

    pub fn entries(&self) -> &[(Instant, T)] {
        &self.0
    }
}

#[derive(Clone, Debug)]
pub struct Issue {
    pub id: u64,
    pub key: String,
    pub project: u64,
    pub kind: IssueKind,
    pub parent: Option<u64>,
    pub summary: String,
    pub status: u64,
    pub status_since: Instant,
    pub priority: usize,
    pub resolution: Option<usize>,
    pub resolved: Option<Instant>,
    pub assignee: Option<usize>,
    pub reporter: usize,
    pub owner: Option<usize>,
    pub created: Instant,
    pub updated: Instant,
    pub due: Option<NaiveDate>,
    pub points: Option<f64>,
    pub actual_points: Option<f64>,
    /// Own value of the Sprint field; a sub-task shows its parent's.
    pub sprints: Vec<u64>,
    pub labels: Vec<String>,
    pub components: Vec<u64>,
    pub fix_versions: Vec<u64>,
    pub rank: i64,
    pub flagged: bool,
    pub team: Option<usize>,
    pub estimate_seconds: Option<i64>,
    pub spent_seconds: i64,
    pub histories: Vec<History>,
    pub worklogs: Vec<Worklog>,
    pub comments: Vec<Comment>,
    pub remote_links: Vec<RemoteLink>,
    pub status_line: Timeline<u64>,
    pub sprint_line: Timeline<Vec<u64>>,
    pub points_line: Timeline<Option<f64>>,
    pub assignee_line: Timeline<Option<usize>>,
    /// Instants at which `updated` moved, for the delayed index.
    pub(crate) touched: Vec<Instant>,
}

impl Issue {
    pub fn is_subtask(&self) -> bool {
        self.kind == IssueKind::SubTask
    }

    /// The number at the end of the key.
    pub fn number(&self) -> u64 {
        self.key
            .rsplit('-')
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    }

    pub(crate) fn touch(&mut self, at: Instant) {
        self.updated = self.updated.max(at);
        self.touched.push(at);
    }
}
