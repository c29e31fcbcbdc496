//! An issue's fields.

use serde_json::{Map, Value, json};

use crate::rank::lexo_rank;
use crate::render::{View, utc};
use crate::world::World;
use crate::world::model::{
    Category, Comment, Issue, IssueKind, RemoteLink, Sprint, SprintState, Worklog,
};
use crate::world::site::{
    FIRST_LINK_TYPE, FIRST_RESOLUTION, LINK_TYPES, PRIORITIES, RESOLUTIONS, TEAMS,
};

/// Rich text: a string in version 2, a document in version 3.
pub(super) fn text_body(text: &str, view: &View) -> Value {
    if view.version == 2 {
        return json!(text);
    }
    let paragraph = json!({"type": "paragraph", "content": [{"type": "text", "text": text}]});
    json!({"type": "doc", "version": 1, "content": [paragraph]})
}

impl World {
    pub(super) fn render_fields(&self, issue: &Issue, view: &View) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        put("summary", json!(issue.summary));
        put("issuetype", self.render_type(issue.kind, view));
        put("project", self.render_project_short(issue.project, view));
        put("status", self.render_status(issue.status, view));
        put(
            "statuscategorychangedate",
            json!(view.time(issue.status_since)),
        );
        put("priority", render_priority(issue.priority, view));
        put(
            "resolution",
            issue
                .resolution
                .map_or(Value::Null, |index| render_resolution(index, view)),
        );
        put(
            "resolutiondate",
            issue
                .resolved
                .map_or(Value::Null, |at| json!(view.time(at))),
        );
        put("assignee", self.render_person(issue.assignee, view));
        put("reporter", self.render_person(Some(issue.reporter), view));
        put("creator", self.render_person(Some(issue.reporter), view));
        put("created", json!(view.time(issue.created)));
        put("updated", json!(view.time(issue.updated)));
        put("duedate", json!(issue.due));
        put("labels", json!(issue.labels));
        put(
            "description",
            text_body(&format!("As agreed: {}.", issue.summary), view),
        );
        put("environment", Value::Null);
        put("lastViewed", Value::Null);
        put("security", Value::Null);
        put("workratio", json!(-1));
        put("attachment", json!([]));
        put("versions", json!([]));
        put(
            "watches",
            json!({"self": view.link(format!("issue/{}/watchers", issue.key)),
            "watchCount": 1, "isWatching": false}),
        );
        put(
            "votes",
            json!({"self": view.link(format!("issue/{}/votes", issue.key)),
            "votes": 0, "hasVoted": false}),
        );
        self.put_relations(issue, view, &mut fields);
        put_times(issue, &mut fields);
        self.put_entries(issue, view, &mut fields);
        self.put_custom(issue, view, &mut fields);
        fields
    }

    fn put_relations(&self, issue: &Issue, view: &View, fields: &mut Map<String, Value>) {
        let project = self.project(issue.project);
        let versions = project.into_iter().flat_map(|project| &project.versions);
        let versions = versions.filter(|version| issue.fix_versions.contains(&version.id));
        fields.insert(
            "fixVersions".to_owned(),
            versions
                .map(|version| Self::render_version(version, None, view))
                .collect(),
        );
        let components = project.into_iter().flat_map(|project| &project.components);
        let components = components.filter(|component| issue.components.contains(&component.id));
        fields.insert(
            "components".to_owned(),
            components
                .map(|component| {
                    let link = view.link(format!("component/{}", component.id));
                    json!({"self": link, "id": component.id.to_string(), "name": component.name})
                })
                .collect(),
        );
        let subtasks = self
            .subtasks_of(issue.id)
            .iter()
            .filter_map(|id| self.issue(*id));
        fields.insert(
            "subtasks".to_owned(),
            subtasks
                .map(|subtask| self.render_short(subtask, view))
                .collect(),
        );
        // Data Center knows parents of sub-tasks only; epics have a field of their own there.
        let parent = issue.parent.filter(|_| view.cloud() || issue.is_subtask());
        if let Some(parent) = parent.and_then(|parent| self.issue(parent)) {
            fields.insert("parent".to_owned(), self.render_short(parent, view));
        }
        let links = self.links.iter().filter_map(|link| {
            let (name, inward, outward) = LINK_TYPES[link.kind];
            let (end, other) = match issue.id {
                id if id == link.outward => ("outwardIssue", link.inward),
                id if id == link.inward => ("inwardIssue", link.outward),
                _ => return None,
            };
            let id = (FIRST_LINK_TYPE + link.kind as u64).to_string();
            Some(json!({
                "id": link.id.to_string(),
                "self": view.link(format!("issueLink/{}", link.id)),
                "type": {"id": id, "name": name, "inward": inward, "outward": outward,
                    "self": view.link(format!("issueLinkType/{id}"))},
                end: self.render_short(self.issue(other)?, view),
            }))
        });
        fields.insert("issuelinks".to_owned(), links.collect());
    }

    fn render_short(&self, issue: &Issue, view: &View) -> Value {
        json!({
            "id": issue.id.to_string(),
            "key": issue.key,
            "self": view.link(format!("issue/{}", issue.id)),
            "fields": {
                "summary": issue.summary,
                "status": self.render_status(issue.status, view),
                "priority": render_priority(issue.priority, view),
                "issuetype": self.render_type(issue.kind, view),
            },
        })
    }

    fn put_entries(&self, issue: &Issue, view: &View, fields: &mut Map<String, Value>) {
        let mut comments = self.render_comments(issue, view);
        let total = comments.len();
        // Data Center shows them all.
        let most = if view.cloud() { view.inline } else { total };
        comments.truncate(most);
        let link = view.link(format!("issue/{}/comment", issue.id));
        fields.insert(
            "comment".to_owned(),
            json!({"comments": comments, "self": link, "maxResults": most, "total": total, "startAt": 0}),
        );
        let worklogs = issue.worklogs.iter().take(view.inline);
        let worklogs: Vec<_> = worklogs
            .map(|entry| self.render_worklog(issue, entry, view))
            .collect();
        fields.insert(
            "worklog".to_owned(),
            json!({"worklogs": worklogs, "startAt": 0, "maxResults": view.inline, "total": issue.worklogs.len()}),
        );
    }

    pub(super) fn render_comments(&self, issue: &Issue, view: &View) -> Vec<Value> {
        let show = |comment: &Comment| {
            json!({
                "self": view.link(format!("issue/{}/comment/{}", issue.id, comment.id)),
                "id": comment.id.to_string(),
                "author": self.render_person(Some(comment.author), view),
                "updateAuthor": self.render_person(Some(comment.author), view),
                "body": text_body(&comment.text, view),
                "created": view.time(comment.created),
                "updated": view.time(comment.created),
                "jsdPublic": true,
            })
        };
        issue.comments.iter().map(show).collect()
    }

    pub(super) fn render_remote_links(&self, issue: &Issue, view: &View) -> Vec<Value> {
        let show = |link: &RemoteLink| {
            let url = format!("https://pages.example.org/{}", link.id);
            json!({
                "id": link.id,
                "self": view.link(format!("issue/{}/remotelink/{}", issue.key, link.id)),
                "globalId": format!("page={}", link.id),
                "application": {},
                "relationship": "mentioned on",
                "object": {"url": url, "title": link.title, "icon": {},
                    "status": {"resolved": false, "icon": {}}},
            })
        };
        issue.remote_links.iter().map(show).collect()
    }

    pub(super) fn render_worklog(&self, issue: &Issue, worklog: &Worklog, view: &View) -> Value {
        json!({
            "self": view.link(format!("issue/{}/worklog/{}", issue.id, worklog.id)),
            "id": worklog.id.to_string(),
            "issueId": issue.id.to_string(),
            "author": self.render_person(Some(worklog.author), view),
            "updateAuthor": self.render_person(Some(worklog.author), view),
            "comment": text_body("Worked on it.", view),
            "created": view.time(worklog.created),
            "updated": view.time(worklog.created),
            "started": view.time(worklog.started),
            "timeSpent": duration_text(worklog.seconds),
            "timeSpentSeconds": worklog.seconds,
        })
    }

    fn put_custom(&self, issue: &Issue, view: &View, fields: &mut Map<String, Value>) {
        let ids = &self.site.fields;
        let estimate = self
            .project(issue.project)
            .map(|project| project.estimate_field.as_str());
        for id in [&ids.story_points, &ids.estimate] {
            let value = if estimate == Some(id) {
                json!(issue.points)
            } else {
                Value::Null
            };
            fields.insert(id.clone(), value);
        }
        fields.insert(ids.actual_story_points.clone(), json!(issue.actual_points));
        fields.insert(ids.rank.clone(), json!(lexo_rank(issue.rank)));
        let sprints = self
            .sprints_of(issue)
            .iter()
            .filter_map(|id| self.sprint(*id));
        let sprints: Vec<Value> = sprints
            .map(|sprint| Self::render_sprint_value(sprint, view))
            .collect();
        let sprints = if sprints.is_empty() {
            Value::Null
        } else {
            json!(sprints)
        };
        fields.insert(ids.sprint.clone(), sprints);
        let option = |id: u64, value: &str| {
            json!({"self": view.link(format!("customFieldOption/{id}")),
            "value": value, "id": id.to_string()})
        };
        let team = issue.team.map_or(Value::Null, |team| {
            option(self.site.team_options[team], TEAMS[team])
        });
        fields.insert(ids.discipline_team.clone(), team);
        let flagged = if issue.flagged {
            json!([option(10_019, "Impediment")])
        } else {
            Value::Null
        };
        fields.insert(ids.flagged.clone(), flagged);
        fields.insert(ids.owner.clone(), self.render_person(issue.owner, view));
        let epic = issue
            .parent
            .filter(|_| !issue.is_subtask())
            .and_then(|epic| self.issue(epic));
        fields.insert(
            ids.epic_link.clone(),
            epic.map_or(Value::Null, |epic| json!(epic.key)),
        );
        let name = (issue.kind == IssueKind::Epic).then(|| json!(issue.summary));
        fields.insert(ids.epic_name.clone(), name.unwrap_or(Value::Null));
    }

    /// An element of the Sprint field: an object on Cloud, the old string form on Data Center.
    fn render_sprint_value(sprint: &Sprint, view: &View) -> Value {
        let mut shown = json!({
            "id": sprint.id,
            "name": sprint.name,
            "state": state(sprint.state),
            "boardId": sprint.board,
            "goal": sprint.goal,
        });
        let dates = [
            ("startDate", sprint.start),
            ("endDate", sprint.end),
            ("completeDate", sprint.completed),
        ];
        if !view.cloud() {
            let date = |at: Option<_>| at.map_or_else(|| "<null>".to_owned(), |at| view.time(at));
            return json!(format!(
                "com.atlassian.greenhopper.service.sprint.Sprint@{:x}[id={},rapidViewId={},state={},name={},startDate={},endDate={},completeDate={},activatedDate={},sequence={},goal={}]",
                sprint.id.wrapping_mul(0x9e37_79b1) & 0xffff_ffff,
                sprint.id,
                sprint.board,
                state(sprint.state).to_uppercase(),
                sprint.name,
                date(sprint.start),
                date(sprint.end),
                date(sprint.completed),
                date(sprint.activated),
                sprint.id,
                sprint.goal,
            ));
        }
        for (name, at) in dates {
            if let Some(at) = at {
                shown[name] = json!(utc(at));
            }
        }
        shown
    }

    pub(super) fn render_status(&self, id: u64, view: &View) -> Value {
        let Some(status) = self.site.status(id) else {
            return Value::Null;
        };
        json!({
            "self": view.link(format!("status/{id}")),
            "description": "",
            "iconUrl": format!("{}/images/icons/statuses/generic.png", view.base),
            "name": status.name,
            "id": id.to_string(),
            "statusCategory": render_category(status.category, view),
        })
    }

    pub(crate) fn render_person(&self, user: Option<usize>, view: &View) -> Value {
        user.and_then(|user| self.site.users.get(user))
            .map_or(Value::Null, |user| {
                super::reference::render_user(user, view)
            })
    }
}

fn put_times(issue: &Issue, fields: &mut Map<String, Value>) {
    let spent = (issue.spent_seconds > 0).then_some(issue.spent_seconds);
    let left = issue
        .estimate_seconds
        .map(|estimate| (estimate - issue.spent_seconds).max(0));
    let total = left.unwrap_or_default() + issue.spent_seconds;
    for prefix in ["", "aggregate"] {
        fields.insert(
            format!("{prefix}timeoriginalestimate"),
            json!(issue.estimate_seconds),
        );
        fields.insert(format!("{prefix}timeestimate"), json!(left));
        fields.insert(format!("{prefix}timespent"), json!(spent));
        fields.insert(
            format!("{prefix}progress"),
            json!({"progress": issue.spent_seconds, "total": total}),
        );
    }
    let mut tracking = Map::new();
    let parts = [
        ("originalEstimate", issue.estimate_seconds),
        ("remainingEstimate", left),
        ("timeSpent", spent),
    ];
    for (name, seconds) in parts {
        if let Some(seconds) = seconds {
            tracking.insert(name.to_owned(), json!(duration_text(seconds)));
            tracking.insert(format!("{name}Seconds"), json!(seconds));
        }
    }
    fields.insert("timetracking".to_owned(), Value::Object(tracking));
}

fn duration_text(seconds: i64) -> String {
    match (seconds / 3600, seconds % 3600 / 60) {
        (0, minutes) => format!("{minutes}m"),
        (hours, 0) => format!("{hours}h"),
        (hours, minutes) => format!("{hours}h {minutes}m"),
    }
}

pub(super) fn state(state: SprintState) -> &'static str {
    match state {
        SprintState::Future => "future",
        SprintState::Active => "active",
        SprintState::Closed => "closed",
    }
}

pub(super) fn render_category(category: Category, view: &View) -> Value {
    let (id, key, name, color) = match category {
        Category::ToDo => (2, "new", "To Do", "blue-gray"),
        Category::InProgress => (4, "indeterminate", "In Progress", "yellow"),
        Category::Done => (3, "done", "Done", "green"),
    };
    let link = view.link(format!("statuscategory/{id}"));
    json!({"self": link, "id": id, "key": key, "name": name, "colorName": color})
}

pub(super) fn render_priority(index: usize, view: &View) -> Value {
    let id = (index + 1).to_string();
    json!({
        "self": view.link(format!("priority/{id}")),
        "id": id,
        "name": PRIORITIES[index],
        "iconUrl": format!("{}/images/icons/priorities/{}.svg", view.base, PRIORITIES[index].to_lowercase()),
    })
}

pub(super) fn render_resolution(index: usize, view: &View) -> Value {
    let id = (FIRST_RESOLUTION + index as u64).to_string();
    let link = view.link(format!("resolution/{id}"));
    json!({"self": link, "id": id, "name": RESOLUTIONS[index], "description": ""})
}
