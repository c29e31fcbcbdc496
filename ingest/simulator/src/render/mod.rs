//! How a site looks from outside: JSON in Jira's shapes. [`Source`] is what the server serves, a
//! [`World`](crate::World) or a recording.

mod agile;
mod history;
mod issue;
mod reference;
mod source;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value};

use crate::settings::Deployment;

pub(crate) use reference::{custom_field, system_fields};

/// From where and how the site is looked at.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) base: String,
    pub(crate) zone: Tz,
    pub(crate) deployment: Deployment,
    /// 2 or 3: rich text is a string or a document.
    pub(crate) version: u8,
    pub(crate) inline: usize,
}

impl View {
    pub(crate) fn cloud(&self) -> bool {
        self.deployment == Deployment::Cloud
    }

    /// A link into the API.
    pub(crate) fn link(&self, path: impl AsRef<str>) -> String {
        format!("{}/rest/api/{}/{}", self.base, self.version, path.as_ref())
    }

    /// `2020-06-19T06:31:18.495+0200`
    pub(crate) fn time(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.zone)
            .format("%Y-%m-%dT%H:%M:%S%.3f%z")
            .to_string()
    }
}

/// `2020-06-12T00:38:51.882Z`, as the agile API writes instants.
pub(crate) fn utc(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// What a search needs to know of an issue.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) id: u64,
    pub(crate) key: String,
    pub(crate) project: (u64, String),
    pub(crate) created: DateTime<Utc>,
    pub(crate) updated: DateTime<Utc>,
    pub(crate) sprints: Vec<u64>,
    pub(crate) parent: Option<u64>,
    pub(crate) issue_type: String,
    pub(crate) status: String,
    pub(crate) rank: String,
}

/// One history, ready to be shown.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) created: DateTime<Utc>,
    pub(crate) author: Option<Value>,
    pub(crate) items: Vec<Value>,
}

impl Entry {
    pub(crate) fn show(self, created: Value) -> Value {
        let mut shown = Map::new();
        shown.insert("id".to_owned(), Value::String(self.id.to_string()));
        if let Some(author) = self.author {
            shown.insert("author".to_owned(), author);
        }
        shown.insert("created".to_owned(), created);
        shown.insert("items".to_owned(), Value::Array(self.items));
        Value::Object(shown)
    }
}

/// A worklog with what the worklog endpoints sort and filter by.
#[derive(Clone, Debug)]
pub(crate) struct WorklogEntry {
    pub(crate) id: u64,
    pub(crate) issue: u64,
    pub(crate) updated: DateTime<Utc>,
    pub(crate) body: Value,
}

/// Lists of reference data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    Fields,
    Statuses,
    Priorities,
    Resolutions,
    IssueTypes,
    LinkTypes,
    Projects,
    ArchivedProjects,
    Users,
    Labels,
    Boards,
}

/// What belongs to a project.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OfProject {
    Versions,
    Components,
}

/// A site that can be served.
pub(crate) trait Source {
    fn now(&self) -> DateTime<Utc>;
    /// The search index as it was at an instant.
    fn heads(&self, as_of: DateTime<Utc>) -> Vec<Head>;
    /// Of a visible issue, by id or by any key it had.
    fn head(&self, id_or_key: &str) -> Option<Head>;
    fn issue_fields(&self, id: u64, view: &View) -> Map<String, Value>;
    /// Oldest first.
    fn histories(&self, id: u64, view: &View) -> Vec<Entry>;
    fn list(&self, what: Listing, view: &View) -> Vec<Value>;
    fn of_project(&self, id_or_key: &str, what: OfProject, view: &View) -> Option<Vec<Value>>;
    fn worklogs(&self, view: &View) -> Vec<WorklogEntry>;
    fn deleted_worklogs(&self) -> Vec<(u64, DateTime<Utc>)>;
    fn comments(&self, id: u64, view: &View) -> Vec<Value>;
    fn remote_links(&self, id: u64, view: &View) -> Vec<Value>;
    fn board_configuration(&self, board: u64, view: &View) -> Option<Value>;
    /// `None`: the board has no sprints to speak of.
    fn board_sprints(&self, board: u64, view: &View) -> Option<Vec<Value>>;
    fn sprint(&self, id: u64, view: &View) -> Option<Value>;
    fn board_issues(&self, board: u64) -> Vec<u64>;
    fn sprint_report(&self, board: u64, sprint: u64, view: &View) -> Option<Value>;
}
