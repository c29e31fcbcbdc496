//! The simulated site's state: an event-sourced world that every edit, generated or asked for, goes
//! through. Histories are what the API shows; timelines and sprint logs are kept beside them, so that
//! what a warehouse replays from histories can be compared with something not derived from them.

mod change;
mod edit;
mod issues;
pub mod model;
mod observe;
mod removal;
mod report;
pub(crate) mod site;
mod sprints;
mod truth;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Duration, Utc};

use crate::clock::Clock;
use crate::random::Random;
use crate::settings::WorldSettings;
use crate::world::model::{Board, Issue, Link, Project, Sprint};

pub use edit::{Applied, Edit, EditError, NewIssue};
pub use report::{Misreport, ReportIssue, ReportList, SprintReport};
pub use site::{FieldIds, Site};
pub use truth::{IssueTruth, Outcome, SprintTruth};

/// One simulated site.
#[derive(Clone, Debug)]
pub struct World {
    pub(crate) settings: WorldSettings,
    pub(crate) site: Site,
    pub(crate) projects: Vec<Project>,
    pub(crate) boards: Vec<Board>,
    pub(crate) sprints: BTreeMap<u64, Sprint>,
    pub(crate) issues: BTreeMap<u64, Issue>,
    pub(crate) links: Vec<Link>,
    pub(crate) random: Random,
    pub(crate) deleted_worklogs: Vec<(u64, DateTime<Utc>)>,
    clock: Clock,
    /// Every key an issue ever had.
    keys: HashMap<String, u64>,
    /// Issues whose own Sprint field has the sprint.
    members: HashMap<u64, BTreeSet<u64>>,
    by_project: HashMap<u64, BTreeSet<u64>>,
    active: BTreeSet<u64>,
    /// Sub-tasks by parent.
    subtasks: HashMap<u64, Vec<u64>>,
    deleted: Vec<u64>,
    logs: BTreeMap<u64, observe::SprintLog>,
    /// What reports say wrongly, by sprint.
    pub(crate) misreports: BTreeMap<u64, Vec<Misreport>>,
    next: NextIds,
    last: DateTime<Utc>,
}

#[derive(Clone, Debug)]
struct NextIds {
    issue: u64,
    history: u64,
    sprint: u64,
    entry: u64,
    rank: i64,
}

impl World {
    /// A site with its configuration, but without issues and sprints.
    pub fn empty(settings: &WorldSettings) -> Self {
        let mut random = Random::new(settings.seed);
        let people = (settings.projects * settings.people_per_project) as usize;
        let site = Site::generate(&mut random, people);
        let begin = settings.now - Duration::seconds((settings.years * 365.25 * 86_400.0) as i64);
        let mut world = Self {
            settings: settings.clone(),
            site,
            projects: Vec::new(),
            boards: Vec::new(),
            sprints: BTreeMap::new(),
            issues: BTreeMap::new(),
            links: Vec::new(),
            random,
            deleted_worklogs: Vec::new(),
            clock: Clock::ticking(settings.now),
            keys: HashMap::new(),
            members: HashMap::new(),
            by_project: HashMap::new(),
            active: BTreeSet::new(),
            subtasks: HashMap::new(),
            deleted: Vec::new(),
            logs: BTreeMap::new(),
            misreports: BTreeMap::new(),
            next: NextIds {
                issue: 10_100,
                history: 20_000,
                sprint: 1,
                entry: 10_000,
                rank: 1_000,
            },
            last: begin,
        };
        crate::generate::configure(&mut world);
        world
    }

    /// A site with the history that the settings ask for.
    pub fn generate(settings: &WorldSettings) -> Self {
        let mut world = Self::empty(settings);
        crate::generate::history(&mut world);
        world
    }

    pub fn settings(&self) -> &WorldSettings {
        &self.settings
    }

    pub fn site(&self) -> &Site {
        &self.site
    }

    pub fn projects(&self) -> &[Project] {
        &self.projects
    }

    pub fn boards(&self) -> &[Board] {
        &self.boards
    }

    /// Sprints in the order of their creation.
    pub fn sprints(&self) -> impl Iterator<Item = &Sprint> {
        self.sprints.values()
    }

    /// Living issues by id.
    pub fn issues(&self) -> impl Iterator<Item = &Issue> {
        self.issues.values()
    }

    pub fn issue(&self, id: u64) -> Option<&Issue> {
        self.issues.get(&id)
    }

    /// By id, by key, or by a key it had before a move.
    pub fn find_issue(&self, id_or_key: &str) -> Option<&Issue> {
        let id = match id_or_key.parse::<u64>() {
            Ok(id) => id,
            Err(_) => *self.keys.get(&id_or_key.to_uppercase())?,
        };
        self.issues.get(&id)
    }

    pub fn sprint(&self, id: u64) -> Option<&Sprint> {
        self.sprints.get(&id)
    }

    pub fn project(&self, id: u64) -> Option<&Project> {
        self.projects.iter().find(|project| project.id == id)
    }

    pub fn board(&self, id: u64) -> Option<&Board> {
        self.boards.iter().find(|board| board.id == id)
    }

    /// Ids of issues that were deleted; the API never shows them.
    pub fn deleted_issues(&self) -> &[u64] {
        &self.deleted
    }

    /// The Sprint field as the API shows it: a sub-task's is its parent's.
    pub fn sprints_of<'a>(&'a self, issue: &'a Issue) -> &'a [u64] {
        if issue.is_subtask()
            && let Some(parent) = issue.parent.and_then(|parent| self.issues.get(&parent))
        {
            return &parent.sprints;
        }
        &issue.sprints
    }

    /// The board's sprints, those of boards it shows included.
    pub fn sprints_on(&self, board: &Board) -> Vec<&Sprint> {
        self.sprints
            .values()
            .filter(|sprint| {
                sprint.board == board.id || board.shows_sprints_of.contains(&sprint.board)
            })
            .collect()
    }

    pub fn subtasks_of(&self, issue: u64) -> &[u64] {
        self.subtasks.get(&issue).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn active_sprints(&self) -> impl Iterator<Item = &Sprint> {
        self.active.iter().filter_map(|id| self.sprints.get(id))
    }

    /// Issues, sub-tasks not among them, whose Sprint field has the sprint.
    pub(crate) fn members_of(&self, sprint: u64) -> impl Iterator<Item = &Issue> {
        let ids = self.members.get(&sprint).into_iter().flatten();
        ids.filter_map(|id| self.issues.get(id))
    }

    pub(crate) fn issues_of(&self, project: u64) -> impl Iterator<Item = &Issue> {
        let ids = self.by_project.get(&project).into_iter().flatten();
        ids.filter_map(|id| self.issues.get(id))
    }

    /// The site's clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now().max(self.last)
    }

    pub fn advance_clock(&mut self, by: Duration) {
        self.clock.advance(by);
    }

    /// A frozen clock moves only by edits and by [`World::advance_clock`].
    pub fn freeze_clock(&mut self, frozen: bool) {
        self.clock.freeze(frozen);
    }
}
