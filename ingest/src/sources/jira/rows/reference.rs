//! Rows of what is read as a full listing: projects, boards, sprints, fields, statuses, users, versions
//! and the like.

use schemas::Row;
use serde_json::Value;

use super::super::fields::Roles;
use super::super::time;
use super::issue::category;
use super::{Mapped, Refusal, at, id, parse, required, text, user};

pub(crate) fn project_row(connection: &str, payload: &str) -> Result<Mapped, Refusal> {
    let project = parse(payload)?;
    let mut mapped = Mapped::new(connection);
    mapped.put("project_id", required(id(at(&project, "id")), "id")?);
    mapped.put("project_key", required(text(at(&project, "key")), "key")?);
    mapped.put("name", text(at(&project, "name")));
    mapped.put("project_type", text(at(&project, "projectTypeKey")));
    mapped.put("style", text(at(&project, "style")));
    mapped.put("lead_id", user(at(&project, "lead")));
    mapped.put("is_archived", at(&project, "archived").as_bool());
    Ok(mapped)
}

pub(crate) fn status_row(connection: &str, payload: &str) -> Result<Mapped, Refusal> {
    let status = parse(payload)?;
    let mut mapped = Mapped::new(connection);
    mapped.put("status_id", required(id(at(&status, "id")), "id")?);
    mapped.put("name", required(text(at(&status, "name")), "name")?);
    mapped.put("category", category(at(&status, "statusCategory.key")));
    mapped.put("project_id", id(at(&status, "scope.project.id")));
    Ok(mapped)
}

/// A row of `jira.fields`; the role is put in once all fields are known.
pub(crate) fn field_row(connection: &str, payload: &str) -> Result<Mapped, Refusal> {
    let field = parse(payload)?;
    let mut mapped = Mapped::new(connection);
    let field_id = required(text(at(&field, "id")), "id")?;
    let is_custom = at(&field, "custom").as_bool();
    let by_schema =
        || !at(&field, "schema.custom").is_null() || field_id.starts_with("customfield_");
    mapped.put("is_custom", is_custom.unwrap_or_else(by_schema));
    mapped.put("name", required(text(at(&field, "name")), "name")?);
    mapped.put("schema_type", text(at(&field, "schema.type")));
    mapped.put("schema_custom", text(at(&field, "schema.custom")));
    mapped.put("field_id", field_id);
    Ok(mapped)
}

pub(crate) fn user_row(connection: &str, payload: &str) -> Result<Mapped, Refusal> {
    let one = parse(payload)?;
    let mut mapped = Mapped::new(connection);
    mapped.put("user_id", required(user(&one), "accountId")?);
    mapped.put("display_name", text(at(&one, "displayName")));
    mapped.put("email", text(at(&one, "emailAddress")));
    mapped.put("account_type", text(at(&one, "accountType")));
    mapped.put("is_active", at(&one, "active").as_bool());
    mapped.put("time_zone", text(at(&one, "timeZone")));
    mapped.put("is_stub", false);
    Ok(mapped)
}

/// A row of `jira.users` for a person whom only records name.
pub(crate) fn stub_row(connection: &str, payload: &str) -> Result<Mapped, Refusal> {
    let mut mapped = user_row(connection, payload)?;
    mapped.put("is_stub", true);
    Ok(mapped)
}

pub(crate) fn issue_type_row(connection: &str, payload: &str) -> Result<Mapped, Refusal> {
    let one = parse(payload)?;
    let mut mapped = named(connection, &one, "issue_type_id")?;
    mapped.put("is_subtask", at(&one, "subtask").as_bool());
    mapped.put("hierarchy_level", at(&one, "hierarchyLevel").as_i64());
    mapped.put("project_id", id(at(&one, "scope.project.id")));
    Ok(mapped)
}

/// A row of `jira.priorities`; the order of the listing is that of the priorities.
pub(crate) fn priority_row(
    connection: &str,
    ordinal: i64,
    payload: &str,
) -> Result<Mapped, Refusal> {
    let mut mapped = named(connection, &parse(payload)?, "priority_id")?;
    mapped.put("ordinal", ordinal);
    Ok(mapped)
}

pub(crate) fn resolution_row(connection: &str, payload: &str) -> Result<Mapped, Refusal> {
    named(connection, &parse(payload)?, "resolution_id")
}

pub(crate) fn link_type_row(connection: &str, payload: &str) -> Result<Mapped, Refusal> {
    let one = parse(payload)?;
    let mut mapped = named(connection, &one, "link_type_id")?;
    mapped.put("outward", text(at(&one, "outward")));
    mapped.put("inward", text(at(&one, "inward")));
    Ok(mapped)
}

pub(crate) fn version_row(
    connection: &str,
    project_id: Option<i64>,
    payload: &str,
) -> Result<Mapped, Refusal> {
    let one = parse(payload)?;
    let mut mapped = named(connection, &one, "version_id")?;
    mapped.put("project_id", id(at(&one, "projectId")).or(project_id));
    mapped.put("description", text(at(&one, "description")));
    mapped.put("is_released", at(&one, "released").as_bool());
    mapped.put("is_archived", at(&one, "archived").as_bool());
    mapped.put_read("start_on", time::day(at(&one, "startDate")));
    mapped.put_read("released_on", time::day(at(&one, "releaseDate")));
    Ok(mapped)
}

pub(crate) fn component_row(
    connection: &str,
    project_id: Option<i64>,
    payload: &str,
) -> Result<Mapped, Refusal> {
    let one = parse(payload)?;
    let mut mapped = named(connection, &one, "component_id")?;
    mapped.put("project_id", id(at(&one, "projectId")).or(project_id));
    mapped.put("description", text(at(&one, "description")));
    mapped.put("lead_id", user(at(&one, "lead")));
    Ok(mapped)
}

/// A row with an id and a name.
fn named(connection: &str, one: &Value, id_column: &str) -> Result<Mapped, Refusal> {
    let mut mapped = Mapped::new(connection);
    mapped.put(id_column, required(id(at(one, "id")), "id")?);
    mapped.put("name", required(text(at(one, "name")), "name")?);
    Ok(mapped)
}

/// A row of `jira.boards` from the board and, where the site gave it, its configuration.
pub(crate) fn board_row(
    connection: &str,
    payload: &str,
    configuration: Option<&str>,
) -> Result<Mapped, Refusal> {
    let board = parse(payload)?;
    let mut mapped = Mapped::new(connection);
    mapped.put("board_id", required(id(at(&board, "id")), "id")?);
    mapped.put("name", text(at(&board, "name")));
    mapped.put("type", text(at(&board, "type")));
    mapped.put("project_id", id(at(&board, "location.projectId")));
    mapped.put("project_key", text(at(&board, "location.projectKey")));
    mapped.put("has_configuration", configuration.is_some());
    let Some(configuration) = configuration else {
        return Ok(mapped);
    };
    match parse(configuration) {
        Ok(settings) => {
            mapped.put("filter_id", id(at(&settings, "filter.id")));
            mapped.put("estimation_type", text(at(&settings, "estimation.type")));
            mapped.put(
                "estimation_field_id",
                text(at(&settings, "estimation.field.fieldId")),
            );
            let rank = id(at(&settings, "ranking.rankCustomFieldId"));
            mapped.put("rank_field_id", rank.map(|id| format!("customfield_{id}")));
        }
        Err(reason) => mapped.remarks.push(format!("configuration: {reason}")),
    }
    Ok(mapped)
}

/// Rows of `jira.board_columns` from the configuration of a board.
pub(crate) fn board_columns(
    connection: &str,
    board_id: i64,
    configuration: &str,
) -> Result<Vec<Row>, Refusal> {
    let configuration = parse(configuration)?;
    let Some(columns) = at(&configuration, "columnConfig.columns").as_array() else {
        return Ok(Vec::new());
    };
    let mut rows = Vec::new();
    for (ordinal, column) in columns.iter().enumerate() {
        let mut mapped = Mapped::new(connection);
        mapped.put("board_id", board_id);
        mapped.put("ordinal", ordinal as i64);
        mapped.put("name", text(at(column, "name")));
        mapped.put("is_last", ordinal + 1 == columns.len());
        let statuses = at(column, "statuses").as_array().into_iter().flatten();
        let statuses: Vec<i64> = statuses.filter_map(|status| id(at(status, "id"))).collect();
        if statuses.is_empty() {
            mapped.put("status_key", "");
            rows.push(mapped.row);
            continue;
        }
        for status in statuses {
            let mut mapped = mapped.clone();
            mapped.put("status_key", status.to_string());
            mapped.put("status_id", status);
            rows.push(mapped.row);
        }
    }
    Ok(rows)
}

/// Rows of `jira.board_features` from what a board says it can do.
pub(crate) fn board_features(
    connection: &str,
    board_id: i64,
    features: &str,
) -> Result<Vec<Row>, Refusal> {
    let features = parse(features)?;
    let listed = at(&features, "features").as_array().into_iter().flatten();
    let rows = listed.filter_map(|one| {
        // Sites use the one name, the specification the other.
        let name = ["feature", "boardFeature", "featureId"];
        let feature = name.into_iter().find_map(|part| text(at(one, part)))?;
        let state = text(at(one, "state"));
        let mut mapped = Mapped::new(connection);
        mapped.put("board_id", board_id);
        mapped.put("feature", feature);
        let is_enabled = state.as_deref().map(|state| state == "ENABLED");
        mapped.put("is_enabled", is_enabled);
        mapped.put("state", state);
        Some(mapped.row)
    });
    let mut seen = std::collections::HashSet::new();
    let is_new = |row: &Row| seen.insert(row.get("feature").map(Value::to_string));
    Ok(rows.filter(is_new).collect())
}

/// A row of `jira.sprints`, as a board lists it.
pub(crate) fn sprint_row(
    connection: &str,
    board_id: i64,
    payload: &str,
) -> Result<Mapped, Refusal> {
    let sprint = parse(payload)?;
    let mut mapped = Mapped::new(connection);
    mapped.put("sprint_id", required(id(at(&sprint, "id")), "id")?);
    mapped.put(
        "board_id",
        id(at(&sprint, "originBoardId")).unwrap_or(board_id),
    );
    mapped.put("name", text(at(&sprint, "name")));
    mapped.put(
        "state",
        text(at(&sprint, "state")).map(|state| state.to_lowercase()),
    );
    mapped.put("goal", text(at(&sprint, "goal")));
    for (column, part) in [
        ("start_at", "startDate"),
        ("end_at", "endDate"),
        ("activated_at", "activatedDate"),
        ("completed_at", "completeDate"),
        ("created_at", "createdDate"),
    ] {
        mapped.put_instant(column, at(&sprint, part));
    }
    Ok(mapped)
}

/// A row of `jira.board_sprints`.
pub(crate) fn board_sprint_row(connection: &str, board_id: i64, sprint_id: i64) -> Row {
    let mut mapped = Mapped::new(connection);
    mapped.put("board_id", board_id);
    mapped.put("sprint_id", sprint_id);
    mapped.row
}

/// Puts the part that each field plays into rows of `jira.fields`.
pub(crate) fn put_roles(rows: &mut [Row], roles: &Roles) {
    for row in rows {
        let role = row
            .get("field_id")
            .and_then(Value::as_str)
            .and_then(|id| roles.role(id));
        if let Some(role) = role {
            row.insert("role".to_string(), role.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_board_with_its_configuration() {
        let board = json!({"id": 8, "name": "B", "type": "scrum",
            "location": {"projectId": 10007, "projectKey": "EE"}, "isPrivate": false});
        let configuration = json!({
            "id": 8, "filter": {"id": "10101"}, "ranking": {"rankCustomFieldId": 10019},
            "estimation": {"type": "field", "field": {"fieldId": "customfield_10016"}},
            "columnConfig": {"columns": [
                {"name": "To do", "statuses": [{"id": "1"}, {"id": "4"}]},
                {"name": "Empty", "statuses": []},
                {"name": "Done", "statuses": [{"id": "6"}]},
            ]},
        })
        .to_string();
        let row = board_row("acme", &board.to_string(), Some(&configuration))
            .unwrap()
            .row;
        assert_eq!(row["rank_field_id"], json!("customfield_10019"));
        assert_eq!(row["filter_id"], json!(10101));
        let columns = board_columns("acme", 8, &configuration).unwrap();
        let shown: Vec<_> = columns
            .iter()
            .map(|row| {
                (
                    row["ordinal"].clone(),
                    row["status_key"].clone(),
                    row["is_last"].clone(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                (0, "1", false),
                (0, "4", false),
                (1, "", false),
                (2, "6", true)
            ]
            .map(|(ordinal, key, last)| (json!(ordinal), json!(key), json!(last)))
        );
        let bare = board_row("acme", &board.to_string(), None).unwrap().row;
        assert_eq!(bare["has_configuration"], json!(false));
    }

    #[test]
    fn a_sprint_keeps_its_origin_board() {
        let sprint = json!({"id": 15, "state": "CLOSED", "name": "S", "originBoardId": 13,
            "startDate": "2020-06-22T01:32:04.664Z", "endDate": "9999-01-01T00:00:00.000Z"});
        let mapped = sprint_row("acme", 8, &sprint.to_string()).unwrap();
        assert_eq!(
            (&mapped.row["board_id"], &mapped.row["state"]),
            (&json!(13), &json!("closed"))
        );
        assert_eq!(mapped.remarks, ["end_at: year 9999 is out of range"]);
        let orphan = sprint_row("acme", 8, r#"{"id":"16"}"#).unwrap();
        assert_eq!(orphan.row["board_id"], json!(8));
    }

    #[test]
    fn versions_components_and_types() {
        let version = r#"{"id":"10010","name":"v2","released":true,"releaseDate":"2026-02-01","startDate":"soon"}"#;
        let mapped = version_row("acme", Some(7), version).unwrap();
        assert_eq!(mapped.row["project_id"], json!(7));
        assert_eq!(mapped.row["released_on"], json!("2026-02-01"));
        assert_eq!(mapped.remarks.len(), 1, "{:?}", mapped.remarks);
        let component = r#"{"id":"1","name":"web","projectId":8,"lead":{"accountId":"u1"}}"#;
        let row = component_row("acme", Some(7), component).unwrap().row;
        assert_eq!(
            (&row["project_id"], &row["lead_id"]),
            (&json!(8), &json!("u1"))
        );
        let kind = r#"{"id":"3","name":"Sub-task","subtask":true,"hierarchyLevel":-1}"#;
        let row = issue_type_row("acme", kind).unwrap().row;
        assert_eq!(row["hierarchy_level"], json!(-1));
        assert_eq!(priority_row("acme", 0, "{}"), Err("id is missing".into()));
    }

    #[test]
    fn categories_fields_and_users() {
        let undefined = r#"{"id":"5","name":"X","statusCategory":{"key":"undefined"}}"#;
        assert!(
            !status_row("acme", undefined)
                .unwrap()
                .row
                .contains_key("category")
        );
        assert_eq!(
            status_row("acme", r#"{"id":"5"}"#),
            Err("name is missing".into())
        );
        let field = field_row(
            "acme",
            r#"{"id":"customfield_1","name":"N","schema":{"type":"number"}}"#,
        );
        assert_eq!(field.unwrap().row["is_custom"], json!(true));
        let server = user_row(
            "acme",
            r#"{"key":"JIRAUSER10100","name":"joe","active":true}"#,
        )
        .unwrap();
        assert_eq!(server.row["user_id"], json!("JIRAUSER10100"));
        assert_eq!(server.row["is_stub"], json!(false));
        let stub = stub_row("acme", r#"{"key":"e","displayName":"E"}"#).unwrap();
        assert_eq!(stub.row["is_stub"], json!(true));
    }

    #[test]
    fn what_a_board_can_do() {
        let features = json!({"features": [
            {"feature": "jsw.agility.sprints", "boardFeature": "SPRINTS", "state": "DISABLED"},
            {"boardFeature": "BACKLOG", "state": "ENABLED"},
            {"boardFeature": "BACKLOG", "state": "ENABLED"},
            {"boardFeature": "CODE"},
            {"state": "ENABLED"},
        ]});
        let rows = board_features("acme", 8, &features.to_string()).unwrap();
        let contract = schemas::contract(&"jira.board_features".parse().unwrap()).unwrap();
        assert!(rows.iter().all(|row| contract.missing(row).is_none()));
        let shown: Vec<_> = rows
            .iter()
            .map(|row| (row["feature"].clone(), row.get("is_enabled").cloned()))
            .collect();
        assert_eq!(
            shown,
            [
                (json!("jsw.agility.sprints"), Some(json!(false))),
                (json!("BACKLOG"), Some(json!(true))),
                (json!("CODE"), None),
            ]
        );
        assert!(board_features("acme", 8, "[]").unwrap().is_empty());
    }
}
