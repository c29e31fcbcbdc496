//! The forge as GitLab's REST API shows it.

use serde_json::{Value, json};

use super::listing::{Ask, Reply, decoded, milliseconds};
use super::model::{Commit, DeployState, Deployment, Pull, Repo, Review, User};
use super::world::ForgeWorld;

struct View<'a> {
    world: &'a ForgeWorld,
}

/// Answers a request.
pub(super) fn answer(world: &ForgeWorld, ask: &Ask<'_>) -> Reply {
    let view = View { world };
    let Some(("api", ["v4", rest @ ..])) = ask.parts.split_first().map(|(one, rest)| (*one, rest))
    else {
        return refused(404, "404 Not Found");
    };
    match rest {
        ["version"] => Reply::One(json!({"version": "18.6.0-ee", "revision": "0123abcd"})),
        ["user"] => match world.users.first() {
            Some(user) => Reply::One(view.user(user)),
            None => refused(404, "404 Not Found"),
        },
        ["projects"] => {
            let after: u64 = ask
                .text("id_after")
                .and_then(|text| text.parse().ok())
                .unwrap_or_default();
            let mut repos: Vec<&Repo> = world.repos.iter().filter(|repo| repo.id > after).collect();
            repos.sort_by_key(|repo| repo.id);
            Reply::List(repos.into_iter().map(|repo| view.project(repo)).collect())
        }
        ["projects", name, rest @ ..] => {
            let name = decoded(name);
            let is_it = |repo: &&Repo| repo.id.to_string() == name || repo.full_name() == name;
            if let Some(repo) = world.repos.iter().find(is_it) {
                return view.inside(repo, rest, ask);
            }
            let moved = world.repos.iter().find(|repo| repo.former.contains(&name));
            match moved {
                Some(repo) => {
                    let rest: String = rest.iter().map(|part| format!("/{part}")).collect();
                    Reply::Moved(format!("{}/api/v4/projects/{}{rest}", ask.base, repo.id))
                }
                None => refused(404, "404 Project Not Found"),
            }
        }
        _ => refused(404, "404 Not Found"),
    }
}

fn refused(status: u16, message: &str) -> Reply {
    Reply::Refused(status, json!({"message": message}))
}

impl View<'_> {
    fn inside(&self, repo: &Repo, rest: &[&str], ask: &Ask<'_>) -> Reply {
        let pull = |number: &str| {
            repo.pulls
                .iter()
                .find(|one| one.number.to_string() == number)
        };
        let absent = || refused(404, "404 Not found");
        let is_descending = ask.text("sort") != Some("asc");
        match rest {
            [] => Reply::One(self.project(repo)),
            ["merge_requests"] => Reply::List(self.merge_requests(repo, ask)),
            ["merge_requests", number] => {
                pull(number).map_or_else(absent, |one| Reply::One(self.merge_request(repo, one)))
            }
            ["merge_requests", number, "notes"] => pull(number).map_or_else(absent, |one| {
                let mut notes = self.notes(repo, one);
                if is_descending {
                    notes.reverse();
                }
                Reply::List(notes)
            }),
            ["merge_requests", number, "commits"] => pull(number).map_or_else(absent, |one| {
                let newest = one.commits.iter().rev();
                let newest = newest.filter_map(|sha| repo.commits.get(sha));
                // A merge request keeps its commits without their parents.
                Reply::List(
                    newest
                        .map(|commit| self.commit(repo, commit, false))
                        .collect(),
                )
            }),
            ["repository", "commits"] => self.commits(repo, ask),
            ["deployments"] => self.deployments(repo, ask),
            ["deployments", id] => {
                let one = repo
                    .deployments
                    .iter()
                    .find(|one| one.id.to_string() == *id);
                one.map_or_else(absent, |one| Reply::One(self.deployment(repo, one)))
            }
            _ => absent(),
        }
    }

    fn merge_requests(&self, repo: &Repo, ask: &Ask<'_>) -> Vec<Value> {
        let wanted = ask.text("state").unwrap_or("all");
        let after = ask.instant("updated_after");
        let mut pulls: Vec<&Pull> = repo
            .pulls
            .iter()
            .filter(|one| wanted == "all" || wanted == state(one))
            .filter(|one| after.is_none_or(|after| one.updated >= after))
            .collect();
        match ask.text("order_by") {
            Some("updated_at") => pulls.sort_by_key(|one| (one.updated, one.id)),
            _ => pulls.sort_by_key(|one| (one.created, one.id)),
        }
        if ask.text("sort") != Some("asc") {
            pulls.reverse();
        }
        let shown = pulls.into_iter().map(|one| self.merge_request(repo, one));
        shown.collect()
    }

    fn commits(&self, repo: &Repo, ask: &Ask<'_>) -> Reply {
        let Some(head) = &repo.head else {
            return refused(404, "404 Repository Not Found");
        };
        let named = |name: &str| match name {
            "" => Some(head.clone()),
            branch if branch == repo.default_branch => Some(head.clone()),
            sha => repo.commits.contains_key(sha).then(|| sha.to_owned()),
        };
        let reference = ask.text("ref_name").unwrap_or_default();
        let (without, from) = match reference.split_once("..") {
            Some((without, from)) => (Some(named(without)), named(from)),
            None => (None, named(reference)),
        };
        let (Some(from), true) = (from, without.as_ref().is_none_or(Option::is_some)) else {
            return refused(404, "404 Commit Not Found");
        };
        let found = repo.reachable(&from, without.flatten().as_deref());
        let shown = found
            .into_iter()
            .map(|commit| self.commit(repo, commit, true));
        Reply::List(shown.collect())
    }

    fn deployments(&self, repo: &Repo, ask: &Ask<'_>) -> Reply {
        let by_update = ask.text("order_by") == Some("updated_at");
        let after = ask.instant("updated_after");
        if after.is_some() != by_update {
            let message =
                "400 Bad request - `updated_at` filter and `updated_at` sorting must be paired";
            return refused(400, message);
        }
        let mut found: Vec<&Deployment> = repo
            .deployments
            .iter()
            .filter(|one| after.is_none_or(|after| one.updated >= after))
            .collect();
        if by_update {
            found.sort_by_key(|one| (one.updated, one.id));
        }
        // Here, oldest first is the default.
        if ask.text("sort") == Some("desc") {
            found.reverse();
        }
        Reply::List(
            found
                .into_iter()
                .map(|one| self.deployment(repo, one))
                .collect(),
        )
    }

    fn web(&self, repo: &Repo) -> String {
        format!("https://gitlab.example/{}", repo.full_name())
    }

    fn user(&self, user: &User) -> Value {
        json!({"id": user.id, "username": user.login, "name": user.name, "state": "active",
            "locked": false, "avatar_url": null,
            "web_url": format!("https://gitlab.example/{}", user.login)})
    }

    fn by(&self, index: usize) -> Value {
        self.world
            .users
            .get(index)
            .map_or(Value::Null, |user| self.user(user))
    }

    fn project(&self, repo: &Repo) -> Value {
        let pushed = repo.head.as_ref().and_then(|head| repo.commits.get(head));
        let pushed = milliseconds(pushed.map_or(repo.created, |commit| commit.committed));
        let web = self.web(repo);
        json!({"id": repo.id, "description": null, "name": repo.name,
            "name_with_namespace": format!("{} / {}", repo.owner, repo.name), "path": repo.name,
            "path_with_namespace": repo.full_name(), "created_at": milliseconds(repo.created),
            "default_branch": repo.head.as_ref().map(|_| &repo.default_branch), "tag_list": [],
            "topics": [], "ssh_url_to_repo": format!("git@gitlab.example:{}.git", repo.full_name()),
            "http_url_to_repo": format!("{web}.git"), "web_url": web, "readme_url": null,
            "forks_count": 0, "avatar_url": null, "star_count": 0, "last_activity_at": pushed,
            "visibility": if repo.private { "private" } else { "public" }, "archived": repo.archived,
            "empty_repo": repo.head.is_none(),
            "namespace": {"id": 1, "name": repo.owner, "path": repo.owner, "kind": "group",
                "full_path": repo.owner, "parent_id": null, "avatar_url": null,
                "web_url": format!("https://gitlab.example/groups/{}", repo.owner)}})
    }

    fn commit(&self, repo: &Repo, commit: &Commit, parents: bool) -> Value {
        let person = self.world.users.get(commit.author);
        let name = person.map_or("nobody", |user| user.name.as_str());
        let email = person.map_or("", |user| user.email.as_str());
        let title = commit.message.lines().next().unwrap_or_default();
        let parents: &[String] = if parents { &commit.parents } else { &[] };
        json!({"id": commit.sha, "short_id": commit.sha.get(..8), "created_at": milliseconds(commit.committed),
            "parent_ids": parents, "title": title, "message": commit.message,
            "author_name": name, "author_email": email, "authored_date": milliseconds(commit.authored),
            "committer_name": name, "committer_email": email,
            "committed_date": milliseconds(commit.committed), "trailers": {}, "extended_trailers": {},
            "web_url": format!("{}/-/commit/{}", self.web(repo), commit.sha)})
    }

    fn merge_request(&self, repo: &Repo, pull: &Pull) -> Value {
        let merge = pull.merged.as_ref();
        let is_plain = merge.is_some_and(|merge| !merge.squashed && merge.sha != pull.head());
        let merged_by = merge.map(|merge| self.by(merge.by));
        let closed = pull.closed.filter(|_| merge.is_none());
        let web = format!("{}/-/merge_requests/{}", self.web(repo), pull.number);
        json!({"id": pull.id, "iid": pull.number, "project_id": repo.id, "title": pull.title,
            "description": null, "state": state(pull), "created_at": milliseconds(pull.created),
            "updated_at": milliseconds(pull.updated), "merged_by": merged_by, "merge_user": merged_by,
            "merged_at": merge.map(|merge| milliseconds(merge.at)), "closed_by": null,
            "closed_at": closed.map(milliseconds), "target_branch": repo.default_branch,
            "source_branch": pull.branch, "user_notes_count": pull.reviews.len(), "upvotes": 0,
            "downvotes": 0, "author": self.by(pull.author), "assignees": [], "assignee": null,
            "reviewers": [], "source_project_id": repo.id, "target_project_id": repo.id,
            "labels": [], "draft": pull.draft, "work_in_progress": pull.draft, "imported": false,
            "milestone": null, "merge_when_pipeline_succeeds": false, "merge_status": "can_be_merged",
            "detailed_merge_status": "mergeable", "sha": pull.head(),
            "merge_commit_sha": merge.filter(|_| is_plain).map(|merge| &merge.sha),
            "squash_commit_sha": merge.filter(|merge| merge.squashed).map(|merge| &merge.sha),
            "discussion_locked": null, "should_remove_source_branch": null,
            "force_remove_source_branch": false, "reference": format!("!{}", pull.number),
            "references": {"short": format!("!{}", pull.number), "relative": format!("!{}", pull.number),
                "full": format!("{}!{}", repo.full_name(), pull.number)},
            "web_url": web, "time_stats": {"time_estimate": 0, "total_time_spent": 0,
                "human_time_estimate": null, "human_total_time_spent": null},
            "squash": false, "squash_on_merge": false, "has_conflicts": false,
            "task_completion_status": {"count": 0, "completed_count": 0},
            "blocking_discussions_resolved": true, "approvals_before_merge": null})
    }

    /// What the forge notes by itself, and the reviews: oldest first.
    fn notes(&self, repo: &Repo, pull: &Pull) -> Vec<Value> {
        let first = self.note(
            repo,
            pull,
            pull.id,
            pull.author,
            pull.created,
            true,
            "added 1 commit",
        );
        let reviews = pull.reviews.iter().map(|review: &Review| {
            let (system, body) = match review.approves {
                true => (true, "approved this merge request"),
                false => (false, review.body.as_str()),
            };
            self.note(repo, pull, review.id, review.user, review.at, system, body)
        });
        std::iter::once(first).chain(reviews).collect()
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a note")]
    fn note(
        &self,
        repo: &Repo,
        pull: &Pull,
        id: u64,
        author: usize,
        at: chrono::DateTime<chrono::Utc>,
        system: bool,
        body: &str,
    ) -> Value {
        json!({"id": id, "type": null, "body": body, "attachment": null, "author": self.by(author),
            "created_at": milliseconds(at), "updated_at": milliseconds(at), "system": system,
            "noteable_id": pull.id, "noteable_type": "MergeRequest", "project_id": repo.id,
            "resolvable": false, "confidential": false, "internal": false, "imported": false,
            "noteable_iid": pull.number, "commands_changes": {}})
    }

    fn deployment(&self, repo: &Repo, one: &Deployment) -> Value {
        let states = one.statuses.iter();
        let mut told = states.filter(|(_, state, _)| *state != DeployState::Inactive);
        let (status, at) = match told.next_back() {
            Some((_, DeployState::Running, at)) => ("running", *at),
            Some((_, DeployState::Success, at)) => ("success", *at),
            Some((_, DeployState::Failure, at)) => ("failed", *at),
            Some((_, _, at)) => ("created", *at),
            None => ("created", one.created),
        };
        let finished = matches!(status, "success" | "failed").then(|| milliseconds(at));
        let tier = if one.environment == "production" {
            "production"
        } else {
            "staging"
        };
        json!({"id": one.id, "iid": one.number, "ref": one.reference, "sha": one.sha,
            "created_at": milliseconds(one.created), "updated_at": milliseconds(one.updated),
            "status": status, "user": self.by(one.creator),
            "environment": {"id": 1, "name": one.environment, "slug": one.environment,
                "external_url": null, "tier": tier},
            "deployable": {"id": one.id, "name": "deploy", "stage": "deploy", "ref": one.reference,
                "status": status, "tag": false, "created_at": milliseconds(one.created),
                "started_at": null, "finished_at": finished,
                "web_url": format!("{}/-/jobs/{}", self.web(repo), one.id)}})
    }
}

fn state(pull: &Pull) -> &'static str {
    match (pull.merged.is_some(), pull.is_open()) {
        (true, _) => "merged",
        (false, true) => "opened",
        (false, false) => "closed",
    }
}
