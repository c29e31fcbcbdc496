//! Field definitions of a recording: those recorded, and those that its changelogs and issues name.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::RecordedIssue;
use crate::render::system_fields;

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
    let agile = |kind: &str| format!("com.pyxis.greenhopper.jira:{kind}");
    let basic = |kind: &str| format!("com.atlassian.jira.plugin.system.customfieldtypes:{kind}");
    let (kind, custom) = match name {
        "Sprint" => ("array", agile("gh-sprint")),
        "Rank" => ("any", agile("gh-lexo-rank")),
        "Epic Link" => ("any", agile("gh-epic-link")),
        "Story point estimate" => ("number", agile("jsw-story-points")),
        "Story Points" => ("number", basic("float")),
        "Start date" | "End date" => ("date", basic("datepicker")),
        _ => ("string", basic("textfield")),
    };
    let number: u64 = id
        .trim_start_matches("customfield_")
        .parse()
        .unwrap_or_default();
    let mut schema = json!({"type": kind, "custom": custom, "customId": number});
    if kind == "array" {
        schema["items"] = json!("json");
    }
    json!({"id": id, "key": id, "name": name, "custom": true, "orderable": true, "navigable": true,
        "searchable": true, "clauseNames": [format!("cf[{number}]"), name], "schema": schema})
}
