use schemas::Row;
use serde_json::Value;

use super::{Mapped, Refusal, at, id, parse, required, text, user};

/// Rows of `jira.changelog_items`: one per item of a history entry of an issue.
pub(crate) fn changelog_rows(
    connection: &str,
    issue_id: i64,
    payload: &str,
) -> Result<Vec<Row>, Refusal> {
    let history = parse(payload)?;
    let mut entry = Mapped::new(connection);
    entry.put("history_id", required(id(at(&history, "id")), "id")?);
    entry.put("issue_id", issue_id);
    entry.put("author_id", user(at(&history, "author")));
    entry.require_instant("changed_at", at(&history, "created"))?;
    let items = at(&history, "items").as_array();
    let rows = items
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(ordinal, item)| {
            let mut mapped = entry.clone();
            mapped.put("ordinal", ordinal as i64);
            mapped.put("field", required(text(at(item, "field")), "field")?);
            mapped.put("field_type", text(at(item, "fieldtype")));
            mapped.put("field_id", text(at(item, "fieldId")));
            for (column, part) in [
                ("from_value", "from"),
                ("from_string", "fromString"),
                ("to_value", "to"),
                ("to_string", "toString"),
            ] {
                mapped.put(column, value(at(item, part)));
            }
            Ok(mapped.row)
        });
    rows.collect()
}

/// A value of a change: text as it is, an empty one too; other values as JSON.
fn value(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_item_of_an_entry_is_a_row() {
        let payload = json!({
            "id": "90706", "created": "2021-04-01T08:52:27.109+0800", "author": {"accountId": "u1"},
            "items": [
                {"field": "Fix Version", "fieldId": "fixVersions", "to": "1", "toString": "A", "from": null},
                {"field": "Fix Version", "fieldId": "fixVersions", "to": "2", "toString": "B"},
                {"field": "Sprint", "fieldtype": "custom", "from": "", "to": "76, 79", "fromString": ""},
            ],
        });
        let rows = changelog_rows("acme", 10063, &payload.to_string()).unwrap();
        let contract = schemas::contract(&"jira.changelog_items".parse().unwrap()).unwrap();
        assert!(rows.iter().all(|row| contract.missing(row).is_none()));
        assert_eq!(rows.len(), 3);
        assert_eq!(
            (&rows[1]["ordinal"], &rows[1]["to_value"]),
            (&json!(1), &json!("2"))
        );
        assert_eq!(
            (&rows[2]["from_value"], &rows[2]["to_value"]),
            (&json!(""), &json!("76, 79"))
        );
        assert_eq!(rows[0]["changed_at"], json!("2021-04-01T00:52:27.109000Z"));
        assert!(!rows[0].contains_key("from_value") && !rows[2].contains_key("field_id"));
    }

    #[test]
    fn numbers_as_instants_and_missing_authors() {
        let payload =
            json!({"id": 5, "created": 1492070429, "items": [{"field": "status", "to": 3}]});
        let rows = changelog_rows("acme", 1, &payload.to_string()).unwrap();
        assert_eq!(rows[0]["changed_at"], json!("2017-04-13T08:00:29.000000Z"));
        assert_eq!(rows[0]["to_value"], json!("3"));
        assert!(!rows[0].contains_key("author_id"));
    }

    #[test]
    fn what_is_required_is_asked_for() {
        let refused = |payload: Value| changelog_rows("acme", 1, &payload.to_string()).unwrap_err();
        assert_eq!(refused(json!({"created": 1, "items": []})), "id is missing");
        assert_eq!(
            refused(json!({"id": "1", "items": []})),
            "changed_at is missing"
        );
        let nameless = json!({"id": "1", "created": 1, "items": [{"to": "3"}]});
        assert_eq!(refused(nameless), "field is missing");
    }
}
