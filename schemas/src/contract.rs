//! The table contracts, read from the embedded Avro schemas.

use std::sync::LazyLock;

use arrow_schema::SchemaRef;
use serde_json::Value;

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
    key: Vec<String>,
    lookup: String,
    doc: String,
    columns: Vec<Column>,
    arrow: SchemaRef,
    avro: &'static str,
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
    "jira" / "board_columns",
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
    "jira" / "resolutions",
    "jira" / "sites",
    "jira" / "sprints",
    "jira" / "statuses",
    "jira" / "users",
    "jira" / "versions",
    "jira" / "worklogs",
];

static CONTRACTS: LazyLock<Vec<Contract>> = LazyLock::new(|| {
    FILES
        .iter()
        .filter_map(|(schema, name, text)| Contract::parse(schema, name, text).ok())
        .collect()
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
    fn parse(schema: &str, name: &'static str, avro: &'static str) -> Result<Self, ContractError> {
        let json: Value = serde_json::from_str(avro)
            .map_err(|source| ContractError::Json { file: name, source })?;
        let shape = |reason: &str| ContractError::Shape {
            file: name,
            reason: reason.to_string(),
        };
        let text = |value: &Value, part: &str| value.get(part)?.as_str().map(str::to_string);
        let doc = text(&json, "doc").ok_or_else(|| shape("no doc"))?;
        let key = json
            .get("key")
            .and_then(Value::as_array)
            .ok_or_else(|| shape("no key"))?
            .iter()
            .filter_map(|part| part.as_str().map(str::to_string))
            .collect::<Vec<_>>();
        let lookup = text(&json, "lookup")
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
        let arrow =
            arrow_schema(&json).map_err(|reason| ContractError::Shape { file: name, reason })?;
        Ok(Self {
            table: TableName::new(schema, name),
            key,
            lookup,
            doc,
            columns,
            arrow,
            avro,
        })
    }

    /// Table the contract describes.
    pub fn table(&self) -> &TableName {
        &self.table
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
    pub fn avro_schema(&self) -> &'static str {
        self.avro
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_contract_parses_and_is_an_avro_schema() {
        for (schema, name, text) in FILES {
            let contract = Contract::parse(schema, name, text).unwrap();
            apache_avro::Schema::parse_str(contract.avro_schema()).unwrap();
            for key in contract.key() {
                let column = contract.columns().iter().find(|c| c.name == *key).unwrap();
                assert!(column.required, "{name}: key column {key} must be required");
            }
            assert_eq!(contract.columns()[0].name, "connection", "{name}");
            assert_eq!(
                contract.columns().last().unwrap().name,
                "deleted_at",
                "{name}"
            );
        }
        assert_eq!(contracts().len(), FILES.len());
    }

    #[test]
    fn every_file_is_embedded() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/avro/jira");
        let mut found: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                entry
                    .unwrap()
                    .path()
                    .file_stem()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_string()
            })
            .collect();
        found.sort();
        let embedded: Vec<_> = FILES.iter().map(|(_, name, _)| name.to_string()).collect();
        assert_eq!(found, embedded);
    }
}
