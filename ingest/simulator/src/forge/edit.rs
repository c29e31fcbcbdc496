//! What can happen to a forge. Whatever does not fit the present state does not happen.

use chrono::TimeDelta;

use super::model::{DeployState, Deployment, Merge, Pull, Repo, Review};
use super::world::ForgeWorld;

/// How a pull request comes onto the default branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a commit with two parents.
    Merge,
    /// As one new commit.
    Squash,
    /// The branch's own commits.
    FastForward,
}

impl ForgeWorld {
    pub fn create_repo(&mut self, name: &str) {
        let repo = Repo {
            id: self.id(),
            owner: "acme".to_owned(),
            name: name.to_owned(),
            former: Vec::new(),
            default_branch: "main".to_owned(),
            private: true,
            archived: false,
            created: self.now(),
            head: None,
            commits: Default::default(),
            pulls: Vec::new(),
            deployments: Vec::new(),
        };
        self.repos.push(repo);
        self.push(self.repos.len() - 1, TimeDelta::zero());
    }

    pub fn rename_repo(&mut self, repo: usize, name: &str) {
        let repo = &mut self.repos[repo];
        let before = repo.full_name();
        repo.former.push(before);
        name.clone_into(&mut repo.name);
    }

    pub fn delete_repo(&mut self, repo: usize) {
        self.repos.remove(repo);
    }

    /// A commit on the default branch, made as long ago as said: a merge by hand brings in old ones.
    pub fn push(&mut self, repo: usize, ago: TimeDelta) {
        let (key, words) = (self.issue_key(), self.words());
        let at = self.now() - ago;
        let head = self.repos[repo].head.clone();
        let message = format!("{key} {words}\n\nSee also {}.", self.issue_key());
        let mut sha = self.commit(repo, head.clone().into_iter().collect(), message, at);
        if !ago.is_zero() && head.is_some() {
            // The old commit comes by a merge of now.
            let parents = head.into_iter().chain([sha]).collect();
            let now = self.now();
            sha = self.commit(repo, parents, "Merge branch 'old'".to_owned(), now);
        }
        self.repos[repo].head = Some(sha);
    }

    /// Throws the newest commit of the default branch away and puts another one in its place.
    pub fn force_push(&mut self, repo: usize) {
        let head = self.repos[repo].head.clone();
        let parent = head.and_then(|head| {
            let commit = self.repos[repo].commits.get(&head)?;
            commit.parents.first().cloned()
        });
        if let Some(parent) = parent {
            self.repos[repo].head = Some(parent);
            self.push(repo, TimeDelta::zero());
        }
    }

    pub fn open_pull(&mut self, repo: usize) {
        let Some(base) = self.repos[repo].head.clone() else {
            return;
        };
        let (key, words, now) = (self.issue_key(), self.words(), self.now());
        let number = self.repos[repo].pulls.len() as u64 + 1;
        let slug = words.to_lowercase().replace(' ', "-");
        let branch = format!("feature/{key}-{slug}-{number}");
        let first = self.commit(repo, vec![base], format!("{key} {words}"), now);
        let pull = Pull {
            id: self.id(),
            number,
            title: format!("{key} {words}"),
            author: self.someone(),
            branch,
            commits: vec![first],
            created: now,
            updated: now,
            draft: self.random.chance(0.2),
            closed: None,
            merged: None,
            reviews: Vec::new(),
            additions: self.random.next() % 400,
            deletions: self.random.next() % 200,
        };
        self.repos[repo].pulls.push(pull);
    }

    fn touch(&mut self, repo: usize, pull: usize) -> &mut Pull {
        let now = self.now();
        let pull = &mut self.repos[repo].pulls[pull];
        pull.updated = now;
        pull
    }

    pub fn add_commit(&mut self, repo: usize, pull: usize) {
        if !self.repos[repo].pulls[pull].is_open() {
            return;
        }
        let parent = self.repos[repo].pulls[pull].head().to_owned();
        let (key, words, now) = (self.issue_key(), self.words(), self.now());
        let sha = self.commit(repo, vec![parent], format!("{key} {words}"), now);
        self.touch(repo, pull).commits.push(sha);
    }

    /// Replaces the last commit of a branch by another one.
    pub fn rewrite(&mut self, repo: usize, pull: usize) {
        if !self.repos[repo].pulls[pull].is_open() {
            return;
        }
        let last = self.repos[repo].pulls[pull].head().to_owned();
        let parents = self.repos[repo].commits[&last].parents.clone();
        let (words, now) = (self.words(), self.now());
        let sha = self.commit(repo, parents, format!("{words}, again"), now);
        let pull = self.touch(repo, pull);
        pull.commits.pop();
        pull.commits.push(sha);
    }

    pub fn retitle(&mut self, repo: usize, pull: usize, title: &str) {
        title.clone_into(&mut self.touch(repo, pull).title);
    }

    pub fn set_draft(&mut self, repo: usize, pull: usize, draft: bool) {
        self.touch(repo, pull).draft = draft;
    }

    pub fn review(&mut self, repo: usize, pull: usize) {
        let review = Review {
            id: self.id(),
            user: self.someone(),
            at: self.now(),
            approves: self.random.chance(0.5),
            body: "Looks good".to_owned(),
        };
        self.touch(repo, pull).reviews.push(review);
    }

    pub fn merge(&mut self, repo: usize, pull: usize, way: Way) {
        let one = &self.repos[repo].pulls[pull];
        let (true, Some(head)) = (one.is_open(), self.repos[repo].head.clone()) else {
            return;
        };
        let (title, number, own) = (one.title.clone(), one.number, one.head().to_owned());
        let now = self.now();
        let sha = match way {
            Way::Merge => {
                let message = format!("Merge pull request #{number}\n\n{title}");
                self.commit(repo, vec![head, own], message, now)
            }
            Way::Squash => self.commit(repo, vec![head], format!("{title} (#{number})"), now),
            Way::FastForward => {
                // Only a branch that begins at the head can do without a commit of its own.
                let begins = self.repos[repo].reachable(&own, None);
                match begins.iter().any(|commit| commit.sha == head) {
                    true => own,
                    false => self.commit(repo, vec![head, own], title, now),
                }
            }
        };
        let by = self.someone();
        self.repos[repo].head = Some(sha.clone());
        let squashed = way == Way::Squash;
        let pull = self.touch(repo, pull);
        pull.closed = Some(now);
        pull.merged = Some(Merge {
            at: now,
            by,
            sha,
            squashed,
        });
    }

    pub fn close(&mut self, repo: usize, pull: usize) {
        let now = self.now();
        if self.repos[repo].pulls[pull].is_open() {
            self.touch(repo, pull).closed = Some(now);
        }
    }

    pub fn reopen(&mut self, repo: usize, pull: usize) {
        if self.repos[repo].pulls[pull].merged.is_none() {
            self.touch(repo, pull).closed = None;
        }
    }

    /// A deployment of a commit, the newest without one.
    pub fn deploy(&mut self, repo: usize, environment: &str, sha: Option<String>) {
        let Some(sha) = sha.or_else(|| self.repos[repo].head.clone()) else {
            return;
        };
        let now = self.now();
        let deployment = Deployment {
            id: self.id(),
            number: self.repos[repo].deployments.len() as u64 + 1,
            sha,
            reference: self.repos[repo].default_branch.clone(),
            environment: environment.to_owned(),
            creator: self.someone(),
            created: now,
            updated: now,
            statuses: Vec::new(),
        };
        self.repos[repo].deployments.push(deployment);
        let last = self.repos[repo].deployments.len() - 1;
        self.progress(repo, last, DeployState::Queued);
    }

    /// The next status of a deployment; a success takes the place of the one before.
    pub fn progress(&mut self, repo: usize, deployment: usize, state: DeployState) {
        let (id, now) = (self.id(), self.now());
        let one = &mut self.repos[repo].deployments[deployment];
        one.statuses.push((id, state, now));
        one.updated = now;
        if state != DeployState::Success {
            return;
        }
        let environment = one.environment.clone();
        for before in 0..self.repos[repo].deployments.len() {
            let one = &self.repos[repo].deployments[before];
            let replaced = before != deployment
                && one.environment == environment
                && one.state() == DeployState::Success;
            if replaced {
                let id = self.id();
                let one = &mut self.repos[repo].deployments[before];
                one.statuses.push((id, DeployState::Inactive, now));
            }
        }
    }

    /// Something of the usual, by numbers that a property test may choose and shrink.
    pub fn happen(&mut self, what: u8, which: usize, value: usize) {
        if self.repos.is_empty() {
            return self.create_repo(&format!("again-{value}"));
        }
        let repo = which % self.repos.len();
        let pulls = self.repos[repo].pulls.len();
        let pull = value % pulls.max(1);
        let deployments = self.repos[repo].deployments.len();
        let deployment = value % deployments.max(1);
        match what {
            0 => self.open_pull(repo),
            1 => self.push(repo, TimeDelta::zero()),
            2 => self.push(repo, TimeDelta::days(value as i64 % 40 + 1)),
            3 => self.deploy(repo, ["production", "staging"][value % 2], None),
            4 if self.repos.len() < 4 => self.create_repo(&format!("new-{}", self.last_id)),
            5 => self.rename_repo(repo, &format!("renamed-{value}")),
            6 if value.is_multiple_of(5) => self.delete_repo(repo),
            7..=9 if deployments > 0 && self.repos[repo].deployments[deployment].is_open() => {
                let states = [
                    DeployState::Running,
                    DeployState::Success,
                    DeployState::Failure,
                ];
                self.progress(repo, deployment, states[usize::from(what - 7)]);
            }
            10 if pulls > 0 => self.add_commit(repo, pull),
            11 if pulls > 0 => self.rewrite(repo, pull),
            12 if pulls > 0 => {
                let title = format!("{} and {}", self.issue_key(), self.issue_key());
                self.retitle(repo, pull, &title);
            }
            13 if pulls > 0 => self.set_draft(repo, pull, value.is_multiple_of(2)),
            14 if pulls > 0 => self.review(repo, pull),
            15 if pulls > 0 => self.merge(repo, pull, Way::Merge),
            16 if pulls > 0 => self.merge(repo, pull, Way::Squash),
            17 if pulls > 0 => self.merge(repo, pull, Way::FastForward),
            18 if pulls > 0 => self.close(repo, pull),
            19 if pulls > 0 => self.reopen(repo, pull),
            _ => {}
        }
    }
}
