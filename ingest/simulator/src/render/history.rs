//! Histories of an issue.

use serde_json::{Map, Value, json};

use crate::render::{Entry, View};
use crate::world::World;
use crate::world::model::{HistoryItem, Issue};

impl World {
    pub(super) fn render_histories(&self, issue: &Issue, view: &View) -> Vec<Entry> {
        let entries = issue.histories.iter().map(|history| Entry {
            id: history.id,
            created: history.created,
            author: history
                .author
                .map(|author| self.render_person(Some(author), view)),
            items: history
                .items
                .iter()
                .map(|item| self.render_item(item, view))
                .collect(),
        });
        entries.collect()
    }

    fn render_item(&self, item: &HistoryItem, view: &View) -> Value {
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        // Data Center's epics are linked by a field of their own.
        let is_epic = item.field == "IssueParentAssociation" && !view.cloud();
        put(
            "field",
            json!(if is_epic { "Epic Link" } else { &item.field }),
        );
        let is_custom = item.custom || is_epic;
        put(
            "fieldtype",
            json!(if is_custom { "custom" } else { "jira" }),
        );
        // Data Center's items name the field only.
        if let Some(id) = item.field_id.as_ref().filter(|_| view.cloud()) {
            put("fieldId", json!(id));
        }
        let people = item.field == "assignee";
        let end = |id: &Option<String>| match id {
            Some(account) if people && !view.cloud() => self
                .site
                .user(account)
                .map_or(Value::Null, |user| json!(user.key)),
            other => json!(other),
        };
        put("from", end(&item.from));
        put("fromString", json!(item.from_text));
        put("to", end(&item.to));
        put("toString", json!(item.to_text));
        if people && view.cloud() {
            put("tmpFromAccountId", json!(item.from));
            put("tmpToAccountId", json!(item.to));
        }
        Value::Object(shown)
    }
}
