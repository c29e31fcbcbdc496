//! Table functions: models at another instant, made of the same SQL. Each model that a function's model
//! reads becomes a part of one statement, down to the relations that `functions/at` gives for the instant.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart, visit_relations_mut};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use schemas::TableName;
use serde::Deserialize;
use warehouse::TableFunction;

use crate::{Error, Model, Result};

const FOLDER: &str = "functions/";
const AT: &str = "functions/at/";

/// What the YAML of a function says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Function {
    description: String,
    model: String,
    parameters: BTreeMap<String, String>,
    #[serde(rename = "where")]
    condition: String,
}

/// What the YAML beside a statement of `functions/at` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    #[serde(rename = "description")]
    _description: String,
    stands_for: String,
}

/// The functions of a project's files, over models in dependency order.
pub(crate) fn all(
    files: &BTreeMap<String, String>,
    models: &[Model],
) -> Result<BTreeMap<String, TableFunction>> {
    let stem = |file: &str, end: &str| {
        let name = file.rsplit('/').next()?.strip_suffix(end)?;
        Some(name.to_string())
    };
    let mut at: BTreeMap<TableName, &String> = BTreeMap::new();
    let is_sql = |file: &str| file.starts_with(AT) && file.ends_with(".sql");
    for (file, sql) in files.iter().filter(|(file, _)| is_sql(file)) {
        let neighbour = file.replace(".sql", ".yml");
        let text = files.get(&neighbour).ok_or_else(|| Error::Project {
            file: file.clone(),
            reason: format!("the statement has no neighbour {neighbour}"),
        })?;
        at.insert(stands_for(&neighbour, text, models)?, sql);
    }
    let mut functions = BTreeMap::new();
    let own = |file: &str| file.starts_with(FOLDER) && !file.starts_with(AT);
    for (file, text) in files.iter().filter(|(file, _)| own(file)) {
        if let Some(name) = stem(file, ".yml") {
            functions.insert(name, function(file, text, models, &at)?);
        }
    }
    Ok(functions)
}

/// The relation that a file of `functions/at` gives for an instant.
fn stands_for(file: &str, text: &str, models: &[Model]) -> Result<TableName> {
    let refuse = |reason: String| Error::Project {
        file: file.to_string(),
        reason,
    };
    let known: Known = serde_saphyr::from_str(text).map_err(|error| refuse(error.to_string()))?;
    models
        .iter()
        .map(|model| &model.name)
        .find(|name| name.to_string() == known.stands_for)
        .cloned()
        .ok_or_else(|| refuse(format!("there is no model {}", known.stands_for)))
}

fn function(
    file: &str,
    text: &str,
    models: &[Model],
    at: &BTreeMap<TableName, &String>,
) -> Result<TableFunction> {
    let refuse = |reason: String| Error::Project {
        file: file.to_string(),
        reason,
    };
    let function: Function =
        serde_saphyr::from_str(text).map_err(|error| refuse(error.to_string()))?;
    let mut moved: BTreeMap<TableName, String> = BTreeMap::new();
    let mut parts = Vec::new();
    for model in models {
        let part = match at.get(&model.name) {
            Some(sql) => (*sql).clone(),
            None if model.reads.iter().any(|read| moved.contains_key(read)) => {
                renamed(&model.file, &model.sql, &moved)?
            }
            None => continue,
        };
        let name = format!("at_{}", model.name.name);
        moved.insert(model.name.clone(), name.clone());
        parts.push((model.name.clone(), name, part));
    }
    let target: TableName = function
        .model
        .parse()
        .map_err(|_| refuse(format!("{} is not the name of a model", function.model)))?;
    let last = moved
        .get(&target)
        .ok_or_else(|| refuse(format!("{target} reads nothing that functions/at gives")))?;
    let needed = needed(&target, models, at);
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(model, ..)| needed.contains(model))
        .map(|(_, name, sql)| format!("{name} as ({})", without_comments(&sql)))
        .collect();
    Ok(TableFunction {
        description: function.description,
        // The order of the parameters is that of their positions, which the YAML can't keep.
        parameters: function.parameters.len(),
        sql: format!(
            "with {} select * from {last} where {}",
            parts.join(", "),
            function.condition
        ),
    })
}

/// The models behind one, down to those that stand in `functions/at`.
fn needed(
    target: &TableName,
    models: &[Model],
    at: &BTreeMap<TableName, &String>,
) -> BTreeSet<TableName> {
    let mut needed = BTreeSet::from([target.clone()]);
    for model in models.iter().rev() {
        if needed.contains(&model.name) && !at.contains_key(&model.name) {
            needed.extend(model.reads.iter().cloned());
        }
    }
    needed
}

/// A statement in which some relations have other names.
fn renamed(file: &str, sql: &str, names: &BTreeMap<TableName, String>) -> Result<String> {
    let refuse = |reason: String| Error::Project {
        file: file.to_string(),
        reason,
    };
    let mut statements =
        Parser::parse_sql(&PostgreSqlDialect {}, sql).map_err(|error| refuse(error.to_string()))?;
    let _: ControlFlow<()> = visit_relations_mut(&mut statements, |relation| {
        if let [
            ObjectNamePart::Identifier(schema),
            ObjectNamePart::Identifier(table),
        ] = relation.0.as_slice()
            && let Some(name) = names.get(&TableName::new(&schema.value, &table.value))
        {
            *relation = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(name.clone()))]);
        }
        ControlFlow::Continue(())
    });
    let statement = statements.first().map(ToString::to_string);
    statement.ok_or_else(|| refuse("write exactly one statement".to_string()))
}

/// A statement without the lines that are comments: the text goes on one line.
fn without_comments(sql: &str) -> String {
    let lines = sql
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"));
    lines.collect::<Vec<_>>().join("\n")
}
