//! Webhooks: what a site sends for an edit. They are handed to the caller, who delivers them once, twice,
//! late, in another order or not at all.

use std::collections::{BTreeMap, BTreeSet};

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Simulator;
use crate::render::{Source, View};
use crate::world::model::{Instant, SprintState};
use crate::world::{Applied, Edit, EditError, World};

/// An event of a site, ready to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its `webhookEvent`.
    pub event: String,
    /// The same in every delivery of it.
    pub identifier: String,
    /// Deliveries before this one.
    pub retry: u32,
    pub body: String,
}

impl Webhook {
    /// The headers of a delivery, signed when there is a secret.
    pub fn headers(&self, secret: Option<&str>) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-atlassian-webhook-identifier", self.identifier.clone()),
            ("x-atlassian-webhook-flow", "Primary".to_owned()),
        ];
        if self.retry > 0 {
            headers.push(("x-atlassian-webhook-retry", self.retry.to_string()));
        }
        headers.extend(
            secret.map(|secret| ("x-hub-signature", signature(secret, self.body.as_bytes()))),
        );
        headers
    }

    /// The next delivery of the same event.
    pub fn again(&self) -> Self {
        Self {
            retry: self.retry + 1,
            ..self.clone()
        }
    }
}

/// What `X-Hub-Signature` says of a body.
pub fn signature(secret: &str, body: &[u8]) -> String {
    // A key of any length is one.
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(body);
    let tag = mac.finalize().into_bytes();
    let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

impl Simulator {
    /// Makes an edit at the site's present instant, and gives the webhooks that the site sends for it.
    /// As on a real site, nothing is sent for a renamed status.
    pub fn apply(&self, edit: Edit) -> Result<(Applied, Vec<Webhook>), EditError> {
        let view = self.shared.view("/rest/api/2");
        self.edit(|world| {
            let before = Seen::of(world, &view, &edit);
            let applied = world.apply_now(edit)?;
            Ok((applied, before.told(world, &view, applied.at)))
        })
    }
}

/// What can be told apart by looking twice.
#[derive(Debug, Default)]
struct Seen {
    /// Last change and number of histories.
    issues: BTreeMap<u64, (Instant, usize)>,
    comments: BTreeSet<u64>,
    worklogs: BTreeMap<u64, u64>,
    links: BTreeSet<u64>,
    sprints: BTreeMap<u64, (String, SprintState)>,
    archived: BTreeSet<u64>,
    /// How the issues look that the edit deletes.
    deleted: Vec<Value>,
}

impl Seen {
    fn of(world: &World, view: &View, edit: &Edit) -> Self {
        let mut seen = Self::default();
        for issue in world.issues() {
            let state = (issue.updated, issue.histories.len());
            seen.issues.insert(issue.id, state);
            seen.comments
                .extend(issue.comments.iter().map(|comment| comment.id));
            let worklogs = issue.worklogs.iter();
            seen.worklogs
                .extend(worklogs.map(|worklog| (worklog.id, issue.id)));
        }
        seen.links.extend(world.links.iter().map(|link| link.id));
        let sprints = world.sprints();
        seen.sprints
            .extend(sprints.map(|sprint| (sprint.id, (sprint.name.clone(), sprint.state))));
        let archived = world
            .projects()
            .iter()
            .filter(|project| project.archived_at.is_some());
        seen.archived.extend(archived.map(|project| project.id));
        if let Edit::Delete { issue } = edit {
            let family = std::iter::once(*issue).chain(world.subtasks_of(*issue).iter().copied());
            seen.deleted = family.filter_map(|id| shown(world, id, view)).collect();
        }
        seen
    }

    /// What a site tells that was seen so before.
    fn told(self, world: &World, view: &View, at: Instant) -> Vec<Webhook> {
        let mut teller = Teller {
            at,
            told: Vec::new(),
        };
        for issue in &self.deleted {
            teller.tell("jira:issue_deleted", json!({"issue": issue}));
        }
        for issue in world.issues() {
            let before = self.issues.get(&issue.id);
            if before == Some(&(issue.updated, issue.histories.len())) {
                continue;
            }
            let Some(shown) = shown(world, issue.id, view) else {
                continue;
            };
            for comment in Source::comments(world, issue.id, view) {
                let id = comment["id"].as_str().and_then(|id| id.parse().ok());
                if id.is_some_and(|id| !self.comments.contains(&id)) {
                    let short = json!({"id": shown["id"], "key": shown["key"], "self": shown["self"],
                        "fields": {"summary": shown["fields"]["summary"]}});
                    teller.tell(
                        "comment_created",
                        json!({"comment": comment, "issue": short}),
                    );
                }
            }
            let Some((_, histories)) = before else {
                let kind = "issue_created";
                let body = json!({"issue": shown, "issue_event_type_name": kind});
                teller.tell("jira:issue_created", body);
                continue;
            };
            let mut body = json!({"issue": shown, "issue_event_type_name": "issue_generic"});
            let written = Source::histories(world, issue.id, view);
            if let Some(entry) = written.into_iter().skip(*histories).last() {
                body["changelog"] = json!({"id": entry.id.to_string(), "items": entry.items});
            }
            teller.tell("jira:issue_updated", body);
        }
        self.tell_worklogs(world, view, &mut teller);
        for link in world
            .links
            .iter()
            .filter(|link| !self.links.contains(&link.id))
        {
            let link = json!({"id": link.id, "sourceIssueId": link.outward,
                "destinationIssueId": link.inward, "systemLink": false});
            teller.tell("issuelink_created", json!({"issueLink": link}));
        }
        for sprint in world.sprints() {
            let now = (sprint.name.clone(), sprint.state);
            let event = match self.sprints.get(&sprint.id) {
                None => "sprint_created",
                Some(before) if *before == now => continue,
                Some((_, state)) if *state == sprint.state => "sprint_updated",
                Some(_) if sprint.state == SprintState::Closed => "sprint_closed",
                Some(_) => "sprint_started",
            };
            let shown = Source::sprint(world, sprint.id, view);
            teller.tell(event, json!({"sprint": shown}));
        }
        for project in world.projects() {
            if project.archived_at.is_some() && !self.archived.contains(&project.id) {
                let project = json!({"id": project.id, "key": project.key, "name": project.name});
                teller.tell("project_archived", json!({"project": project}));
            }
        }
        teller.told
    }

    fn tell_worklogs(&self, world: &World, view: &View, teller: &mut Teller) {
        let now = Source::worklogs(world, view);
        for worklog in &now {
            if !self.worklogs.contains_key(&worklog.id) {
                teller.tell("worklog_created", json!({"worklog": worklog.body}));
            }
        }
        for (id, issue) in &self.worklogs {
            let lives = world.issue(*issue).is_some();
            if lives && !now.iter().any(|worklog| worklog.id == *id) {
                let worklog = json!({"id": id.to_string(), "issueId": issue.to_string()});
                teller.tell("worklog_deleted", json!({"worklog": worklog}));
            }
        }
    }
}

/// Collects what is told of one edit.
struct Teller {
    at: Instant,
    told: Vec<Webhook>,
}

impl Teller {
    fn tell(&mut self, event: &str, mut body: Value) {
        let at = self.at.timestamp_millis();
        body["timestamp"] = json!(at);
        body["webhookEvent"] = json!(event);
        // Unlike any other of this site: the instants of its edits never go back.
        let identifier = signature(event, format!("{at} {} {body}", self.told.len()).as_bytes());
        let identifier = identifier.trim_start_matches("sha256=").to_owned();
        self.told.push(Webhook {
            event: event.to_owned(),
            identifier,
            retry: 0,
            body: body.to_string(),
        });
    }
}

fn shown(world: &World, id: u64, view: &View) -> Option<Value> {
    let issue = world.issue(id)?;
    Some(json!({
        "id": id.to_string(),
        "key": issue.key,
        "self": view.link(format!("issue/{id}")),
        "fields": Source::issue_fields(world, id, view),
    }))
}
