//! A recording as a source.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{Recording, time};
use crate::render::{Entry, Head, Listing, OfProject, Source, View, WorklogEntry};

impl Recording {
    /// Distinct values of a field over all issues, lists flattened.
    fn values_of(&self, field: &str) -> Vec<Value> {
        let values = self
            .issues
            .values()
            .filter_map(|issue| issue.fields.get(field));
        let flat = values.flat_map(|value| match value {
            Value::Array(list) => list.clone(),
            Value::Null => Vec::new(),
            other => vec![other.clone()],
        });
        let mut found: Vec<Value> = Vec::new();
        for value in flat {
            if !found.iter().any(|known| {
                known["id"] == value["id"] && (value["id"] != Value::Null || *known == value)
            }) {
                found.push(value);
            }
        }
        found
    }

    fn board_value(&self, view: &View) -> Value {
        let mut board = json!({
            "id": self.board,
            "self": format!("{}/rest/agile/1.0/board/{}", view.base, self.board),
            "name": format!("Board {}", self.board),
            "type": "scrum",
        });
        if let Some(issue) = self.issues.values().next() {
            let project = &issue.fields["project"];
            board["location"] = json!({
                "projectId": issue.head.project.0,
                "displayName": project["name"],
                "projectName": project["name"],
                "projectKey": project["key"],
                "projectTypeKey": project["projectTypeKey"],
                "name": project["name"],
            });
        }
        board
    }
}

impl Source for Recording {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn heads(&self, as_of: DateTime<Utc>) -> Vec<Head> {
        let indexed = self
            .issues
            .values()
            .filter(|issue| issue.head.updated <= as_of);
        indexed.map(|issue| issue.head.clone()).collect()
    }

    fn head(&self, id_or_key: &str) -> Option<Head> {
        let id = id_or_key
            .parse()
            .ok()
            .or_else(|| self.keys.get(&id_or_key.to_uppercase()).copied())?;
        self.issues.get(&id).map(|issue| issue.head.clone())
    }

    fn issue_fields(&self, id: u64, _: &View) -> Map<String, Value> {
        self.issues
            .get(&id)
            .map(|issue| issue.fields.clone())
            .unwrap_or_default()
    }

    fn histories(&self, id: u64, _: &View) -> Vec<Entry> {
        self.issues
            .get(&id)
            .map(|issue| issue.histories.clone())
            .unwrap_or_default()
    }

    fn list(&self, what: Listing, view: &View) -> Vec<Value> {
        match what {
            Listing::Fields => self.fields.clone(),
            Listing::Statuses => self.statuses.clone(),
            Listing::Priorities => self.values_of("priority"),
            Listing::Resolutions => self.values_of("resolution"),
            Listing::IssueTypes => self.issue_types.clone(),
            Listing::Projects => self.projects.clone(),
            Listing::Users => self.users.clone(),
            Listing::Labels => self.values_of("labels"),
            Listing::Boards => vec![self.board_value(view)],
            Listing::LinkTypes | Listing::ArchivedProjects => Vec::new(),
        }
    }

    /// Of versions and components only those are known that an issue has.
    fn of_project(&self, id_or_key: &str, what: OfProject, _: &View) -> Option<Vec<Value>> {
        let known = |project: &&Value| project["id"] == *id_or_key || project["key"] == *id_or_key;
        let project = self.projects.iter().find(known)?;
        if self
            .issues
            .values()
            .next()
            .map(|issue| &issue.fields["project"]["id"])
            != Some(&project["id"])
        {
            return Some(Vec::new());
        }
        Some(self.values_of(match what {
            OfProject::Versions => "fixVersions",
            OfProject::Components => "components",
        }))
    }

    fn worklogs(&self, _: &View) -> Vec<WorklogEntry> {
        let entries = self.worklogs.iter().filter_map(|worklog| {
            Some(WorklogEntry {
                id: worklog["id"].as_str()?.parse().ok()?,
                issue: worklog["issueId"].as_str()?.parse().ok()?,
                updated: time(&worklog["updated"])?,
                body: worklog.clone(),
            })
        });
        entries.collect()
    }

    fn deleted_worklogs(&self) -> Vec<(u64, DateTime<Utc>)> {
        Vec::new()
    }

    fn comments(&self, id: u64, view: &View) -> Vec<Value> {
        let fields = self.issue_fields(id, view);
        let comments = fields
            .get("comment")
            .and_then(|comment| comment["comments"].as_array().cloned());
        comments.unwrap_or_default()
    }

    fn remote_links(&self, id: u64, _: &View) -> Vec<Value> {
        self.remote_links.get(&id).cloned().unwrap_or_default()
    }

    fn board_configuration(&self, _: u64, _: &View) -> Option<Value> {
        None
    }

    fn board_sprints(&self, board: u64, _: &View) -> Option<Vec<Value>> {
        (board == self.board).then(|| self.sprints.clone())
    }

    fn sprint(&self, id: u64, _: &View) -> Option<Value> {
        self.sprints
            .iter()
            .find(|sprint| sprint["id"] == id)
            .cloned()
    }

    fn board_issues(&self, board: u64) -> Vec<u64> {
        if board == self.board {
            self.issues.keys().copied().collect()
        } else {
            Vec::new()
        }
    }

    fn sprint_report(&self, _: u64, _: u64, _: &View) -> Option<Value> {
        None
    }
}
