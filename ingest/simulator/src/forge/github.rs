//! The forge as GitHub's REST API shows it.

use serde_json::{Map, Value, json};

use super::listing::{Ask, Reply, seconds};
use super::model::{Commit, DeployState, Deployment, Pull, Repo, Review, User};
use super::world::ForgeWorld;

struct View<'a> {
    world: &'a ForgeWorld,
    base: &'a str,
}

/// Answers a request.
pub(super) fn answer(world: &ForgeWorld, ask: &Ask<'_>) -> Reply {
    let view = View {
        world,
        base: ask.base,
    };
    match ask.parts.as_slice() {
        ["user"] => match world.users.first() {
            Some(user) => Reply::One(view.account(user)),
            None => absent(),
        },
        ["user", "repos"] => {
            let mut repos: Vec<&Repo> = world.repos.iter().collect();
            repos.sort_by_key(|repo| repo.full_name());
            Reply::List(repos.into_iter().map(|repo| view.repo(repo)).collect())
        }
        ["repositories", id, rest @ ..] => {
            let repo = world.repos.iter().find(|repo| repo.id.to_string() == *id);
            repo.map_or_else(absent, |repo| view.inside(repo, rest, ask))
        }
        ["repos", owner, name, rest @ ..] => {
            let full_name = format!("{owner}/{name}").to_lowercase();
            let is_it = |other: &str| other.to_lowercase() == full_name;
            if let Some(repo) = world.repos.iter().find(|repo| is_it(&repo.full_name())) {
                return view.inside(repo, rest, ask);
            }
            let moved = world
                .repos
                .iter()
                .find(|repo| repo.former.iter().any(|name| is_it(name)));
            match moved {
                Some(repo) => {
                    let rest: String = rest.iter().map(|part| format!("/{part}")).collect();
                    Reply::Moved(format!("{}/repositories/{}{rest}", ask.base, repo.id))
                }
                None => absent(),
            }
        }
        _ => absent(),
    }
}

fn absent() -> Reply {
    refused(404, "Not Found")
}

fn refused(status: u16, message: &str) -> Reply {
    let body = json!({"message": message, "documentation_url": "https://docs.github.com/rest",
        "status": status.to_string()});
    Reply::Refused(status, body)
}

/// The address of a repository as page links give it, from the path of a request.
pub(super) fn link_path(world: &ForgeWorld, parts: &[&str]) -> String {
    if let ["repos", owner, name, rest @ ..] = parts {
        let full_name = format!("{owner}/{name}").to_lowercase();
        let repo = world
            .repos
            .iter()
            .find(|repo| repo.full_name().to_lowercase() == full_name);
        if let Some(repo) = repo {
            let rest: String = rest.iter().map(|part| format!("/{part}")).collect();
            return format!("/repositories/{}{rest}", repo.id);
        }
    }
    format!("/{}", parts.join("/"))
}

impl View<'_> {
    fn inside(&self, repo: &Repo, rest: &[&str], ask: &Ask<'_>) -> Reply {
        let pull = |number: &str| {
            repo.pulls
                .iter()
                .find(|one| one.number.to_string() == number)
        };
        let deployment = |id: &str| repo.deployments.iter().find(|one| one.id.to_string() == id);
        match rest {
            [] => Reply::One(self.full_repo(repo)),
            ["pulls"] => Reply::List(self.pulls(repo, ask)),
            ["pulls", number] => {
                pull(number).map_or_else(absent, |one| Reply::One(self.full_pull(repo, one)))
            }
            ["pulls", number, "reviews"] => pull(number).map_or_else(absent, |one| {
                let reviews = one.reviews.iter();
                Reply::List(
                    reviews
                        .map(|review| self.review(repo, one, review))
                        .collect(),
                )
            }),
            ["pulls", number, "commits"] => pull(number).map_or_else(absent, |one| {
                let commits = one.commits.iter().take(250);
                let commits = commits.filter_map(|sha| repo.commits.get(sha));
                Reply::List(commits.map(|commit| self.commit(repo, commit)).collect())
            }),
            ["commits"] => self.commits(repo, ask),
            ["compare", range] => self.compare(repo, range),
            ["deployments"] => {
                let newest = repo.deployments.iter().rev();
                Reply::List(newest.map(|one| self.deployment(repo, one)).collect())
            }
            ["deployments", id] => {
                deployment(id).map_or_else(absent, |one| Reply::One(self.deployment(repo, one)))
            }
            ["deployments", id, "statuses"] => deployment(id).map_or_else(absent, |one| {
                let newest = one.statuses.iter().rev();
                Reply::List(
                    newest
                        .map(|status| self.status(repo, one, status))
                        .collect(),
                )
            }),
            _ => absent(),
        }
    }

    fn pulls(&self, repo: &Repo, ask: &Ask<'_>) -> Vec<Value> {
        let wanted = ask.text("state").unwrap_or("open");
        let mut pulls: Vec<&Pull> = repo
            .pulls
            .iter()
            .filter(|one| wanted == "all" || (wanted == "open") == one.is_open())
            .collect();
        match ask.text("sort") {
            Some("updated") => pulls.sort_by_key(|one| (one.updated, one.id)),
            _ => pulls.sort_by_key(|one| one.id),
        }
        if ask.text("direction") != Some("asc") {
            pulls.reverse();
        }
        pulls.into_iter().map(|one| self.pull(repo, one)).collect()
    }

    fn commits(&self, repo: &Repo, ask: &Ask<'_>) -> Reply {
        let Some(head) = &repo.head else {
            return refused(409, "Git Repository is empty.");
        };
        let from = match ask.text("sha") {
            Some(branch) if branch == repo.default_branch => head,
            Some(sha) if repo.commits.contains_key(sha) => sha,
            Some(_) => return absent(),
            None => head,
        };
        let since = ask.instant("since");
        let found = repo.reachable(from, None).into_iter();
        let found = found.filter(|one| since.is_none_or(|since| one.committed >= since));
        Reply::List(found.map(|commit| self.commit(repo, commit)).collect())
    }

    fn compare(&self, repo: &Repo, range: &str) -> Reply {
        let ends = range.split_once("...");
        let ends =
            ends.and_then(|(from, to)| Some((repo.commits.get(from)?, repo.commits.get(to)?)));
        let Some((from, to)) = ends else {
            return absent();
        };
        let mut ahead = repo.reachable(&to.sha, Some(&from.sha));
        ahead.reverse();
        let behind = repo.reachable(&from.sha, Some(&to.sha)).len();
        let status = match (ahead.len(), behind) {
            (0, 0) => "identical",
            (_, 0) => "ahead",
            (0, _) => "behind",
            _ => "diverged",
        };
        let url = format!("{}/compare/{range}", self.url(repo));
        let web = format!("{}/compare/{range}", self.web(repo));
        let rest = json!({"url": url, "html_url": web, "permalink_url": web,
            "diff_url": format!("{web}.diff"), "patch_url": format!("{web}.patch"),
            "base_commit": self.commit(repo, from), "merge_base_commit": self.commit(repo, from),
            "status": status, "ahead_by": ahead.len(), "behind_by": behind,
            "total_commits": ahead.len(), "files": []});
        let ahead = ahead.into_iter().map(|commit| self.commit(repo, commit));
        Reply::Within(rest, "commits", ahead.collect())
    }

    fn url(&self, repo: &Repo) -> String {
        format!("{}/repos/{}", self.base, repo.full_name())
    }

    fn web(&self, repo: &Repo) -> String {
        format!("https://github.example/{}", repo.full_name())
    }

    fn user(&self, user: &User) -> Value {
        let url = format!("{}/users/{}", self.base, user.login);
        let mut shown = json!({"login": user.login, "id": user.id, "node_id": format!("U_{}", user.id),
            "avatar_url": format!("https://avatars.example/u/{}", user.id), "gravatar_id": "",
            "url": url, "html_url": format!("https://github.example/{}", user.login),
            "type": "User", "site_admin": false, "user_view_type": "public"});
        for (name, end) in [
            ("followers", "followers"),
            ("following", "following{/other_user}"),
            ("gists", "gists{/gist_id}"),
            ("starred", "starred{/owner}{/repo}"),
            ("subscriptions", "subscriptions"),
            ("organizations", "orgs"),
            ("repos", "repos"),
            ("events", "events{/privacy}"),
            ("received_events", "received_events"),
        ] {
            shown[format!("{name}_url")] = json!(format!("{url}/{end}"));
        }
        shown
    }

    fn by(&self, index: usize) -> Value {
        self.world
            .users
            .get(index)
            .map_or(Value::Null, |user| self.user(user))
    }

    fn account(&self, user: &User) -> Value {
        let more = json!({"name": user.name, "company": null, "blog": "", "location": null,
            "email": user.email, "hireable": null, "bio": null, "public_repos": 1, "public_gists": 0,
            "followers": 0, "following": 0, "created_at": "2020-01-01T00:00:00Z",
            "updated_at": "2020-01-01T00:00:00Z", "private_gists": 0, "total_private_repos": 1,
            "owned_private_repos": 1, "disk_usage": 1, "collaborators": 0,
            "two_factor_authentication": true, "user_view_type": "private"});
        joined(self.user(user), more)
    }

    fn repo(&self, repo: &Repo) -> Value {
        let url = self.url(repo);
        let owner = User {
            id: 1000,
            login: repo.owner.clone(),
            name: repo.owner.clone(),
            email: String::new(),
        };
        let pushed = repo.head.as_ref().and_then(|head| repo.commits.get(head));
        let pushed = seconds(pushed.map_or(repo.created, |commit| commit.committed));
        let open = repo.pulls.iter().filter(|pull| pull.is_open()).count();
        let mut shown = json!({"id": repo.id, "node_id": format!("R_{}", repo.id), "name": repo.name,
            "full_name": repo.full_name(), "private": repo.private, "owner": self.user(&owner),
            "html_url": self.web(repo), "description": null, "fork": false, "url": url,
            "homepage": null, "size": repo.commits.len(), "stargazers_count": 0, "watchers_count": 0,
            "language": null, "has_issues": true, "has_projects": true, "has_downloads": true,
            "has_wiki": true, "has_pages": false, "has_discussions": false, "forks_count": 0,
            "mirror_url": null, "archived": repo.archived, "disabled": false,
            "open_issues_count": open, "license": null, "allow_forking": true, "is_template": false,
            "topics": [], "visibility": if repo.private { "private" } else { "public" },
            "forks": 0, "open_issues": open, "watchers": 0, "default_branch": repo.default_branch,
            "created_at": seconds(repo.created), "updated_at": pushed, "pushed_at": pushed,
            "git_url": format!("git://github.example/{}.git", repo.full_name()),
            "ssh_url": format!("git@github.example:{}.git", repo.full_name()),
            "clone_url": format!("{}.git", self.web(repo)), "svn_url": self.web(repo)});
        for (name, end) in [
            ("archive", "{archive_format}{/ref}"),
            ("assignees", "assignees{/user}"),
            ("blobs", "git/blobs{/sha}"),
            ("branches", "branches{/branch}"),
            ("collaborators", "collaborators{/collaborator}"),
            ("comments", "comments{/number}"),
            ("commits", "commits{/sha}"),
            ("compare", "compare/{base}...{head}"),
            ("contents", "contents/{+path}"),
            ("contributors", "contributors"),
            ("deployments", "deployments"),
            ("downloads", "downloads"),
            ("events", "events"),
            ("forks", "forks"),
            ("git_commits", "git/commits{/sha}"),
            ("git_refs", "git/refs{/sha}"),
            ("git_tags", "git/tags{/sha}"),
            ("hooks", "hooks"),
            ("issue_comment", "issues/comments{/number}"),
            ("issue_events", "issues/events{/number}"),
            ("issues", "issues{/number}"),
            ("keys", "keys{/key_id}"),
            ("labels", "labels{/name}"),
            ("languages", "languages"),
            ("merges", "merges"),
            ("milestones", "milestones{/number}"),
            ("notifications", "notifications{?since,all,participating}"),
            ("pulls", "pulls{/number}"),
            ("releases", "releases{/id}"),
            ("stargazers", "stargazers"),
            ("statuses", "statuses/{sha}"),
            ("subscribers", "subscribers"),
            ("subscription", "subscription"),
            ("tags", "tags"),
            ("teams", "teams"),
            ("trees", "git/trees{/sha}"),
        ] {
            shown[format!("{name}_url")] = json!(format!("{url}/{end}"));
        }
        shown
    }

    fn full_repo(&self, repo: &Repo) -> Value {
        let more = json!({"network_count": 0, "subscribers_count": 1});
        joined(self.repo(repo), more)
    }

    fn commit(&self, repo: &Repo, commit: &Commit) -> Value {
        let (url, web) = (self.url(repo), self.web(repo));
        let person = self.world.users.get(commit.author);
        let name = person.map_or("nobody", |user| user.name.as_str());
        let email = person.map_or("", |user| user.email.as_str());
        let sha = &commit.sha;
        let parents: Vec<Value> = commit
            .parents
            .iter()
            .map(|parent| {
                json!({"sha": parent, "url": format!("{url}/commits/{parent}"),
                    "html_url": format!("{web}/commit/{parent}")})
            })
            .collect();
        json!({"sha": sha, "node_id": format!("C_{sha}"),
            "commit": {
                "author": {"name": name, "email": email, "date": seconds(commit.authored)},
                "committer": {"name": name, "email": email, "date": seconds(commit.committed)},
                "message": commit.message,
                "tree": {"sha": sha, "url": format!("{url}/git/trees/{sha}")},
                "url": format!("{url}/git/commits/{sha}"), "comment_count": 0,
                "verification": {"verified": false, "reason": "unsigned", "signature": null,
                    "payload": null, "verified_at": null}},
            "url": format!("{url}/commits/{sha}"), "html_url": format!("{web}/commit/{sha}"),
            "comments_url": format!("{url}/commits/{sha}/comments"),
            "author": self.by(commit.author), "committer": self.by(commit.author), "parents": parents})
    }

    fn pull(&self, repo: &Repo, pull: &Pull) -> Value {
        let (url, web, number) = (self.url(repo), self.web(repo), pull.number);
        let own = format!("{url}/pulls/{number}");
        let issue = format!("{url}/issues/{number}");
        let statuses = format!("{url}/statuses/{}", pull.head());
        let end = |reference: &str, sha: &str| {
            json!({"label": format!("{}:{reference}", repo.owner), "ref": reference, "sha": sha,
                "user": self.by(pull.author), "repo": self.repo(repo)})
        };
        let base = repo.head.as_deref().unwrap_or_default();
        // Of an open one, the commit of a trial merge.
        let merge = pull.merged.as_ref().map_or(pull.head(), |merge| &merge.sha);
        let link = |href: &str| json!({"href": href});
        json!({"url": own, "id": pull.id, "node_id": format!("PR_{}", pull.id),
            "html_url": format!("{web}/pull/{number}"), "diff_url": format!("{web}/pull/{number}.diff"),
            "patch_url": format!("{web}/pull/{number}.patch"), "issue_url": issue, "number": number,
            "state": if pull.is_open() { "open" } else { "closed" }, "locked": false,
            "title": pull.title, "user": self.by(pull.author), "body": null,
            "created_at": seconds(pull.created), "updated_at": seconds(pull.updated),
            "closed_at": pull.closed.map(seconds),
            "merged_at": pull.merged.as_ref().map(|merge| seconds(merge.at)),
            "merge_commit_sha": merge, "assignee": null, "assignees": [],
            "requested_reviewers": [], "requested_teams": [], "labels": [], "milestone": null,
            "draft": pull.draft, "commits_url": format!("{own}/commits"),
            "review_comments_url": format!("{own}/comments"),
            "review_comment_url": format!("{url}/pulls/comments{{/number}}"),
            "comments_url": format!("{issue}/comments"), "statuses_url": statuses,
            "head": end(&pull.branch, pull.head()), "base": end(&repo.default_branch, base),
            "_links": {"self": link(&own), "html": link(&format!("{web}/pull/{number}")),
                "issue": link(&issue), "comments": link(&format!("{issue}/comments")),
                "review_comments": link(&format!("{own}/comments")),
                "review_comment": link(&format!("{url}/pulls/comments{{/number}}")),
                "commits": link(&format!("{own}/commits")), "statuses": link(&statuses)},
            "author_association": "MEMBER", "auto_merge": null, "active_lock_reason": null})
    }

    fn full_pull(&self, repo: &Repo, pull: &Pull) -> Value {
        let merged_by = pull.merged.as_ref().map(|merge| self.by(merge.by));
        let more = json!({"merged": pull.merged.is_some(), "mergeable": null, "rebaseable": null,
            "mergeable_state": "unknown", "merged_by": merged_by, "comments": 0, "review_comments": 0,
            "maintainer_can_modify": false, "commits": pull.commits.len(),
            "additions": pull.additions, "deletions": pull.deletions, "changed_files": 1});
        joined(self.pull(repo, pull), more)
    }

    fn review(&self, repo: &Repo, pull: &Pull, review: &Review) -> Value {
        let web = format!("{}/pull/{}", self.web(repo), pull.number);
        let html = format!("{web}#pullrequestreview-{}", review.id);
        let own = format!("{}/pulls/{}", self.url(repo), pull.number);
        json!({"id": review.id, "node_id": format!("PRR_{}", review.id), "user": self.by(review.user),
            "body": review.body, "state": if review.approves { "APPROVED" } else { "COMMENTED" },
            "html_url": html, "pull_request_url": own, "author_association": "MEMBER",
            "_links": {"html": {"href": html}, "pull_request": {"href": own}},
            "submitted_at": seconds(review.at), "commit_id": pull.head()})
    }

    fn deployment(&self, repo: &Repo, one: &Deployment) -> Value {
        let url = format!("{}/deployments/{}", self.url(repo), one.id);
        json!({"url": url, "id": one.id, "node_id": format!("DE_{}", one.id), "sha": one.sha,
            "ref": one.reference, "task": "deploy", "payload": {},
            "original_environment": one.environment, "environment": one.environment,
            "description": null, "creator": self.by(one.creator), "created_at": seconds(one.created),
            "updated_at": seconds(one.updated), "statuses_url": format!("{url}/statuses"),
            "repository_url": self.url(repo), "transient_environment": false,
            "production_environment": one.environment == "production"})
    }

    fn status(
        &self,
        repo: &Repo,
        one: &Deployment,
        (id, state, at): &(u64, DeployState, chrono::DateTime<chrono::Utc>),
    ) -> Value {
        let url = format!("{}/deployments/{}", self.url(repo), one.id);
        let state = match state {
            DeployState::Queued => "queued",
            DeployState::Running => "in_progress",
            DeployState::Success => "success",
            DeployState::Failure => "failure",
            DeployState::Inactive => "inactive",
        };
        json!({"url": format!("{url}/statuses/{id}"), "id": id, "node_id": format!("DES_{id}"),
            "state": state, "creator": self.by(one.creator), "description": "",
            "environment": one.environment, "target_url": "https://ci.example/run",
            "created_at": seconds(*at), "updated_at": seconds(*at), "deployment_url": url,
            "repository_url": self.url(repo), "environment_url": "https://app.example",
            "log_url": "https://ci.example/run"})
    }
}

fn joined(mut one: Value, more: Value) -> Value {
    if let (Value::Object(one), Value::Object(more)) = (&mut one, more) {
        let more: Map<String, Value> = more;
        one.extend(more);
    }
    one
}
