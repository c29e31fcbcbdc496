//! The graph of models, read from their parsed SQL.

use std::collections::BTreeSet;

use datafusion::sql::parser::DFParser;
use datafusion::sql::resolve::resolve_table_references;
use schemas::TableName;

use crate::{Error, Model, Project, Result};

/// Tables and views that a statement reads; each must be written with its schema.
pub(crate) fn reads(file: &str, sql: &str) -> Result<Vec<TableName>> {
    let tables = named(file, sql)?.into_iter().map(|(schema, table)| {
        schema
            .map(|schema| TableName::new(&schema, &table))
            .ok_or_else(|| Error::Project {
                file: file.to_string(),
                reason: format!("write {table} with its schema"),
            })
    });
    let named: BTreeSet<TableName> = tables.collect::<Result<_>>()?;
    Ok(named.into_iter().collect())
}

/// Schema, where there is one, and name of the tables that a single statement reads.
pub(crate) fn named(file: &str, sql: &str) -> Result<Vec<(Option<String>, String)>> {
    let refuse = |reason: String| Error::Project {
        file: file.to_string(),
        reason,
    };
    let mut statements =
        DFParser::parse_sql(sql).map_err(|error| refuse(error.strip_backtrace()))?;
    let statement = match (statements.pop_front(), statements.pop_front()) {
        (Some(statement), None) => statement,
        _ => return Err(refuse("write exactly one statement".to_string())),
    };
    let (tables, _) =
        resolve_table_references(&statement, true).map_err(|error| refuse(error.to_string()))?;
    let parts = tables.iter().map(|table| {
        (
            table.schema().map(str::to_string),
            table.table().to_string(),
        )
    });
    Ok(parts.collect())
}

/// The models in an order in which each comes after those it reads.
pub(crate) fn order(models: Vec<Model>) -> Result<Vec<Model>> {
    let names: BTreeSet<TableName> = models.iter().map(|model| model.name.clone()).collect();
    for model in &models {
        let missing = model
            .reads
            .iter()
            .find(|read| !names.contains(*read) && schemas::contract(read).is_none());
        if let Some(read) = missing {
            let reason = format!("there is no table or model {read}");
            return Err(Error::Project {
                file: model.file.clone(),
                reason,
            });
        }
    }
    let mut waiting = models;
    let mut ordered: Vec<Model> = Vec::new();
    let mut done: BTreeSet<TableName> = BTreeSet::new();
    while !waiting.is_empty() {
        let (ready, blocked): (Vec<Model>, Vec<Model>) = waiting.into_iter().partition(|model| {
            model
                .reads
                .iter()
                .all(|read| done.contains(read) || !names.contains(read))
        });
        if ready.is_empty() {
            let circle: Vec<String> = blocked.iter().map(|model| model.name.to_string()).collect();
            return Err(Error::Cycle(circle.join(", ")));
        }
        done.extend(ready.iter().map(|model| model.name.clone()));
        ordered.extend(ready);
        waiting = blocked;
    }
    Ok(ordered)
}

/// The models that selectors name: `name`, `name+` with what reads it, `+name` with what it reads.
pub(crate) fn select(project: &Project, selectors: &[String]) -> Result<BTreeSet<TableName>> {
    let all = project.models();
    if selectors.is_empty() {
        return Ok(all.iter().map(|model| model.name.clone()).collect());
    }
    let mut selected = BTreeSet::new();
    for selector in selectors {
        let name = selector.trim_matches('+');
        let found = all
            .iter()
            .find(|model| model.name.name == name || model.name.to_string() == name)
            .ok_or_else(|| Error::UnknownModel(selector.clone()))?;
        selected.insert(found.name.clone());
        if selector.ends_with('+') {
            let mut below = BTreeSet::from([found.name.clone()]);
            for model in all {
                if model.reads.iter().any(|read| below.contains(read)) {
                    below.insert(model.name.clone());
                }
            }
            selected.extend(below);
        }
        if selector.starts_with('+') {
            let mut above = BTreeSet::from([found.name.clone()]);
            for model in all.iter().rev() {
                if above.contains(&model.name) {
                    above.extend(model.reads.iter().cloned());
                }
            }
            selected.extend(
                above
                    .into_iter()
                    .filter(|name| schemas::contract(name).is_none()),
            );
        }
    }
    Ok(selected)
}
