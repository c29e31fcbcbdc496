//! What a forge holds.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: u64,
    pub login: String,
    pub name: String,
    pub email: String,
}

#[derive(Clone, Debug)]
pub struct Repo {
    pub id: u64,
    pub owner: String,
    pub name: String,
    /// Names with owner that it had before.
    pub former: Vec<String>,
    pub default_branch: String,
    pub private: bool,
    pub archived: bool,
    pub created: DateTime<Utc>,
    /// Newest commit of the default branch; none while it is empty.
    pub head: Option<String>,
    pub commits: BTreeMap<String, Commit>,
    pub pulls: Vec<Pull>,
    pub deployments: Vec<Deployment>,
}

#[derive(Clone, Debug)]
pub struct Commit {
    pub sha: String,
    pub parents: Vec<String>,
    pub author: usize,
    pub authored: DateTime<Utc>,
    pub committed: DateTime<Utc>,
    pub message: String,
    /// Order in which commits came to be.
    pub sequence: u64,
}

#[derive(Clone, Debug)]
pub struct Pull {
    pub id: u64,
    pub number: u64,
    pub title: String,
    pub author: usize,
    pub branch: String,
    /// Oldest first.
    pub commits: Vec<String>,
    pub created: DateTime<Utc>,
    pub updated: DateTime<Utc>,
    pub draft: bool,
    pub closed: Option<DateTime<Utc>>,
    pub merged: Option<Merge>,
    pub reviews: Vec<Review>,
    pub additions: u64,
    pub deletions: u64,
}

#[derive(Clone, Debug)]
pub struct Merge {
    pub at: DateTime<Utc>,
    pub by: usize,
    /// The commit that is on the default branch since then.
    pub sha: String,
    pub squashed: bool,
}

#[derive(Clone, Debug)]
pub struct Review {
    pub id: u64,
    pub user: usize,
    pub at: DateTime<Utc>,
    pub approves: bool,
    pub body: String,
}

#[derive(Clone, Debug)]
pub struct Deployment {
    pub id: u64,
    pub number: u64,
    pub sha: String,
    pub reference: String,
    pub environment: String,
    pub creator: usize,
    pub created: DateTime<Utc>,
    pub updated: DateTime<Utc>,
    /// Oldest first.
    pub statuses: Vec<(u64, DeployState, DateTime<Utc>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeployState {
    Queued,
    Running,
    Success,
    Failure,
    /// A later deployment took its place.
    Inactive,
}

impl Repo {
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The commits that a commit can reach, newest first; those of `without` and before are left out.
    pub fn reachable(&self, from: &str, without: Option<&str>) -> Vec<&Commit> {
        let hidden = without.map(|sha| self.history(sha)).unwrap_or_default();
        let mut found: Vec<&Commit> = self
            .history(from)
            .into_iter()
            .filter(|(sha, _)| !hidden.contains_key(sha))
            .map(|(_, commit)| commit)
            .collect();
        found.sort_by_key(|commit| std::cmp::Reverse((commit.committed, commit.sequence)));
        found
    }

    fn history(&self, from: &str) -> BTreeMap<&str, &Commit> {
        let mut found = BTreeMap::new();
        let mut next: Vec<&str> = vec![from];
        while let Some(sha) = next.pop() {
            if let Some(commit) = self.commits.get(sha)
                && found.insert(commit.sha.as_str(), commit).is_none()
            {
                next.extend(commit.parents.iter().map(String::as_str));
            }
        }
        found
    }
}

impl Pull {
    pub fn is_open(&self) -> bool {
        self.closed.is_none() && self.merged.is_none()
    }

    pub fn head(&self) -> &str {
        self.commits.last().map_or("", String::as_str)
    }
}

impl Deployment {
    /// Its latest status.
    pub fn state(&self) -> DeployState {
        self.statuses
            .last()
            .map_or(DeployState::Queued, |(_, state, _)| *state)
    }

    pub fn is_open(&self) -> bool {
        matches!(self.state(), DeployState::Queued | DeployState::Running)
    }
}
