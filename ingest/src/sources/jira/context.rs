//! What the mapping of an issue depends on besides the issue itself.

use std::collections::BTreeMap;

use schemas::{Row, TableName};
use serde_json::Value;
use sha2::{Digest, Sha256};
use warehouse::Warehouse;

use super::fields::{self, Roles};
use super::filter;
use crate::land::MAPPING_VERSION;
use crate::{Connection, Result};

/// What the mapping of an issue depends on besides the issue itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) connection: String,
    pub(crate) roles: Roles,
    /// Statuses of the listing by id.
    pub(crate) statuses: BTreeMap<i64, Status>,
}

/// A status as the listing says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) name: String,
    pub(crate) category: Option<String>,
}

impl Context {
    /// The context as the tables hold it now.
    pub(crate) async fn load(warehouse: &Warehouse, connection: &Connection) -> Result<Self> {
        let fields = live(warehouse, connection, "fields").await?;
        let boards = live(warehouse, connection, "boards").await?;
        let statuses = live(warehouse, connection, "statuses").await?;
        let status = |row: &Row| {
            let text = |column: &str| row.get(column).and_then(Value::as_str).map(str::to_string);
            let status = Status {
                name: text("name")?,
                category: text("category"),
            };
            Some((row.get("status_id")?.as_i64()?, status))
        };
        Ok(Self {
            connection: connection.name.clone(),
            roles: fields::resolve(
                &fields::fields_of(&fields),
                &fields::boards_of(&boards),
                &connection.fields,
            ),
            statuses: statuses.iter().filter_map(status).collect(),
        })
    }

    /// A number that changes whenever stored issues have to be mapped anew.
    pub(crate) fn fingerprint(&self) -> i64 {
        fingerprint(&format!(
            "{MAPPING_VERSION} {:?} {:?}",
            self.roles, self.statuses
        ))
    }
}

/// A mark that stands for a text.
pub(crate) fn fingerprint(text: &str) -> i64 {
    let digest = Sha256::digest(text.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    // Marks below zero mean "not set".
    i64::from_be_bytes(bytes) & i64::MAX
}

/// All rows of a connection in a table, deleted ones included.
pub(crate) async fn stored(
    warehouse: &Warehouse,
    connection: &str,
    table: &str,
) -> Result<Vec<Row>> {
    let filter = filter::of(connection);
    Ok(warehouse
        .tables()
        .rows(&TableName::new("jira", table), Some(&filter))
        .await?)
}

/// The rows of a connection in a table that are not deleted.
pub(crate) async fn live(
    warehouse: &Warehouse,
    connection: &Connection,
    table: &str,
) -> Result<Vec<Row>> {
    let mut rows = stored(warehouse, &connection.name, table).await?;
    rows.retain(|row| row.get("deleted_at").is_none_or(Value::is_null));
    Ok(rows)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::FieldOverrides;

    pub(crate) fn context() -> Context {
        let overrides = FieldOverrides {
            story_points: Some("customfield_10016".into()),
            discipline_team: Some("customfield_30".into()),
            owner: None,
            sprint: Some("customfield_10020".into()),
            rank: Some("customfield_10019".into()),
        };
        let status = Status {
            name: "In Progress".into(),
            category: Some("indeterminate".into()),
        };
        Context {
            connection: "acme".into(),
            roles: fields::resolve(&[], &[], &overrides),
            statuses: BTreeMap::from([(3, status)]),
        }
    }

    #[test]
    fn the_fingerprint_follows_what_the_mapping_needs() {
        let one = context();
        assert_eq!(one.fingerprint(), context().fingerprint());
        assert!(one.fingerprint() >= 0);
        let mut renamed = context();
        renamed.statuses.get_mut(&3).unwrap().name = "Doing".into();
        assert_ne!(renamed.fingerprint(), one.fingerprint());
        let mut other = context();
        other.roles.sprint = None;
        assert_ne!(other.fingerprint(), one.fingerprint());
    }
}
