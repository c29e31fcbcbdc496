//! What stands behind a model: the tables that its views lead to, and how their changes reach its rows.

use std::collections::{BTreeMap, BTreeSet};

use schemas::TableName;
use sha2::{Digest, Sha256};

use crate::project::{Affected, Incremental, Materialization, Model, Neighbour};
use crate::{Error, Result, graph};

/// Name under which the changed rows of an input stand in a statement of `affected`.
pub(crate) const CHANGED: &str = "changed";

/// What the YAML says of an incremental model; which inputs it has is not known yet.
pub(crate) fn incremental(file: &str, neighbour: &Neighbour) -> Result<Option<Incremental>> {
    let refuse = |reason: &str| Error::Project {
        file: file.replace(".sql", ".yml"),
        reason: reason.to_string(),
    };
    let is_incremental = neighbour.materialisation == Materialization::Incremental;
    let Some(by) = &neighbour.refresh_by else {
        if is_incremental {
            return Err(refuse(
                "an incremental model needs refresh_by: the id column that is computed again",
            ));
        }
        return match neighbour.affected.is_empty() {
            true => Ok(None),
            false => Err(refuse("affected is for incremental models only")),
        };
    };
    if !is_incremental {
        return Err(refuse("refresh_by is for incremental models only"));
    }
    for column in ["connection", by] {
        if !neighbour.columns.contains_key(column) {
            return Err(refuse(&format!(
                "an incremental model needs the column {column}"
            )));
        }
    }
    let mut affected = BTreeMap::new();
    for (input, how) in &neighbour.affected {
        let input: TableName = input
            .parse()
            .map_err(|_| refuse(&format!("affected: write {input} with its schema")))?;
        let how = match how.trim() {
            "all" => Affected::All,
            "same" => Affected::Same,
            sql => Affected::Sql(sql.to_string()),
        };
        affected.insert(input, how);
    }
    let by = by.clone();
    Ok(Some(Incremental { by, affected }))
}

/// Completes models that stand in dependency order: their inputs, their definitions, and for every input of
/// an incremental model how its changes reach it.
pub(crate) fn resolve(models: &mut [Model]) -> Result<()> {
    let mut views: BTreeMap<TableName, (BTreeSet<TableName>, String)> = BTreeMap::new();
    let mut columns: BTreeMap<TableName, BTreeSet<String>> = schemas::contracts()
        .iter()
        .map(|contract| {
            let names = contract.columns().iter().map(|column| column.name.clone());
            (contract.table().clone(), names.collect())
        })
        .collect();
    for model in models {
        let mut inputs = BTreeSet::new();
        let mut definition = Sha256::new();
        definition.update(format!("{:?}\n{}\n", model.materialization, model.sql));
        for read in &model.reads {
            match views.get(read) {
                Some((tables, text)) => {
                    inputs.extend(tables.iter().cloned());
                    definition.update(text);
                }
                None => {
                    inputs.insert(read.clone());
                }
            }
        }
        if let Some(incremental) = &mut model.incremental {
            complete(&model.file, incremental, &inputs, &columns)?;
            definition.update(format!("{incremental:?}"));
        }
        let definition = definition.finalize();
        model.definition = definition
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        model.inputs = inputs.iter().cloned().collect();
        if model.materialization == Materialization::View {
            views.insert(model.name.clone(), (inputs, model.definition.clone()));
        }
        let names = model.columns.keys().cloned().collect();
        columns.insert(model.name.clone(), names);
    }
    Ok(())
}

fn complete(
    file: &str,
    incremental: &mut Incremental,
    inputs: &BTreeSet<TableName>,
    columns: &BTreeMap<TableName, BTreeSet<String>>,
) -> Result<()> {
    let refuse = |reason: String| Error::Project {
        file: file.replace(".sql", ".yml"),
        reason,
    };
    for (input, how) in &incremental.affected {
        if !inputs.contains(input) {
            return Err(refuse(format!(
                "affected: the model reads no table {input}, directly or through views"
            )));
        }
        if let Affected::Sql(sql) = how {
            let yml = file.replace(".sql", ".yml");
            for (schema, name) in graph::named(&yml, sql)? {
                let is_known = match &schema {
                    Some(schema) => columns.contains_key(&TableName::new(schema, &name)),
                    None => name == CHANGED,
                };
                if !is_known {
                    return Err(refuse(format!(
                        "affected: {name} is neither `{CHANGED}` nor a table or model that comes before"
                    )));
                }
            }
        }
    }
    let by = &incremental.by;
    for input in inputs {
        let has_key = columns
            .get(input)
            .is_some_and(|names| names.contains(by) && names.contains("connection"));
        match incremental.affected.get(input) {
            Some(Affected::Same) | None if !has_key => {
                return Err(refuse(format!(
                    "affected: {input} has no column {by}; say which keys a change of it affects, by a \
                     statement over `{CHANGED}` or by `all`"
                )));
            }
            Some(_) => {}
            None => {
                incremental.affected.insert(input.clone(), Affected::Same);
            }
        }
    }
    Ok(())
}

/// The columns of a table that incremental models look at in its changed rows.
pub(crate) fn watched(models: &[Model], table: &TableName) -> Vec<String> {
    let known: Vec<String> = match schemas::contract(table) {
        Some(contract) => {
            let columns = contract.columns().iter();
            columns.map(|column| column.name.clone()).collect()
        }
        None => models
            .iter()
            .find(|model| model.name == *table)
            .map(|model| model.columns.keys().cloned().collect())
            .unwrap_or_default(),
    };
    let mut watched = BTreeSet::from(["connection".to_string()]);
    for incremental in models.iter().filter_map(|model| model.incremental.as_ref()) {
        match incremental.affected.get(table) {
            Some(Affected::Same) => {
                watched.insert(incremental.by.clone());
            }
            Some(Affected::Sql(sql)) => {
                let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let words: BTreeSet<&str> = sql.split(|c| !is_word(c)).collect();
                watched.extend(
                    known
                        .iter()
                        .filter(|name| words.contains(name.as_str()))
                        .cloned(),
                );
            }
            Some(Affected::All) | None => {}
        }
    }
    watched.retain(|name| known.contains(name));
    watched.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use crate::Project;
    use std::collections::BTreeMap;

    fn project(yml: &str) -> crate::Result<Project> {
        let files = [
            (
                "staging/s.sql",
                "select i.connection, i.issue_id, s.name from jira.issues as i \
                 join jira.statuses as s on s.connection = i.connection and s.status_id = i.status_id",
            ),
            (
                "staging/s.yml",
                "description: d\ngrain: g\nkey: [connection, issue_id]\nmaterialisation: view\nowner: o\n\
                 columns: {connection: c, issue_id: i, name: n}\n",
            ),
            ("marts/m.sql", "select * from staging.s"),
            ("marts/m.yml", yml),
        ];
        let files: BTreeMap<String, String> = files
            .map(|(name, text)| (name.to_string(), text.to_string()))
            .into();
        Project::from_files(&files)
    }

    const YML: &str = "description: d\ngrain: g\nkey: [connection, issue_id]\nowner: o\n\
        columns: {connection: c, issue_id: i, name: n}\n";

    #[test]
    fn changes_reach_an_incremental_model_as_it_says() {
        let silent = project(&format!(
            "{YML}materialisation: incremental\nrefresh_by: issue_id\n"
        ));
        let message = silent.unwrap_err().to_string();
        assert!(
            message.starts_with("marts/m.yml: affected: jira.statuses has no column issue_id"),
            "{message}"
        );
        let yml = format!(
            "{YML}materialisation: incremental\nrefresh_by: issue_id\naffected:\n  jira.statuses: select \
             i.connection, i.issue_id from staging.s as i join changed as c on c.name = i.name\n"
        );
        let project = project(&yml).unwrap();
        let model = project.models().last().unwrap();
        let inputs: Vec<String> = model.inputs.iter().map(ToString::to_string).collect();
        assert_eq!(inputs, ["jira.issues", "jira.statuses"]);
        let statuses = "jira.statuses".parse().unwrap();
        assert_eq!(project.watched(&statuses), ["connection", "name"]);
        let issues = "jira.issues".parse().unwrap();
        assert_eq!(project.watched(&issues), ["connection", "issue_id"]);
    }

    #[test]
    fn what_an_incremental_model_lacks_is_said() {
        for (more, part) in [
            ("materialisation: incremental\n", "needs refresh_by"),
            (
                "materialisation: table\nrefresh_by: issue_id\n",
                "for incremental models only",
            ),
            (
                "materialisation: incremental\nrefresh_by: board_id\n",
                "needs the column board_id",
            ),
            (
                "materialisation: incremental\nrefresh_by: issue_id\naffected: {jira.boards: all}\n",
                "reads no table jira.boards",
            ),
        ] {
            let message = project(&format!("{YML}{more}")).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
