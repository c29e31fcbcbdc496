//! Whether a contract may follow another one.

use apache_avro::Schema;
use apache_avro::schema_compatibility::SchemaCompatibility;
use serde_json::{Value, json};

/// Why a contract can't follow an older one; `None` when it can.
pub(crate) fn breaks(old: &Value, new: &Value) -> Option<String> {
    let parse = |contract: &Value| Schema::parse_str(&contract.to_string()).unwrap();
    if old["key"] != new["key"] {
        return Some(format!("its key was {}", old["key"]));
    }
    let (before, after) = (fields(old), fields(new));
    for field in &before {
        let name = field["name"].as_str().unwrap();
        let now = after.iter().find(|one| one["name"] == name);
        match now {
            None => return Some(format!("column {name} is gone")),
            Some(now) if now["type"] != field["type"] => {
                return Some(format!("column {name} was {}", field["type"]));
            }
            Some(_) => {}
        }
    }
    let is_old = |field: &&Value| before.iter().any(|one| one["name"] == field["name"]);
    for field in after.iter().filter(|field| !is_old(field)) {
        let name = field["name"].as_str().unwrap();
        let nullable = field["type"][0] == "null" && field.get("default") == Some(&Value::Null);
        if !nullable {
            return Some(format!(
                "column {name} is new and required; give it the type [\"null\", …] and the default null"
            ));
        }
    }
    let order = |fields: &[Value]| -> Vec<Value> {
        let old = fields.iter().filter(|field| is_old(field));
        old.map(|field| field["name"].clone()).collect()
    };
    if order(&before) != order(&after) {
        return Some("its columns stand in another order".to_string());
    }
    let had_deleted_at = before
        .last()
        .is_some_and(|last| last["name"] == "deleted_at");
    if had_deleted_at
        && after
            .last()
            .is_some_and(|last| last["name"] != "deleted_at")
    {
        return Some("new columns stand before deleted_at".to_string());
    }
    // The rules above are stricter; Avro's own word counts all the same.
    let readable = SchemaCompatibility::can_read(&parse(old), &parse(new));
    readable
        .err()
        .map(|error| format!("records of the older version can't be read: {error}"))
}

fn fields(contract: &Value) -> Vec<Value> {
    contract["fields"].as_array().unwrap().clone()
}

#[test]
fn what_may_follow() {
    let text = || json!({"name": "connection", "type": "string"});
    let deleted = || json!({"name": "deleted_at", "type": ["null", "long"], "default": null});
    let new = |kind: Value| json!({"name": "x", "type": kind, "default": null});
    let contract = |fields: Vec<Value>| json!({"type": "record", "name": "t", "namespace": "n", "version": 1, "key": ["connection"], "fields": fields});
    let old = contract(vec![text(), deleted()]);
    let told = |fields: Vec<Value>, reason: &str| {
        let told = breaks(&old, &contract(fields)).unwrap();
        assert!(told.contains(reason), "{told}");
    };
    assert_eq!(breaks(&old, &old), None);
    let more = contract(vec![text(), new(json!(["null", "long"])), deleted()]);
    assert_eq!(breaks(&old, &more), None);
    told(vec![text()], "deleted_at is gone");
    told(
        vec![text(), deleted(), new(json!(["null", "long"]))],
        "before deleted_at",
    );
    told(
        vec![text(), json!({"name": "x", "type": "long"}), deleted()],
        "x is new and required",
    );
    told(vec![deleted(), text()], "another order");
    let longer = json!({"name": "connection", "type": ["null", "string"], "default": null});
    told(vec![longer, deleted()], "connection was \"string\"");
    let mut other_key = old.clone();
    other_key["key"] = json!(["connection", "x"]);
    assert!(breaks(&old, &other_key).unwrap().contains("its key was"));
    let mut renamed = old.clone();
    renamed["name"] = json!("another");
    assert!(breaks(&old, &renamed).unwrap().contains("can't be read"));
}
