//! Field definitions of a recording: those recorded, and those that its changelogs and issues name.

use std::collections::BTreeMap;

use serde_json::Value;

use super::RecordedIssue;
use crate::render::{custom_field, system_fields};

/// System fields, recorded definitions, then custom fields by what the changelogs call them.
pub(super) fn definitions<'a>(
    recorded: Vec<Value>,
    issues: impl Iterator<Item = &'a RecordedIssue>,
) -> Vec<Value> {
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    for item in issues
        .flat_map(|issue| &issue.histories)
        .flat_map(|entry| &entry.items)
    {
        let (Some(id), Some(name)) = (item["fieldId"].as_str(), item["field"].as_str()) else {
            continue;
        };
        if id.starts_with("customfield_") {
            named.insert(id.to_owned(), name.to_owned());
        }
    }
    let mut fields = system_fields();
    for definition in recorded {
        if let Some(id) = definition["id"].as_str() {
            named.remove(id);
        }
        fields.push(definition);
    }
    fields.extend(named.into_iter().map(|(id, name)| custom(&id, &name)));
    fields
}

fn custom(id: &str, name: &str) -> Value {
    let kind = match name {
        "Sprint" => "gh-sprint",
        "Rank" => "gh-lexo-rank",
        "Epic Link" => "gh-epic-link",
        "Story point estimate" => "jsw-story-points",
        "Story Points" => "float",
        "Start date" | "End date" => "datepicker",
        _ => "textfield",
    };
    custom_field(id, name, kind)
}
