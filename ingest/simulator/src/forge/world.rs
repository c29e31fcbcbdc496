//! The forge's state, its clock, and how its history is made.

use chrono::{DateTime, TimeDelta, Utc};

use super::ForgeSettings;
use super::edit::Way;
use super::model::{Commit, DeployState, Repo, User};
use crate::clock::Clock;
use crate::random::Random;

/// A forge with its history.
#[derive(Clone, Debug)]
pub struct ForgeWorld {
    pub(super) clock: Clock,
    pub(super) random: Random,
    pub(super) last_id: u64,
    pub(super) sequence: u64,
    pub(super) keys: Vec<String>,
    pub(super) users: Vec<User>,
    pub(super) repos: Vec<Repo>,
}

const PEOPLE: [&str; 5] = ["ada", "grace", "linus", "margaret", "tim"];
const WORDS: [&str; 8] = [
    "Pay by card",
    "Faster search",
    "Retry the export",
    "Explain the error",
    "Drop the old table",
    "Cache the report",
    "Fix the time zone",
    "Tidy the build",
];

impl ForgeWorld {
    /// The forge of the settings: the same for the same seed and instant.
    pub fn generate(settings: &ForgeSettings) -> Self {
        let begun = settings.now - TimeDelta::days(i64::from(settings.days));
        let mut clock = Clock::ticking(begun);
        clock.freeze(true);
        let mut world = Self {
            clock,
            random: Random::new(settings.seed),
            last_id: 1000,
            sequence: 0,
            keys: settings.keys.clone(),
            users: Vec::new(),
            repos: Vec::new(),
        };
        for login in PEOPLE {
            let user = User {
                id: world.id(),
                login: login.to_owned(),
                name: login.to_uppercase(),
                email: format!("{login}@example.org"),
            };
            world.users.push(user);
        }
        for number in 0..settings.repositories {
            world.create_repo(&format!("service-{number}"));
        }
        // Whatever happens last is over before the history ends.
        while world.now() < settings.now - TimeDelta::hours(7) {
            let pause = world.random.between(20, 300);
            world.clock.advance(TimeDelta::minutes(pause));
            for repo in 0..world.repos.len() {
                world.live(repo);
            }
        }
        world.clock.set(settings.now);
        world.clock.freeze(false);
        world
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub fn advance_clock(&mut self, by: TimeDelta) {
        self.clock.advance(by);
    }

    /// Stops or restarts the ticking; tests that compare instants freeze it.
    pub fn freeze_clock(&mut self, frozen: bool) {
        self.clock.freeze(frozen);
    }

    pub fn repos(&self) -> &[Repo] {
        &self.repos
    }

    /// For changes that no edit makes, such as damaging a record.
    pub fn repos_mut(&mut self) -> &mut [Repo] {
        &mut self.repos
    }

    pub fn users(&self) -> &[User] {
        &self.users
    }

    pub(super) fn id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn sha(&mut self) -> String {
        let random = &mut self.random;
        let digits: String = (0..3).map(|_| format!("{:016x}", random.next())).collect();
        digits.chars().take(40).collect()
    }

    pub(super) fn someone(&mut self) -> usize {
        self.random.index(self.users.len())
    }

    pub(super) fn issue_key(&mut self) -> String {
        let index = self.random.index(self.keys.len());
        let number = self.random.between(1, 60);
        let project = self.keys.get(index).map_or("ABC", String::as_str);
        format!("{project}-{number}")
    }

    pub(super) fn words(&mut self) -> &'static str {
        WORDS[self.random.index(WORDS.len())]
    }

    pub(super) fn commit(
        &mut self,
        repo: usize,
        parents: Vec<String>,
        message: String,
        committed: DateTime<Utc>,
    ) -> String {
        let sha = self.sha();
        self.sequence += 1;
        let commit = Commit {
            sha: sha.clone(),
            parents,
            author: self.someone(),
            authored: committed - TimeDelta::minutes(self.random.between(0, 90)),
            committed,
            message,
            sequence: self.sequence,
        };
        self.repos[repo].commits.insert(sha.clone(), commit);
        sha
    }

    /// One moment of a repository's life.
    fn live(&mut self, repo: usize) {
        let open: Vec<usize> = self.open_pulls(repo);
        let chance = self.random.unit();
        match (chance, self.random.pick(&open).copied()) {
            (..0.25, _) => self.open_pull(repo),
            (..0.45, Some(pull)) => self.review(repo, pull),
            (..0.55, Some(pull)) => self.add_commit(repo, pull),
            (..0.60, Some(pull)) => self.rewrite(repo, pull),
            (..0.80, Some(pull)) => {
                let way = [Way::Merge, Way::Squash, Way::FastForward][self.random.index(3)];
                self.merge(repo, pull, way);
            }
            (..0.83, Some(pull)) => self.close(repo, pull),
            (..0.87, _) => self.push(repo, TimeDelta::zero()),
            _ => self.deploy_to_an_end(repo),
        }
    }

    /// A deployment from its beginning to its end; after a failure, the one before again.
    fn deploy_to_an_end(&mut self, repo: usize) {
        let environment = ["production", "staging"][self.random.index(2)];
        let good = self.repos[repo]
            .deployments
            .iter()
            .rev()
            .find(|one| one.environment == environment && one.state() == DeployState::Success)
            .map(|one| one.sha.clone());
        self.deploy(repo, environment, None);
        let last = self.repos[repo].deployments.len().saturating_sub(1);
        if self.repos[repo].deployments.is_empty() {
            return;
        }
        self.clock.advance(TimeDelta::minutes(2));
        self.progress(repo, last, DeployState::Running);
        self.clock.advance(TimeDelta::minutes(5));
        let fails = self.random.chance(0.25);
        if !fails {
            return self.progress(repo, last, DeployState::Success);
        }
        self.progress(repo, last, DeployState::Failure);
        if let Some(good) = good {
            self.clock.advance(TimeDelta::minutes(20));
            self.deploy(repo, environment, Some(good));
            let back = self.repos[repo].deployments.len() - 1;
            self.progress(repo, back, DeployState::Success);
        }
    }

    pub(super) fn open_pulls(&self, repo: usize) -> Vec<usize> {
        let pulls = self.repos[repo].pulls.iter().enumerate();
        pulls
            .filter(|(_, pull)| pull.is_open())
            .map(|(index, _)| index)
            .collect()
    }
}
