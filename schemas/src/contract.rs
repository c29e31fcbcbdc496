//! The table contracts, read from the embedded Avro schemas.

use std::sync::LazyLock;

use arrow_schema::SchemaRef;
use serde_json::Value;

use crate::history::history_of;
use crate::{TableName, arrow_schema};

/// A column of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name of the column.
    pub name: String,
    /// What it holds: units, meaning of null, source.
    pub doc: String,
    /// Whether a record without it is refused.
    pub required: bool,
}

/// The shape of one table: columns, key and meaning.
#[derive(Debug)]
pub struct Contract {
    table: TableName,
    version: i64,
    key: Vec<String>,
    lookup: String,
    doc: String,
    columns: Vec<Column>,
    arrow: SchemaRef,
    avro: String,
    history: Option<TableName>,
    is_history: bool,
}

/// A contract file that does not say what a contract must say. A test of this crate reads all of
/// them, so that it can't happen at run time.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// Not JSON.
    #[error("contract {file} is not JSON: {source}")]
    Json {
        /// File under `avro/`.
        file: &'static str,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A part is missing or has a type that no column can have.
    #[error("contract {file}: {reason}")]
    Shape {
        /// File under `avro/`.
        file: &'static str,
        /// What is wrong.
        reason: String,
    },
}

macro_rules! embedded {
    ($($schema:literal / $name:literal),* $(,)?) => {
        &[$(($schema, $name, include_str!(concat!("../avro/", $schema, "/", $name, ".avsc")))),*]
    };
}

const FILES: &[(&str, &str, &str)] = embedded![
    "git" / "commits",
    "git" / "deployments",
    "git" / "issue_references",
    "git" / "pull_request_commits",
    "git" / "pull_requests",
    "git" / "repositories",
    "jira" / "board_columns",
    "jira" / "board_features",
    "jira" / "board_sprints",
    "jira" / "boards",
    "jira" / "changelog_items",
    "jira" / "comments",
    "jira" / "components",
    "jira" / "fields",
    "jira" / "issue_links",
    "jira" / "issue_types",
    "jira" / "issues",
    "jira" / "link_types",
    "jira" / "priorities",
    "jira" / "projects",
    "jira" / "remote_links",
    "jira" / "resolutions",
    "jira" / "sites",
    "jira" / "sprint_report_answers",
    "jira" / "sprint_reports",
    "jira" / "sprints",
    "jira" / "statuses",
    "jira" / "users",
    "jira" / "versions",
    "jira" / "worklogs",
];

static CONTRACTS: LazyLock<Vec<Contract>> = LazyLock::new(|| {
    let mut contracts: Vec<_> = FILES
        .iter()
        .filter_map(|(schema, name, text)| Contract::parse(schema, name, text).ok())
        .flatten()
        .collect();
    contracts.sort_by(|one, other| one.table.cmp(&other.table));
    contracts
});

/// All table contracts, ordered by name.
pub fn contracts() -> &'static [Contract] {
    &CONTRACTS
}

/// The contract of a table, if it has one; models have none.
pub fn contract(table: &TableName) -> Option<&'static Contract> {
    contracts().iter().find(|contract| contract.table == *table)
}

impl Contract {
    /// The contract of a file and, if it asks for one, that of its history.
    fn parse(schema: &str, file: &'static str, avro: &str) -> Result<Vec<Self>, ContractError> {
        let json: Value =
            serde_json::from_str(avro).map_err(|source| ContractError::Json { file, source })?;
        let mut base = Self::of(schema, file, &json)?;
        let Some(history) = history_of(&json) else {
            return Ok(vec![base]);
        };
        let mut history = Self::of(schema, file, &history)?;
        history.is_history = true;
        base.history = Some(history.table.clone());
        Ok(vec![base, history])
    }

    fn of(schema: &str, file: &'static str, json: &Value) -> Result<Self, ContractError> {
        let shape = |reason: &str| ContractError::Shape {
            file,
            reason: reason.to_string(),
        };
        let text = |value: &Value, part: &str| value.get(part)?.as_str().map(str::to_string);
        let name = text(json, "name").ok_or_else(|| shape("no name"))?;
        let version = json.get("version").and_then(Value::as_i64);
        let version = version.ok_or_else(|| shape("no version"))?;
        let doc = text(json, "doc").ok_or_else(|| shape("no doc"))?;
        let key = json
            .get("key")
            .and_then(Value::as_array)
            .ok_or_else(|| shape("no key"))?
            .iter()
            .filter_map(|part| part.as_str().map(str::to_string))
            .collect::<Vec<_>>();
        let lookup = text(json, "lookup")
            .or_else(|| key.get(1).or(key.first()).cloned())
            .ok_or_else(|| shape("a key needs a column"))?;
        let fields = json
            .get("fields")
            .and_then(Value::as_array)
            .ok_or_else(|| shape("no fields"))?;
        let columns = fields
            .iter()
            .map(|field| {
                Some(Column {
                    name: text(field, "name")?,
                    doc: text(field, "doc")?,
                    required: !field.get("type").is_some_and(Value::is_array),
                })
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| shape("a field without name or doc"))?;
        let arrow = arrow_schema(json).map_err(|reason| ContractError::Shape { file, reason })?;
        Ok(Self {
            table: TableName::new(schema, name),
            version,
            key,
            lookup,
            doc,
            columns,
            arrow,
            avro: json.to_string(),
            history: None,
            is_history: false,
        })
    }

    /// Table the contract describes.
    pub fn table(&self) -> &TableName {
        &self.table
    }

    /// Number of the contract's version, from 1.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Columns that identify a row.
    pub fn key(&self) -> &[String] {
        &self.key
    }

    /// Column that tells which stored rows a batch may concern; files are clustered by it.
    pub fn lookup(&self) -> &str {
        &self.lookup
    }

    /// First required column that a row lacks, if any.
    pub fn missing(&self, row: &crate::Row) -> Option<&str> {
        self.columns
            .iter()
            .filter(|column| column.required)
            .find(|column| row.get(&column.name).is_none_or(Value::is_null))
            .map(|column| column.name.as_str())
    }

    /// What one row is.
    pub fn doc(&self) -> &str {
        &self.doc
    }

    /// The columns, in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The Arrow schema derived from the Avro schema.
    pub fn arrow_schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.arrow)
    }

    /// The Avro schema, JSON text.
    pub fn avro_schema(&self) -> &str {
        &self.avro
    }

    /// The contract of the table that keeps the states of this one's records, if there is one.
    pub fn history(&self) -> Option<&'static Contract> {
        self.history.as_ref().and_then(contract)
    }

    /// Whether the table keeps the states that the records of another one had.
    pub fn is_history(&self) -> bool {
        self.is_history
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_contract_parses_and_is_an_avro_schema() {
        let mut all = 0;
        for (schema, file, text) in FILES {
            for contract in Contract::parse(schema, file, text).unwrap() {
                let name = contract.table();
                apache_avro::Schema::parse_str(contract.avro_schema()).unwrap();
                for key in contract.key() {
                    let column = contract.columns().iter().find(|c| c.name == *key).unwrap();
                    assert!(column.required, "{name}: key column {key} must be required");
                }
                assert_eq!(contract.columns()[0].name, "connection", "{name}");
                let last = &contract.columns().last().unwrap().name;
                assert_eq!(last, "deleted_at", "{name}");
                assert!(
                    name.name.starts_with(file),
                    "{name} is not named as its file"
                );
                all += 1;
            }
        }
        assert_eq!(contracts().len(), all);
    }

    #[test]
    fn histories_are_contracts_too() {
        let statuses = contract(&TableName::new("jira", "statuses")).unwrap();
        let history = statuses.history().unwrap();
        assert_eq!(history.table().to_string(), "jira.statuses_history");
        assert!(history.is_history() && !statuses.is_history() && history.history().is_none());
        assert_eq!(history.key(), ["connection", "status_id", "valid_from"]);
        assert_eq!(history.lookup(), "status_id");
        let users = contract(&TableName::new("jira", "users")).unwrap();
        assert!(users.history().is_none(), "names of people have no history");
    }

    #[test]
    fn every_file_is_embedded() {
        let mut found = Vec::new();
        for schema in ["git", "jira"] {
            let folder = format!("{}/avro/{schema}", env!("CARGO_MANIFEST_DIR"));
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap();
                found.push(format!("{schema}/{name}"));
            }
        }
        found.sort();
        let embedded = FILES.iter();
        let embedded: Vec<_> = embedded
            .map(|(schema, name, _)| format!("{schema}/{name}"))
            .collect();
        assert_eq!(found, embedded);
    }
}
