//! The contract of a history: derived from the contract of the table whose states it keeps.

use serde_json::{Map, Value, json};

/// Column from which on a state holds.
pub const VALID_FROM: &str = "valid_from";

/// The Avro schema of the history of a table, if its contract asks for one with `"history": true`
/// or `"history": {"without": ["column", …]}`.
pub(crate) fn history_of(base: &Value) -> Option<Value> {
    let asked = base
        .get("history")
        .filter(|asked| **asked != json!(false))?;
    let left_out = |name: &str| {
        let without = asked.get("without").and_then(Value::as_array);
        name == "deleted_at" || without.is_some_and(|names| names.iter().any(|one| one == name))
    };
    let name = base.get("name")?.as_str()?;
    let mut history: Map<String, Value> = base.as_object()?.clone();
    history.remove("history");
    history.insert("name".into(), format!("{name}_history").into());
    let doc = format!(
        "History of {name}: one row per state that a record had. {}",
        base.get("doc")?.as_str()?
    );
    history.insert("doc".into(), doc.into());
    let mut key = base.get("key")?.as_array()?.clone();
    key.push(VALID_FROM.into());
    history.insert("key".into(), key.into());
    let fields = base.get("fields")?.as_array()?.iter();
    let mut fields: Vec<Value> = fields
        .filter(|field| {
            field
                .get("name")
                .and_then(Value::as_str)
                .is_none_or(|name| !left_out(name))
        })
        .cloned()
        .collect();
    fields.extend(interval());
    history.insert("fields".into(), fields.into());
    Some(history.into())
}

/// The columns that a history has besides those of its table.
fn interval() -> [Value; 4] {
    let instant = json!({"type": "long", "logicalType": "timestamp-micros"});
    [
        json!({
            "name": VALID_FROM,
            "type": instant,
            "doc": "When the listing that first showed this state was received, by this machine's clock; of a record's first state its creation, where the source tells that.",
        }),
        json!({
            "name": "valid_to",
            "type": ["null", instant],
            "doc": "When the listing that showed it no more was received; null while the state lasts.",
            "default": null,
        }),
        json!({
            "name": "is_initial",
            "type": "boolean",
            "doc": "Whether the first listing ever read showed it so. What was before is not known: take the state as valid from the beginning.",
        }),
        json!({
            "name": "deleted_at",
            "type": ["null", instant],
            "doc": "Equal to valid_to when the state ended because the record was gone; null when another state followed, or the state lasts.",
            "default": null,
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_has_the_columns_of_its_table_and_an_interval() {
        let base = json!({"type": "record", "name": "fields", "namespace": "n", "doc": "One row per field.",
            "key": ["connection", "field_id"], "history": {"without": ["role"]}, "fields": [
                {"name": "connection", "type": "string"}, {"name": "field_id", "type": "string"},
                {"name": "role", "type": ["null", "string"]}, {"name": "deleted_at", "type": ["null", "long"]}]});
        let history = history_of(&base).unwrap();
        let names: Vec<_> = history["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| field["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "connection",
                "field_id",
                "valid_from",
                "valid_to",
                "is_initial",
                "deleted_at"
            ]
        );
        assert_eq!(history["name"], "fields_history");
        assert_eq!(
            history["key"],
            json!(["connection", "field_id", "valid_from"])
        );
        assert_eq!(history.get("history"), None);
        let mut plain = base;
        plain.as_object_mut().unwrap().remove("history");
        assert_eq!(history_of(&plain), None);
    }
}
