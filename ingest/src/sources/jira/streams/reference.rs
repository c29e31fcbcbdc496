//! Full listings → tables. What a listing lacks is marked as deleted, never forgotten.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use schemas::{Row, TableName};
use serde_json::Value;
use warehouse::{Commit, Warehouse};

use super::super::context::live;
use super::super::fields::{self, boards_of, fields_of};
use super::super::rows::{self, Mapped, Refusal};
use super::fetch::{CONFIGURATION, FEATURES};
use super::people;
use super::{
    BOARDS, COMPONENTS, FIELDS, ISSUE_TYPES, LINK_TYPES, PRIORITIES, PROJECTS, RESOLUTIONS,
    SPRINTS, STATUSES, USERS, VERSIONS,
};
use crate::land::{Landing, Received};
use crate::{Connection, Result, StreamReport};

/// The rows of a listing.
#[derive(Debug, Default)]
struct Derived {
    /// Rows by table, the table of the stream itself first.
    tables: Vec<(&'static str, Vec<Row>)>,
    /// Records without a row, by position, with the reason.
    refused: BTreeMap<usize, String>,
    /// Records whose row lacks a part, by position, with the reason.
    remarked: BTreeMap<usize, String>,
}

/// Makes the tables of a reference stream equal to a listing.
pub(crate) async fn write(
    warehouse: &Warehouse,
    connection: &Connection,
    landing: &mut Landing<'_>,
    commit: &Commit,
    stream: &'static str,
    records: &[Received],
    received_at: DateTime<Utc>,
) -> Result<StreamReport> {
    let mut report = StreamReport {
        read: records.len() as u64,
        ..StreamReport::of(stream)
    };
    let mut derived = derive(stream, &connection.name, records);
    report.quarantined = derived.refused.len() as u64;
    for (position, record) in records.iter().enumerate() {
        let reason = derived
            .refused
            .get(&position)
            .or(derived.remarked.get(&position));
        match reason {
            Some(reason) => landing.quarantine(stream, record, reason).await?,
            None => landing.release(stream, &record.key).await?,
        }
    }
    if !derived.refused.is_empty() {
        keep_stored(warehouse, connection, records, &mut derived).await?;
    }
    if stream == USERS {
        for (_, rows) in &mut derived.tables {
            let stubs = people::unlisted(warehouse, &connection.name, rows).await?;
            rows.extend(stubs);
        }
    }
    if stream == PROJECTS {
        let scope = &connection.projects;
        for row in derived.tables.iter_mut().flat_map(|(_, rows)| rows) {
            let key = row
                .get("project_key")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let is_read = scope.is_empty() || scope.iter().any(|chosen| chosen == key);
            row.insert("is_selected".to_string(), is_read.into());
        }
    }
    if stream == FIELDS {
        let boards = live(warehouse, connection, BOARDS).await?;
        for (_, rows) in &mut derived.tables {
            let fields = fields_of(rows);
            let roles = fields::resolve(&fields, &boards_of(&boards), &connection.fields);
            rows::put_roles(rows, &roles);
        }
    }
    for (table, rows) in derived.tables {
        let table = TableName::new("jira", table);
        let tables = warehouse.tables();
        let written = tables
            .replace(&table, &connection.name, rows, received_at, commit)
            .await?;
        report.add(written);
    }
    Ok(report)
}

/// The rows that a listing gives its own table, for looking at them without a warehouse.
pub(crate) fn rows(stream: &'static str, connection: &str, records: &[Received]) -> Vec<Row> {
    let derived = derive(stream, connection, records);
    derived
        .tables
        .into_iter()
        .next()
        .map(|(_, rows)| rows)
        .unwrap_or_default()
}

/// A record that can't be read is no proof that its row is gone: the stored one stays.
async fn keep_stored(
    warehouse: &Warehouse,
    connection: &Connection,
    records: &[Received],
    derived: &mut Derived,
) -> Result<()> {
    let refused: HashSet<&str> = derived
        .refused
        .keys()
        .filter_map(|position| records.get(*position))
        .map(|record| record.key.rsplit('/').next().unwrap_or_default())
        .collect();
    for (table, rows) in &mut derived.tables {
        let Some(contract) = schemas::contract(&TableName::new("jira", *table)) else {
            continue;
        };
        let id = contract
            .key()
            .last()
            .map(String::as_str)
            .unwrap_or_default();
        for row in live(warehouse, connection, table).await? {
            let stored = match row.get(id) {
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None => continue,
            };
            if refused.contains(stored.as_str()) {
                rows.push(row);
            }
        }
    }
    Ok(())
}

fn derive(stream: &'static str, connection: &str, records: &[Received]) -> Derived {
    match stream {
        BOARDS => derive_boards(connection, records),
        SPRINTS => derive_sprints(connection, records),
        PROJECTS => one_each(stream, records, |one| {
            rows::project_row(connection, &one.payload)
        }),
        STATUSES => one_each(stream, records, |one| {
            rows::status_row(connection, &one.payload)
        }),
        FIELDS => one_each(stream, records, |one| {
            rows::field_row(connection, &one.payload)
        }),
        ISSUE_TYPES => one_each(stream, records, |one| {
            rows::issue_type_row(connection, &one.payload)
        }),
        PRIORITIES => derive_priorities(connection, records),
        RESOLUTIONS => one_each(stream, records, |one| {
            rows::resolution_row(connection, &one.payload)
        }),
        LINK_TYPES => one_each(stream, records, |one| {
            rows::link_type_row(connection, &one.payload)
        }),
        VERSIONS => one_each(stream, records, |one| {
            rows::version_row(connection, parent(&one.key), &one.payload)
        }),
        COMPONENTS => one_each(stream, records, |one| {
            rows::component_row(connection, parent(&one.key), &one.payload)
        }),
        _ => one_each(USERS, records, |one| {
            rows::user_row(connection, &one.payload)
        }),
    }
}

impl Derived {
    /// Takes the outcome of mapping a record: the row, if there is one.
    fn take(&mut self, position: usize, mapped: Result<Mapped, Refusal>) -> Option<Row> {
        match mapped {
            Ok(mapped) => {
                if !mapped.remarks.is_empty() {
                    self.remarked.insert(position, mapped.remarks.join("; "));
                }
                Some(mapped.row)
            }
            Err(refusal) => {
                self.refused.insert(position, refusal);
                None
            }
        }
    }
}

/// The parent in a key such as `10000/7`.
fn parent(key: &str) -> Option<i64> {
    key.split('/').next()?.parse().ok()
}

/// Streams and their tables have the same name.
fn one_each(
    table: &'static str,
    records: &[Received],
    map: impl Fn(&Received) -> Result<Mapped, Refusal>,
) -> Derived {
    let mut derived = Derived::default();
    let mut rows = Vec::new();
    for (position, record) in records.iter().enumerate() {
        rows.extend(derived.take(position, map(record)));
    }
    derived.tables.push((table, rows));
    derived
}

/// Priorities in the order of the listing.
fn derive_priorities(connection: &str, records: &[Received]) -> Derived {
    let mut derived = Derived::default();
    let mut rows = Vec::new();
    for (position, record) in records.iter().enumerate() {
        let mapped = rows::priority_row(connection, position as i64, &record.payload);
        rows.extend(derived.take(position, mapped));
    }
    derived.tables.push((PRIORITIES, rows));
    derived
}

fn derive_boards(connection: &str, records: &[Received]) -> Derived {
    let mut derived = Derived::default();
    let (mut boards, mut columns, mut features) = (Vec::new(), Vec::new(), Vec::new());
    let of_boards = |suffix: &str| -> BTreeMap<&str, &Received> {
        let parts = records.iter();
        parts
            .filter_map(|record| Some((record.key.strip_suffix(suffix)?, record)))
            .collect()
    };
    let configurations = of_boards(CONFIGURATION);
    let able = of_boards(FEATURES);
    for (position, record) in records.iter().enumerate() {
        if record.key.ends_with(CONFIGURATION) || record.key.ends_with(FEATURES) {
            continue;
        }
        let configuration = configurations
            .get(record.key.as_str())
            .map(|one| one.payload.as_str());
        let mapped = rows::board_row(connection, &record.payload, configuration);
        let Some(row) = derived.take(position, mapped) else {
            continue;
        };
        let board_id = row.get("board_id").and_then(Value::as_i64);
        if let (Some(board_id), Some(configuration)) = (board_id, configuration) {
            let mapped = rows::board_columns(connection, board_id, configuration);
            columns.extend(mapped.into_iter().flatten());
        }
        if let (Some(board_id), Some(able)) = (board_id, able.get(record.key.as_str())) {
            let mapped = rows::board_features(connection, board_id, &able.payload);
            features.extend(mapped.into_iter().flatten());
        }
        boards.push(row);
    }
    derived.tables = vec![
        ("boards", boards),
        ("board_columns", columns),
        ("board_features", features),
    ];
    derived
}

/// Every board lists the sprints it shows; a sprint is one row, as its origin board tells it.
fn derive_sprints(connection: &str, records: &[Received]) -> Derived {
    let mut derived = Derived::default();
    let mut sprints = BTreeMap::<i64, (bool, Row)>::new();
    let mut shown = Vec::new();
    for (position, record) in records.iter().enumerate() {
        let Some(board_id) = parent(&record.key) else {
            derived
                .refused
                .insert(position, "the board is not known".to_string());
            continue;
        };
        let mapped = rows::sprint_row(connection, board_id, &record.payload);
        let Some(row) = derived.take(position, mapped) else {
            continue;
        };
        let Some(sprint_id) = row.get("sprint_id").and_then(Value::as_i64) else {
            continue;
        };
        shown.push(rows::board_sprint_row(connection, board_id, sprint_id));
        let is_origin = row.get("board_id").and_then(Value::as_i64) == Some(board_id);
        let known = sprints.get(&sprint_id);
        if known.is_none_or(|(from_origin, _)| is_origin && !from_origin) {
            sprints.insert(sprint_id, (is_origin, row));
        }
    }
    let sprints = sprints.into_values().map(|(_, row)| row).collect();
    derived.tables = vec![("sprints", sprints), ("board_sprints", shown)];
    derived
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sprint_on_two_boards_is_one_sprint_shown_twice() {
        let sprint = |name: &str| json!({"id": 15, "name": name, "originBoardId": 13}).to_string();
        let records = [
            Received::new("8/15", sprint("elsewhere")),
            Received::new("13/15", sprint("at home")),
            Received::new("14/15", sprint("elsewhere too")),
            Received::new("8/16", r#"{"name":"no id"}"#),
        ];
        let derived = derive(SPRINTS, "acme", &records);
        let (sprints, shown) = (&derived.tables[0].1, &derived.tables[1].1);
        assert_eq!(sprints.len(), 1);
        assert_eq!(sprints[0]["name"], json!("at home"));
        assert_eq!(shown.len(), 3);
        assert_eq!(
            derived.refused.get(&3).map(String::as_str),
            Some("id is missing")
        );
    }

    #[test]
    fn boards_take_their_configuration() {
        let configuration = json!({"columnConfig": {"columns": [{"name": "Done", "statuses": [{"id": 6}]}]},
            "estimation": {"type": "issueCount"}});
        let records = [
            Received::new("8", r#"{"id":8,"type":"scrum"}"#),
            Received::new("9", r#"{"id":9}"#),
            Received::new("8/configuration", configuration.to_string()),
        ];
        let derived = derive(BOARDS, "acme", &records);
        assert_eq!(
            derived.tables[0].1[0]["estimation_type"],
            json!("issueCount")
        );
        assert_eq!(derived.tables[0].1[1]["has_configuration"], json!(false));
        assert_eq!(derived.tables[1].1.len(), 1);
        assert!(derived.refused.is_empty());
    }
}
