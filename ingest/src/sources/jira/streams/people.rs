//! People whom records name and the listing of users lacks: deleted accounts, apps, everybody where
//! the account may not browse users. Each gets a row, so that no join loses a person.

use std::collections::{BTreeMap, HashSet};

use schemas::{Row, TableName};
use serde_json::{Value, json};
use warehouse::{Commit, Warehouse};

use super::super::replay::received as of_raw;
use super::super::{filter, rows};
use super::USERS;
use crate::Result;
use crate::land::{Landing, Received};

/// Stream of the raw zone that holds people as the records name them that were first to do so.
pub(crate) const STUBS: &str = "user_stubs";

/// The people of one connection.
pub(crate) struct People {
    connection: String,
    run_id: String,
    /// Those who have a row; read when it is first needed.
    known: Option<HashSet<String>>,
}

impl People {
    pub(crate) fn new(connection: &str, run_id: &str) -> Self {
        Self {
            connection: connection.to_string(),
            run_id: run_id.to_string(),
            known: None,
        }
    }

    /// Gives a row to everybody in these records who has none.
    pub(crate) async fn meet<'p>(
        &mut self,
        warehouse: &Warehouse,
        landing: &Landing<'_>,
        payloads: impl Iterator<Item = &'p str>,
    ) -> Result<()> {
        let mut named = BTreeMap::new();
        for payload in payloads {
            if let Ok(record) = serde_json::from_str::<Value>(payload) {
                collect(&record, &mut named);
            }
        }
        if named.is_empty() {
            return Ok(());
        }
        let known = match &mut self.known {
            Some(known) => known,
            unread => unread.insert(known(warehouse, &self.connection).await?),
        };
        named.retain(|id, _| !known.contains(id));
        if named.is_empty() {
            return Ok(());
        }
        known.extend(named.keys().cloned());
        let records: Vec<Received> = named
            .into_iter()
            .map(|(id, person)| Received::new(id, person.to_string()))
            .collect();
        landing.land(STUBS, &records).await?;
        let commit = Commit {
            run_id: self.run_id.clone(),
            marks: Vec::new(),
        };
        write(warehouse, &self.connection, &records, &commit).await
    }
}

/// Gives a row to those of the raw zone whom no listing had.
pub(crate) async fn replay(warehouse: &Warehouse, connection: &str, commit: &Commit) -> Result<()> {
    let mut known = known(warehouse, connection).await?;
    for file in warehouse.raw().files(connection, STUBS).await? {
        let mut records = of_raw(warehouse.raw().read(&file).await?);
        records.retain(|record| known.insert(record.key.clone()));
        write(warehouse, connection, &records, commit).await?;
    }
    Ok(())
}

/// Stored people whom a listing lacks: they stay, as stubs, since what is stored names them. Of
/// what a listing said of them only the name is kept.
pub(crate) async fn unlisted(
    warehouse: &Warehouse,
    connection: &str,
    listed: &[Row],
) -> Result<Vec<Row>> {
    let id = |row: &Row| {
        row.get("user_id")
            .and_then(Value::as_str)
            .map(str::to_string)
    };
    let listed: HashSet<String> = listed.iter().filter_map(id).collect();
    let users = TableName::new("jira", USERS);
    let live = filter::live(connection);
    let mut rows = warehouse.tables().rows(&users, Some(&live)).await?;
    rows.retain(|row| id(row).is_some_and(|id| !listed.contains(&id)));
    for row in &mut rows {
        for private in ["email", "time_zone", "is_active"] {
            row.remove(private);
        }
        row.insert("is_stub".to_string(), true.into());
    }
    Ok(rows)
}

async fn known(warehouse: &Warehouse, connection: &str) -> Result<HashSet<String>> {
    let users = TableName::new("jira", USERS);
    let live = filter::live(connection);
    let rows = warehouse
        .tables()
        .columns(&users, &["user_id"], &live)
        .await?;
    let ids = rows.iter().filter_map(|row| row.get("user_id")?.as_str());
    Ok(ids.map(str::to_string).collect())
}

async fn write(
    warehouse: &Warehouse,
    connection: &str,
    records: &[Received],
    commit: &Commit,
) -> Result<()> {
    let rows: Vec<Row> = records
        .iter()
        .filter_map(|record| rows::stub_row(connection, &record.payload).ok())
        .map(|mapped| mapped.row)
        .collect();
    let users = TableName::new("jira", USERS);
    warehouse.tables().upsert(&users, rows, commit).await?;
    Ok(())
}

/// The people in a record, by id: whoever is shown as one, and the former and next assignee of a
/// change.
fn collect(value: &Value, named: &mut BTreeMap<String, Value>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, named)),
        Value::Object(parts) => {
            let text = |name: &str| parts.get(name).and_then(Value::as_str);
            // Data Center's people have no id of their own kind; others have names and keys too.
            let is_person = text("displayName").is_some()
                && (text("accountId").is_some() || parts.contains_key("active"));
            if let (true, Some(id)) = (is_person, rows::user(value)) {
                named.entry(id).or_insert_with(|| value.clone());
                return;
            }
            if matches!(text("field"), Some("assignee" | "reporter")) {
                for (id, name) in [("from", "fromString"), ("to", "toString")] {
                    if let (Some(id), Some(name)) =
                        (text(id).filter(|id| !id.is_empty()), text(name))
                    {
                        let person = json!({"key": id, "displayName": name});
                        named.entry(id.to_string()).or_insert(person);
                    }
                }
            }
            parts.values().for_each(|value| collect(value, named));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(value: Value) -> Vec<String> {
        let mut named = BTreeMap::new();
        collect(&value, &mut named);
        named.into_keys().collect()
    }

    #[test]
    fn people_are_found_wherever_they_stand() {
        let issue = json!({"id": "1", "key": "EE-1", "fields": {
            "project": {"key": "EE", "name": "E", "displayName": "no person"},
            "assignee": {"accountId": "a", "displayName": "A"},
            "customfield_7": [{"accountId": "b", "displayName": "B"}],
            "reporter": {"name": "joe", "key": "JIRAUSER1", "displayName": "Joe", "active": false},
            "comment": {"comments": [{"author": {"accountId": "c", "displayName": "C"}}]},
        }});
        assert_eq!(ids(issue), ["JIRAUSER1", "a", "b", "c"]);
        let change = json!({"author": {"accountId": "d", "displayName": "D"}, "items": [
            {"field": "assignee", "from": null, "fromString": null, "to": "e", "toString": "E"},
            {"field": "status", "from": "1", "fromString": "Open", "to": "3", "toString": "Done"},
        ]});
        assert_eq!(ids(change), ["d", "e"]);
        assert!(ids(json!("text")).is_empty());
    }
}
