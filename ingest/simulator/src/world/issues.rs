//! Edits of issues.

use std::collections::BTreeMap;

use crate::world::World;
use crate::world::change::{Side, custom, system};
use crate::world::edit::{EditError, EditResult, NewIssue};
use crate::world::model::{
    Category, Comment, HistoryItem, Instant, Issue, IssueKind, Link, RemoteLink, Timeline, Worklog,
};
use crate::world::site::{CANCELLED, FIRST_RESOLUTION, RESOLUTIONS, TO_DO};

impl World {
    pub(super) fn create_issue(&mut self, new: NewIssue, at: Instant) -> EditResult {
        if let Some(parent) = new.parent {
            self.known_issue(parent)?;
        } else if new.kind == IssueKind::SubTask {
            return Err(EditError::Refused("a sub-task needs a parent"));
        }
        if let Some(sprint) = new.sprint {
            self.known_sprint(sprint)?;
        }
        let project = self
            .projects
            .iter_mut()
            .find(|project| project.id == new.project);
        let project = project.ok_or(EditError::Unknown {
            what: "project",
            id: new.project,
        })?;
        let key = format!("{}-{}", project.key, project.next_number);
        project.next_number += 1;
        let status = project.workflow.first().copied().unwrap_or(TO_DO);
        let id = self.next.issue;
        // Ids of one site are shared with things this API does not show.
        self.next.issue += 1 + self.random.next() % 3;
        self.next.rank += 64;
        let subtask = new.kind == IssueKind::SubTask;
        let sprints: Vec<u64> = new.sprint.into_iter().filter(|_| !subtask).collect();
        self.keys.insert(key.clone(), id);
        self.by_project.entry(new.project).or_default().insert(id);
        for sprint in &sprints {
            self.members.entry(*sprint).or_default().insert(id);
        }
        if let (true, Some(parent)) = (subtask, new.parent) {
            self.subtasks.entry(parent).or_default().push(id);
        }
        let issue = Issue {
            id,
            key,
            project: new.project,
            kind: new.kind,
            parent: new.parent,
            summary: new.summary,
            status,
            status_since: at,
            priority: new.priority.min(4),
            resolution: None,
            resolved: None,
            assignee: new.assignee,
            reporter: new.reporter,
            owner: new.owner,
            created: at,
            updated: at,
            due: new.due,
            points: new.points,
            actual_points: None,
            labels: new.labels,
            components: new.components,
            fix_versions: new.fix_versions,
            rank: self.next.rank,
            flagged: false,
            team: new.team,
            estimate_seconds: new.estimate_seconds,
            spent_seconds: 0,
            histories: Vec::new(),
            worklogs: Vec::new(),
            comments: Vec::new(),
            remote_links: Vec::new(),
            status_line: Timeline::starting(at, status),
            sprint_line: Timeline::starting(at, sprints.clone()),
            points_line: Timeline::starting(at, new.points),
            assignee_line: Timeline::starting(at, new.assignee),
            sprints,
            touched: vec![at],
        };
        self.issues.insert(id, issue);
        self.observe(id, None, at);
        Ok(id)
    }

    pub(super) fn set_status(&mut self, id: u64, status: u64, at: Instant) -> EditResult {
        let from = self.known_issue(id)?.status;
        self.site.status(status).ok_or(EditError::Unknown {
            what: "status",
            id: status,
        })?;
        let items = self.status_items(id, from, status);
        let done = self.site.category(status) == Category::Done;
        let resolution = if status == CANCELLED { 1 } else { 0 };
        self.mutate(id, at, |issue| {
            if from != status {
                issue.status = status;
                issue.status_since = at;
                issue.resolution = done.then(|| issue.resolution.unwrap_or(resolution));
                issue.resolved = done.then(|| issue.resolved.unwrap_or(at));
            }
            items
        });
        Ok(id)
    }

    /// The status and, when it enters or leaves a done category, the resolution in the same history.
    pub(super) fn status_items(&self, id: u64, from: u64, to: u64) -> Vec<HistoryItem> {
        if from == to {
            return Vec::new();
        }
        let had = self.issues.get(&id).and_then(|issue| issue.resolution);
        let done = self.site.category(to) == Category::Done;
        let mut items = Vec::new();
        let side = |index: usize| Side::of(FIRST_RESOLUTION + index as u64, RESOLUTIONS[index]);
        match had {
            None if done => {
                let chosen = if to == CANCELLED { 1 } else { 0 };
                items.push(system(
                    "resolution",
                    Some("resolution"),
                    Side::none(),
                    side(chosen),
                ));
            }
            Some(had) if !done => {
                items.push(system(
                    "resolution",
                    Some("resolution"),
                    side(had),
                    Side::none(),
                ));
            }
            _ => {}
        }
        items.push(system(
            "status",
            Some("status"),
            self.status_side(from),
            self.status_side(to),
        ));
        items
    }

    pub(super) fn set_points(&mut self, id: u64, points: Option<f64>, at: Instant) -> EditResult {
        let issue = self.known_issue(id)?;
        let (from, project) = (issue.points, issue.project);
        let field = self
            .project(project)
            .map_or("", |project| project.estimate_field.as_str())
            .to_owned();
        let name = if field == self.site.fields.estimate {
            "Story point estimate"
        } else {
            "Story Points"
        };
        let long = self.next.history.is_multiple_of(4);
        let text = |points: f64| {
            if long {
                format!("{points:.1}")
            } else {
                points.to_string()
            }
        };
        let item = custom(
            name,
            &field,
            Side::text(from.map(text)),
            Side::text(points.map(text)),
        );
        self.mutate(id, at, |issue| {
            issue.points = points;
            if from == points {
                Vec::new()
            } else {
                vec![item]
            }
        });
        Ok(id)
    }

    pub(super) fn assign(&mut self, id: u64, assignee: Option<usize>, at: Instant) -> EditResult {
        let from = self.known_issue(id)?.assignee;
        if let Some(user) = assignee.filter(|user| *user >= self.site.users.len()) {
            return Err(EditError::Unknown {
                what: "user",
                id: user as u64,
            });
        }
        let item = system(
            "assignee",
            Some("assignee"),
            self.user_side(from),
            self.user_side(assignee),
        );
        self.mutate(id, at, |issue| {
            issue.assignee = assignee;
            if from == assignee {
                Vec::new()
            } else {
                vec![item]
            }
        });
        Ok(id)
    }

    pub(super) fn set_summary(&mut self, id: u64, summary: String, at: Instant) -> EditResult {
        let from = self.known_issue(id)?.summary.clone();
        self.mutate(id, at, |issue| {
            if from == summary {
                return Vec::new();
            }
            issue.summary.clone_from(&summary);
            vec![system(
                "summary",
                Some("summary"),
                Side::text(Some(from)),
                Side::text(Some(summary)),
            )]
        });
        Ok(id)
    }

    pub(super) fn set_labels(&mut self, id: u64, labels: Vec<String>, at: Instant) -> EditResult {
        let from = self.known_issue(id)?.labels.clone();
        self.mutate(id, at, |issue| {
            if from == labels {
                return Vec::new();
            }
            issue.labels.clone_from(&labels);
            let (from, to) = (from.join(" "), labels.join(" "));
            vec![system(
                "labels",
                Some("labels"),
                Side::text(Some(from)),
                Side::text(Some(to)),
            )]
        });
        Ok(id)
    }

    pub(super) fn set_flagged(&mut self, id: u64, flagged: bool, at: Instant) -> EditResult {
        let from = self.known_issue(id)?.flagged;
        let field = self.site.fields.flagged.clone();
        let side = |on| {
            if on {
                Side::of("[10019]", "Impediment")
            } else {
                Side::of("", "")
            }
        };
        self.mutate(id, at, |issue| {
            issue.flagged = flagged;
            if from == flagged {
                Vec::new()
            } else {
                vec![custom("Flagged", &field, side(from), side(flagged))]
            }
        });
        Ok(id)
    }

    pub(super) fn set_fix_versions(&mut self, id: u64, to: Vec<u64>, at: Instant) -> EditResult {
        let issue = self.known_issue(id)?;
        let (from, project) = (issue.fix_versions.clone(), issue.project);
        let names: BTreeMap<u64, String> = self
            .project(project)
            .into_iter()
            .flat_map(|project| &project.versions)
            .map(|version| (version.id, version.name.clone()))
            .collect();
        if let Some(unknown) = to.iter().find(|version| !names.contains_key(version)) {
            return Err(EditError::Unknown {
                what: "version",
                id: *unknown,
            });
        }
        let side = |id: &u64| Side::maybe(names.get(id).map(|name| (id.to_string(), name.clone())));
        let item = |from, to| system("Fix Version", Some("fixVersions"), from, to);
        let left = from
            .iter()
            .filter(|id| !to.contains(id))
            .map(|id| item(side(id), Side::none()));
        let entered = to
            .iter()
            .filter(|id| !from.contains(id))
            .map(|id| item(Side::none(), side(id)));
        let items = left.chain(entered).collect();
        self.mutate(id, at, |issue| {
            issue.fix_versions = to;
            items
        });
        Ok(id)
    }

    pub(super) fn set_epic(&mut self, id: u64, epic: Option<u64>, at: Instant) -> EditResult {
        let issue = self.known_issue(id)?;
        if issue.is_subtask() || epic == Some(id) {
            return Err(EditError::Refused(
                "the parent of that issue cannot be changed",
            ));
        }
        let from = issue.parent;
        if let Some(epic) = epic {
            self.known_issue(epic)?;
        }
        let side = |id: Option<u64>| {
            let parent = id.and_then(|id| self.issues.get(&id));
            Side::maybe(parent.map(|parent| (parent.id.to_string(), parent.key.clone())))
        };
        let item = system("IssueParentAssociation", None, side(from), side(epic));
        self.mutate(id, at, |issue| {
            issue.parent = epic;
            if from == epic { Vec::new() } else { vec![item] }
        });
        Ok(id)
    }

    pub(super) fn rank(&mut self, id: u64, higher: bool, at: Instant) -> EditResult {
        self.known_issue(id)?;
        let field = self.site.fields.rank.clone();
        let step = self.random.between(65, 4_000);
        self.mutate(id, at, |issue| {
            issue.rank = (if higher {
                issue.rank - step
            } else {
                issue.rank + step
            })
            .max(1);
            let text = if higher {
                "Ranked higher"
            } else {
                "Ranked lower"
            };
            vec![custom("Rank", &field, Side::of("", ""), Side::of("", text))]
        });
        Ok(id)
    }

    pub(super) fn comment(&mut self, id: u64, text: String, at: Instant) -> EditResult {
        self.known_issue(id)?;
        let entry = self.next_entry();
        let author = self.known_issue(id)?.assignee.unwrap_or_default();
        if let Some(issue) = self.issues.get_mut(&id) {
            issue.comments.push(Comment {
                id: entry,
                author,
                created: at,
                text,
            });
            issue.touch(at);
        }
        Ok(entry)
    }

    pub(super) fn log_work(&mut self, id: u64, seconds: i64, at: Instant) -> EditResult {
        let issue = self.known_issue(id)?;
        let author = issue.assignee.unwrap_or(issue.reporter);
        let before = issue.spent_seconds;
        let entry = self.next_entry();
        self.mutate(id, at, |issue| {
            issue.spent_seconds += seconds;
            issue.worklogs.push(Worklog {
                id: entry,
                author,
                started: at,
                created: at,
                seconds,
            });
            let (after, had) = (
                issue.spent_seconds,
                Some(before).filter(|before| *before > 0),
            );
            vec![
                system(
                    "timespent",
                    Some("timespent"),
                    Side::maybe(had.map(|had| (had.to_string(), had.to_string()))),
                    Side::of(after, after),
                ),
                system("WorklogId", None, Side::none(), Side::of(entry, entry)),
            ]
        });
        Ok(entry)
    }

    pub(super) fn delete_worklog(&mut self, id: u64, worklog: u64, at: Instant) -> EditResult {
        let issue = self.known_issue(id)?;
        let found = issue.worklogs.iter().find(|entry| entry.id == worklog);
        let seconds = found
            .ok_or(EditError::Unknown {
                what: "worklog",
                id: worklog,
            })?
            .seconds;
        let before = issue.spent_seconds;
        self.deleted_worklogs.push((worklog, at));
        self.mutate(id, at, |issue| {
            issue.worklogs.retain(|entry| entry.id != worklog);
            issue.spent_seconds -= seconds;
            let after = issue.spent_seconds;
            vec![
                system(
                    "timespent",
                    Some("timespent"),
                    Side::of(before, before),
                    Side::of(after, after),
                ),
                system("WorklogId", None, Side::of(worklog, worklog), Side::none()),
            ]
        });
        Ok(worklog)
    }

    /// Writes the link into the outward issue's history only: the other end's `updated` stays.
    pub(super) fn block(&mut self, outward: u64, inward: u64, at: Instant) -> EditResult {
        self.known_issue(outward)?;
        let blocked = self.known_issue(inward)?.key.clone();
        if outward == inward {
            return Err(EditError::Refused("an issue cannot block itself"));
        }
        let id = self.next_entry();
        self.links.push(Link {
            id,
            kind: 0,
            outward,
            inward,
        });
        self.mutate(outward, at, |_| {
            let text = format!("This issue blocks {blocked}");
            vec![system("Link", None, Side::none(), Side::of(blocked, text))]
        });
        Ok(id)
    }

    pub(super) fn link_remote(&mut self, id: u64, title: String, at: Instant) -> EditResult {
        self.known_issue(id)?;
        let link = self.next_entry();
        let to = remote_side(link, &title);
        self.mutate(id, at, |issue| {
            issue.remote_links.push(RemoteLink { id: link, title });
            vec![system("RemoteIssueLink", None, Side::none(), to)]
        });
        Ok(link)
    }

    pub(super) fn unlink_remote(&mut self, id: u64, link: u64, at: Instant) -> EditResult {
        let issue = self.known_issue(id)?;
        let found = issue.remote_links.iter().find(|one| one.id == link);
        let title = &found
            .ok_or(EditError::Unknown {
                what: "remote link",
                id: link,
            })?
            .title;
        let from = remote_side(link, title);
        self.mutate(id, at, |issue| {
            issue.remote_links.retain(|one| one.id != link);
            vec![system("RemoteIssueLink", None, from, Side::none())]
        });
        Ok(link)
    }

    pub(super) fn next_entry(&mut self) -> u64 {
        self.next.entry += 1;
        self.next.entry
    }

    pub(super) fn known_issue(&self, id: u64) -> Result<&Issue, EditError> {
        self.issues
            .get(&id)
            .ok_or(EditError::Unknown { what: "issue", id })
    }
}

/// One end of a change of a remote link, as histories write it.
fn remote_side(link: u64, title: &str) -> Side {
    Side::of(link, format!("This issue links to \"{title} (Web Link)\""))
}
