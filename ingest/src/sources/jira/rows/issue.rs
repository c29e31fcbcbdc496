use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::context::Context;
use super::super::sprint_field::sprint_ids;
use super::super::time;
use super::{Mapped, Refusal, at, id, required, text, user};

#[derive(Debug, Deserialize)]
struct Envelope<'p> {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    key: Value,
    #[serde(borrow)]
    fields: Option<&'p RawValue>,
}

/// A row of `jira.issues`.
pub(crate) fn issue_row(context: &Context, payload: &str) -> Result<Mapped, Refusal> {
    let envelope: Envelope<'_> =
        serde_json::from_str(payload).map_err(|error| format!("not an issue: {error}"))?;
    let raw_fields = required(envelope.fields, "fields")?.get();
    let fields: Value =
        serde_json::from_str(raw_fields).map_err(|error| format!("fields: {error}"))?;
    let mut mapped = Mapped::new(&context.connection);
    mapped.put("issue_id", required(id(&envelope.id), "id")?);
    mapped.put("issue_key", required(text(&envelope.key), "key")?);
    mapped.require_instant("created_at", at(&fields, "created"))?;
    mapped.require_instant("updated_at", at(&fields, "updated"))?;
    mapped.put("fields_json", raw_fields);
    put_place(&mut mapped, context, &fields);
    put_people_and_dates(&mut mapped, &fields);
    put_custom(&mut mapped, context, &fields);
    Ok(mapped)
}

/// The source's own instant of the last change, where a payload says it.
pub(crate) fn updated(payload: &str) -> Option<DateTime<Utc>> {
    #[derive(Deserialize)]
    struct Outer {
        fields: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        updated: Value,
    }
    let outer: Outer = serde_json::from_str(payload).ok()?;
    time::instant(&outer.fields.updated).ok().flatten()
}

/// Key of the project that an issue is in.
pub(crate) fn project_key(payload: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Outer {
        fields: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        project: Value,
    }
    let outer: Outer = serde_json::from_str(payload).ok()?;
    text(at(&outer.fields.project, "key"))
}

/// Creation of the issue of a row, in milliseconds.
pub(crate) fn created_ms(mapped: &Mapped) -> Option<i64> {
    let created = mapped.row.get("created_at")?;
    Some(time::instant(created).ok()??.timestamp_millis())
}

fn put_place(mapped: &mut Mapped, context: &Context, fields: &Value) {
    mapped.put("project_id", id(at(fields, "project.id")));
    mapped.put("project_key", text(at(fields, "project.key")));
    mapped.put("issue_type", text(at(fields, "issuetype.name")));
    mapped.put("issue_type_id", id(at(fields, "issuetype.id")));
    let level = at(fields, "issuetype.hierarchyLevel").as_i64();
    let is_subtask = at(fields, "issuetype.subtask").as_bool();
    mapped.put(
        "is_subtask",
        is_subtask.or_else(|| level.map(|level| level < 0)),
    );
    mapped.put("parent_id", id(at(fields, "parent.id")));
    mapped.put("summary", text(at(fields, "summary")));
    let status_id = id(at(fields, "status.id"));
    let listed = status_id.and_then(|id| context.statuses.get(&id));
    mapped.put("status_id", status_id);
    let name = listed.map(|status| status.name.clone());
    mapped.put("status", name.or_else(|| text(at(fields, "status.name"))));
    let category = match listed {
        Some(status) => status.category.clone(),
        None => category(at(fields, "status.statusCategory.key")),
    };
    mapped.put("status_category", category);
    mapped.put("priority", text(at(fields, "priority.name")));
    mapped.put("resolution", text(at(fields, "resolution.name")));
    mapped.put("labels", list(at(fields, "labels"), |label| label));
    mapped.put(
        "components",
        list(at(fields, "components"), |component| at(component, "name")),
    );
    mapped.put(
        "fix_versions",
        list(at(fields, "fixVersions"), |version| at(version, "name")),
    );
}

fn put_people_and_dates(mapped: &mut Mapped, fields: &Value) {
    mapped.put("assignee_id", user(at(fields, "assignee")));
    mapped.put("reporter_id", user(at(fields, "reporter")));
    mapped.put_instant("resolved_at", at(fields, "resolutiondate"));
    mapped.put_read("due_on", time::day(at(fields, "duedate")));
    mapped.put(
        "original_estimate_seconds",
        at(fields, "timeoriginalestimate").as_i64(),
    );
    mapped.put("time_spent_seconds", at(fields, "timespent").as_i64());
}

fn put_custom(mapped: &mut Mapped, context: &Context, fields: &Value) {
    let roles = &context.roles;
    let value = |field: &str| fields.get(field).unwrap_or(&super::NULL);
    let project_id = id(at(fields, "project.id"));
    if let Some(field) = roles.story_points(project_id) {
        mapped.put("story_points_field_id", field);
        mapped.put_read("story_points", points(value(field)));
    }
    if let Some(field) = &roles.sprint {
        mapped.put_read("sprint_ids", sprint_ids(value(field)).map(Some));
    }
    if let Some(field) = &roles.rank {
        mapped.put("rank", text(value(field)));
    }
    if let Some(field) = &roles.epic_link {
        mapped.put("epic_key", text(value(field)));
    }
    if let Some(field) = &roles.discipline_team {
        mapped.put("discipline_team", label(value(field)));
    }
}

/// A status category as the warehouse names it; `undefined` is none.
pub(super) fn category(key: &Value) -> Option<String> {
    text(key).filter(|key| matches!(key.as_str(), "new" | "indeterminate" | "done"))
}

/// An estimate: a number, or a number as text.
fn points(value: &Value) -> Result<Option<f64>, String> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let number = number.filter(|number| number.is_finite());
    number
        .map(Some)
        .ok_or_else(|| format!("{value} is not a number"))
}

/// What a person reads in a select list, user or text field; of several values the first.
fn label(value: &Value) -> Option<String> {
    match value {
        Value::Array(values) => values.first().and_then(label),
        Value::Object(_) => ["value", "name", "title", "displayName"]
            .into_iter()
            .find_map(|part| text(at(value, part))),
        _ => text(value),
    }
}

fn list(value: &Value, part: impl Fn(&Value) -> &Value) -> Vec<String> {
    let values = value.as_array().into_iter().flatten();
    values.filter_map(|value| text(part(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::jira::context::tests::context;
    use serde_json::json;

    fn payload(fields: Value) -> String {
        let mut all = json!({
            "created": "2020-06-12T08:13:13.360+0800",
            "updated": "2021-03-28T16:06:08.713+0800",
        });
        for (name, value) in fields.as_object().unwrap() {
            all[name] = value.clone();
        }
        json!({"id": "10063", "key": "EE-1", "fields": all}).to_string()
    }

    fn row(fields: Value) -> schemas::Row {
        issue_row(&context(), &payload(fields)).unwrap().row
    }

    #[test]
    fn maps_a_whole_issue() {
        let row = row(json!({
            "project": {"id": "10007", "key": "EE"},
            "issuetype": {"id": "10003", "name": "Sub-task", "subtask": true},
            "parent": {"id": "10001"},
            "summary": "A", "labels": ["b", "a"],
            "components": [{"name": "web"}], "fixVersions": [{"name": "1.0"}, {"id": "3"}],
            "status": {"id": "3", "name": "old name", "statusCategory": {"key": "new"}},
            "priority": {"name": "High"}, "resolution": null, "assignee": null,
            "reporter": {"accountId": "u1"}, "duedate": "2020-07-01",
            "timeoriginalestimate": 3600, "timespent": null,
            "customfield_10016": "3.5", "customfield_10020": [{"id": 9}, {"id": 7}],
            "customfield_10019": "0|hzzzzz:", "customfield_30": {"value": "Backend"},
            "customfield_999": {"brand": ["new"]},
        }));
        let contract = schemas::contract(&"jira.issues".parse().unwrap()).unwrap();
        assert_eq!(contract.missing(&row), None);
        for (column, expected) in [
            ("issue_id", json!(10063)),
            ("issue_key", json!("EE-1")),
            ("project_id", json!(10007)),
            ("is_subtask", json!(true)),
            ("parent_id", json!(10001)),
            ("status", json!("In Progress")),
            ("status_category", json!("indeterminate")),
            ("story_points", json!(3.5)),
            ("story_points_field_id", json!("customfield_10016")),
            ("sprint_ids", json!([7, 9])),
            ("labels", json!(["b", "a"])),
            ("fix_versions", json!(["1.0"])),
            ("discipline_team", json!("Backend")),
            ("rank", json!("0|hzzzzz:")),
            ("due_on", json!("2020-07-01")),
            ("created_at", json!("2020-06-12T00:13:13.360000Z")),
        ] {
            assert_eq!(row.get(column), Some(&expected), "{column}");
        }
        assert!(!row.contains_key("assignee_id") && !row.contains_key("resolution"));
        assert!(
            row["fields_json"]
                .as_str()
                .unwrap()
                .contains(r#""brand":["new"]"#)
        );
    }

    #[test]
    fn an_unlisted_status_keeps_what_the_payload_says() {
        let row =
            row(json!({"status": {"id": "77", "name": "X", "statusCategory": {"key": "done"}}}));
        assert_eq!(
            (&row["status"], &row["status_category"]),
            (&json!("X"), &json!("done"))
        );
    }

    #[test]
    fn what_is_required_is_asked_for() {
        let refused = |payload: Value| issue_row(&context(), &payload.to_string()).unwrap_err();
        let fields = json!({"created": 1492070429, "updated": 1492070429});
        assert_eq!(
            refused(json!({"key": "A-1", "fields": fields})),
            "id is missing"
        );
        assert_eq!(
            refused(json!({"id": "1", "fields": fields})),
            "key is missing"
        );
        assert_eq!(
            refused(json!({"id": "1", "key": "A-1"})),
            "fields is missing"
        );
        let late = json!({"created": "9999-01-01T00:00:00.000+0000", "updated": 1});
        let refusal = refused(json!({"id": "1", "key": "A-1", "fields": late}));
        assert_eq!(refusal, "created_at: year 9999 is out of range");
        assert!(issue_row(&context(), "[]").is_err());
    }

    #[test]
    fn optional_parts_that_cannot_be_read_are_left_out_and_remarked() {
        let payload = payload(json!({
            "resolutiondate": "0001-01-01T00:00:00.000+0000", "duedate": "soon",
            "customfield_10016": {"odd": true}, "customfield_10020": "Sprint 4",
        }));
        let mapped = issue_row(&context(), &payload).unwrap();
        assert_eq!(mapped.remarks.len(), 4, "{:?}", mapped.remarks);
        assert!(!mapped.row.contains_key("story_points"));
    }
}
