//! Reference data: fields, statuses, people, projects.

use serde_json::{Value, json};

use crate::render::{Listing, OfProject, View};
use crate::world::World;
use crate::world::model::{IssueKind, Project, User, Version};
use crate::world::site::{FIRST_LINK_TYPE, LINK_TYPES, PRIORITIES, RESOLUTIONS};

const TYPES: [(IssueKind, u64, &str, i64); 5] = [
    (IssueKind::Epic, 10_000, "Epic", 1),
    (IssueKind::Story, 10_001, "Story", 0),
    (IssueKind::Task, 10_002, "Task", 0),
    (IssueKind::SubTask, 10_003, "Sub-task", -1),
    (IssueKind::Bug, 10_004, "Bug", 0),
];

/// Id, name, schema type, element type of a list.
const SYSTEM_FIELDS: [(&str, &str, &str, Option<&str>); 37] = [
    ("summary", "Summary", "string", None),
    ("issuetype", "Issue Type", "issuetype", None),
    ("project", "Project", "project", None),
    ("status", "Status", "status", None),
    (
        "statuscategorychangedate",
        "Status Category Changed",
        "datetime",
        None,
    ),
    ("priority", "Priority", "priority", None),
    ("resolution", "Resolution", "resolution", None),
    ("resolutiondate", "Resolved", "datetime", None),
    ("assignee", "Assignee", "user", None),
    ("reporter", "Reporter", "user", None),
    ("creator", "Creator", "user", None),
    ("created", "Created", "datetime", None),
    ("updated", "Updated", "datetime", None),
    ("duedate", "Due date", "date", None),
    ("labels", "Labels", "array", Some("string")),
    ("components", "Components", "array", Some("component")),
    ("fixVersions", "Fix versions", "array", Some("version")),
    ("versions", "Affects versions", "array", Some("version")),
    ("description", "Description", "string", None),
    ("environment", "Environment", "string", None),
    ("lastViewed", "Last Viewed", "datetime", None),
    ("security", "Security Level", "securitylevel", None),
    ("workratio", "Work Ratio", "number", None),
    ("attachment", "Attachment", "array", Some("attachment")),
    ("watches", "Watchers", "watches", None),
    ("votes", "Votes", "votes", None),
    ("subtasks", "Sub-tasks", "array", Some("issuelinks")),
    ("issuelinks", "Linked Issues", "array", Some("issuelinks")),
    ("parent", "Parent", "issuelink", None),
    ("comment", "Comment", "comments-page", None),
    ("worklog", "Log Work", "array", Some("worklog")),
    ("timetracking", "Time tracking", "timetracking", None),
    ("timeoriginalestimate", "Original estimate", "number", None),
    ("timeestimate", "Remaining Estimate", "number", None),
    ("timespent", "Time Spent", "number", None),
    ("progress", "Progress", "progress", None),
    ("aggregateprogress", "Σ Progress", "progress", None),
];

pub(super) fn type_name(kind: IssueKind) -> &'static str {
    TYPES
        .iter()
        .find(|entry| entry.0 == kind)
        .map_or("Task", |entry| entry.2)
}

/// The definitions of Jira's own fields.
pub(crate) fn system_fields() -> Vec<Value> {
    SYSTEM_FIELDS
        .iter()
        .map(|(id, name, kind, items)| {
            let mut schema = json!({"type": kind, "system": id});
            if let Some(items) = items {
                schema["items"] = json!(items);
            }
            json!({"id": id, "key": id, "name": name, "custom": false, "orderable": true,
                "navigable": true, "searchable": true, "clauseNames": [id], "schema": schema})
        })
        .collect()
}

/// The definition of a custom field, from the last part of its type.
pub(crate) fn custom_field(id: &str, name: &str, kind: &str) -> Value {
    let (value, items) = match kind {
        "gh-sprint" => ("array", Some("json")),
        "multicheckboxes" => ("array", Some("option")),
        "jsw-story-points" | "float" => ("number", None),
        "select" => ("option", None),
        "userpicker" => ("user", None),
        "datepicker" => ("date", None),
        "gh-epic-label" | "textfield" => ("string", None),
        _ => ("any", None),
    };
    let family = if kind.starts_with("gh-") || kind.starts_with("jsw-") {
        "com.pyxis.greenhopper.jira"
    } else {
        "com.atlassian.jira.plugin.system.customfieldtypes"
    };
    let number: u64 = id
        .trim_start_matches("customfield_")
        .parse()
        .unwrap_or_default();
    let mut schema =
        json!({"type": value, "custom": format!("{family}:{kind}"), "customId": number});
    if let Some(items) = items {
        schema["items"] = json!(items);
    }
    json!({"id": id, "key": id, "name": name, "untranslatedName": name, "custom": true,
        "orderable": true, "navigable": true, "searchable": true,
        "clauseNames": [format!("cf[{number}]"), name], "schema": schema})
}

impl World {
    pub(super) fn render_list(&self, what: Listing, view: &View) -> Vec<Value> {
        match what {
            Listing::Fields => self.render_field_list(),
            Listing::Statuses => self
                .site
                .statuses
                .iter()
                .map(|status| self.render_status(status.id, view))
                .collect(),
            Listing::Priorities => (0..PRIORITIES.len())
                .map(|index| super::issue::render_priority(index, view))
                .collect(),
            Listing::Resolutions => (0..RESOLUTIONS.len())
                .map(|index| super::issue::render_resolution(index, view))
                .collect(),
            Listing::IssueTypes => TYPES
                .iter()
                .map(|entry| self.render_type(entry.0, view))
                .collect(),
            Listing::LinkTypes => (0..LINK_TYPES.len())
                .map(|index| render_link_type(index, view))
                .collect(),
            Listing::Projects | Listing::ArchivedProjects => {
                let archived = what == Listing::ArchivedProjects;
                let found = self
                    .projects
                    .iter()
                    .filter(|p| p.archived_at.is_some() == archived);
                found
                    .map(|project| self.render_project(project, view))
                    .collect()
            }
            Listing::Users => self
                .site
                .users
                .iter()
                .map(|user| render_user(user, view))
                .collect(),
            Listing::Labels => {
                let mut labels: Vec<_> = self
                    .issues
                    .values()
                    .flat_map(|issue| &issue.labels)
                    .collect();
                labels.sort();
                labels.dedup();
                labels.into_iter().map(|label| json!(label)).collect()
            }
            Listing::Boards => self
                .boards
                .iter()
                .map(|board| self.render_board(board, view))
                .collect(),
        }
    }

    fn render_field_list(&self) -> Vec<Value> {
        let ids = &self.site.fields;
        let custom = [
            (&ids.sprint, "Sprint", "gh-sprint"),
            (&ids.rank, "Rank", "gh-lexo-rank"),
            (&ids.story_points, "Story Points", "float"),
            (&ids.estimate, "Story point estimate", "jsw-story-points"),
            (&ids.actual_story_points, "Actual Story Points", "float"),
            (&ids.discipline_team, "Discipline Team", "select"),
            (&ids.flagged, "Flagged", "multicheckboxes"),
            (&ids.owner, "Owner", "userpicker"),
            (&ids.epic_link, "Epic Link", "gh-epic-link"),
            (&ids.epic_name, "Epic Name", "gh-epic-label"),
        ];
        let custom = custom
            .into_iter()
            .map(|(id, name, kind)| custom_field(id, name, kind));
        system_fields().into_iter().chain(custom).collect()
    }

    pub(super) fn render_type(&self, kind: IssueKind, view: &View) -> Value {
        let (_, id, name, level) = TYPES
            .iter()
            .find(|entry| entry.0 == kind)
            .unwrap_or(&TYPES[2]);
        let mut shown = json!({
            "self": view.link(format!("issuetype/{id}")),
            "id": id.to_string(),
            "description": "",
            "iconUrl": format!("{}/images/icons/issuetypes/{}.svg", view.base, name.to_lowercase()),
            "name": name,
            "subtask": kind == IssueKind::SubTask,
            "avatarId": 10_300 + id % 100,
        });
        if view.cloud() {
            shown["hierarchyLevel"] = json!(level);
        }
        shown
    }

    pub(super) fn render_project_short(&self, id: u64, view: &View) -> Value {
        let Some(project) = self.project(id) else {
            return Value::Null;
        };
        let mut shown = json!({
            "self": view.link(format!("project/{id}")),
            "id": id.to_string(),
            "key": project.key,
            "name": project.name,
            "projectTypeKey": "software",
            "avatarUrls": avatars("project", id, view),
        });
        if view.cloud() {
            shown["simplified"] = json!(false);
        }
        shown
    }

    fn render_project(&self, project: &Project, view: &View) -> Value {
        let mut shown = self.render_project_short(project.id, view);
        shown["expand"] = json!("description,lead,issueTypes,url,projectKeys,permissions,insight");
        shown["description"] = json!(format!("Everything about {}.", project.name));
        shown["lead"] = self.render_person(Some(project.lead), view);
        if view.cloud() {
            shown["style"] = json!("classic");
            shown["isPrivate"] = json!(false);
            shown["properties"] = json!({});
        } else {
            shown["archived"] = json!(project.archived_at.is_some());
        }
        if let Some(at) = project.archived_at {
            shown["archived"] = json!(true);
            shown["archivedDate"] = json!(view.time(at));
        }
        shown["issueTypes"] = TYPES
            .iter()
            .map(|entry| self.render_type(entry.0, view))
            .collect();
        shown["components"] = json!(self.render_of_project(project, OfProject::Components, view));
        shown["versions"] = json!(self.render_of_project(project, OfProject::Versions, view));
        shown
    }

    pub(super) fn render_of_project(
        &self,
        project: &Project,
        what: OfProject,
        view: &View,
    ) -> Vec<Value> {
        match what {
            OfProject::Versions => project
                .versions
                .iter()
                .map(|version| Self::render_version(version, Some(project.id), view))
                .collect(),
            OfProject::Components => project
                .components
                .iter()
                .map(|component| {
                    json!({
                        "self": view.link(format!("component/{}", component.id)),
                        "id": component.id.to_string(),
                        "name": component.name,
                        "description": "",
                        "assigneeType": "PROJECT_DEFAULT",
                        "isAssigneeTypeValid": false,
                        "project": project.key,
                        "projectId": project.id,
                    })
                })
                .collect(),
        }
    }

    pub(super) fn render_version(version: &Version, project: Option<u64>, view: &View) -> Value {
        let mut shown = json!({
            "self": view.link(format!("version/{}", version.id)),
            "id": version.id.to_string(),
            "description": "",
            "name": version.name,
            "archived": false,
            "released": version.released,
            "releaseDate": version.release,
        });
        if let Some(project) = project {
            shown["projectId"] = json!(project);
            shown["startDate"] = json!(version.start);
        }
        shown
    }
}

fn render_link_type(index: usize, view: &View) -> Value {
    let (name, inward, outward) = LINK_TYPES[index];
    let id = (FIRST_LINK_TYPE + index as u64).to_string();
    let link = view.link(format!("issueLinkType/{id}"));
    json!({"id": id, "name": name, "inward": inward, "outward": outward, "self": link})
}

/// A person: by account id on Cloud, by name and key on Data Center.
pub(super) fn render_user(user: &User, view: &View) -> Value {
    if view.cloud() {
        return json!({
            "self": view.link(format!("user?accountId={}", user.account_id)),
            "accountId": user.account_id,
            "accountType": if user.app { "app" } else { "atlassian" },
            "emailAddress": user.email,
            "avatarUrls": avatars("user", 10_122, view),
            "displayName": user.display_name,
            "active": user.active,
            "timeZone": view.zone.name(),
        });
    }
    json!({
        "self": view.link(format!("user?username={}", user.name)),
        "name": user.name,
        "key": user.key,
        "emailAddress": user.email,
        "avatarUrls": avatars("user", 10_122, view),
        "displayName": user.display_name,
        "active": user.active,
        "deleted": false,
        "timeZone": view.zone.name(),
        "locale": "en_US",
    })
}

pub(super) fn avatars(kind: &str, id: u64, view: &View) -> Value {
    let link = |size| {
        format!(
            "{}/secure/{kind}avatar?avatarId={id}&size={size}",
            view.base
        )
    };
    json!({"48x48": link("large"), "24x24": link("small"), "16x16": link("xsmall"), "32x32": link("medium")})
}
