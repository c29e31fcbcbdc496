//! The models as files: `LAYER/…/NAME.sql` and its neighbour `NAME.yml`.

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};
use schemas::TableName;
use serde::Deserialize;

use crate::{Error, Result, graph, inputs};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sql");

/// Layers, in the direction the data flows. A layer is a folder and a schema.
const LAYERS: [&str; 3] = ["staging", "intermediate", "marts"];

/// How a model is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Materialization {
    /// As SQL, part of the release.
    View,
    /// As a Delta table.
    Table,
    /// As a Delta table of which only the rows of keys affected by a change are computed again.
    Incremental,
}

/// What the neighbour YAML says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Neighbour {
    pub(crate) description: String,
    pub(crate) grain: String,
    pub(crate) key: Vec<String>,
    pub(crate) materialisation: Materialization,
    #[serde(default)]
    pub(crate) refresh_by: Option<String>,
    #[serde(default)]
    pub(crate) affected: BTreeMap<String, String>,
    #[serde(rename = "owner")]
    pub(crate) _owner: String,
    pub(crate) columns: BTreeMap<String, String>,
}

/// A model.
#[derive(Debug, Clone)]
pub struct Model {
    /// Name of the table or view it makes.
    pub name: TableName,
    /// File under `sql/`.
    pub file: String,
    /// The statement.
    pub sql: String,
    /// Tables and views it reads.
    pub reads: Vec<TableName>,
    /// What one row is.
    pub grain: String,
    /// What it holds.
    pub description: String,
    /// Columns that identify a row.
    pub key: Vec<String>,
    /// Columns with their documentation.
    pub columns: BTreeMap<String, String>,
    /// How it is kept.
    pub materialization: Materialization,
    /// Tables behind what it reads, views looked through.
    pub inputs: Vec<TableName>,
    /// What of an incremental model is computed again.
    pub(crate) incremental: Option<Incremental>,
    /// Hash of its definition and of the views it reads.
    pub(crate) definition: String,
}

/// How changes of the inputs reach the rows of an incremental model.
#[derive(Debug, Clone)]
pub(crate) struct Incremental {
    /// The column whose values, with `connection`, are computed again.
    pub(crate) by: String,
    /// For each input, which keys a change of it affects.
    pub(crate) affected: BTreeMap<TableName, Affected>,
}

/// Which keys a change of an input affects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Affected {
    /// Those in the changed rows themselves.
    Same,
    /// Possibly all: the model is built anew.
    All,
    /// Those that a statement over the table `changed` gives.
    Sql(String),
}

/// A check over several models: rows that break a rule.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) sql: String,
}

/// All models and checks, the models in an order in which they can be run.
#[derive(Debug)]
pub struct Project {
    models: Vec<Model>,
    checks: Vec<Check>,
}

impl Project {
    /// The models that the program was built with.
    pub fn embedded() -> Result<Self> {
        let mut files = BTreeMap::new();
        collect(&FILES, &mut files);
        Self::from_files(&files)
    }

    /// A project from file names and texts.
    pub fn from_files(files: &BTreeMap<String, String>) -> Result<Self> {
        let mut models = Vec::new();
        let mut checks = Vec::new();
        for (file, sql) in files.iter().filter(|(file, _)| file.ends_with(".sql")) {
            let layer = file.split('/').next().unwrap_or_default();
            let stem = file
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .trim_end_matches(".sql");
            if layer == "checks" {
                checks.push(Check {
                    name: stem.to_string(),
                    sql: sql.clone(),
                });
            } else if LAYERS.contains(&layer) {
                models.push(model(TableName::new(layer, stem), file, sql, files)?);
            }
        }
        for model in &models {
            obey_layers(model)?;
        }
        let mut models = graph::order(models)?;
        inputs::resolve(&mut models)?;
        Ok(Self { models, checks })
    }

    /// The columns of a table that tell which rows of incremental models its changes affect.
    pub(crate) fn watched(&self, table: &TableName) -> Vec<String> {
        inputs::watched(&self.models, table)
    }

    /// The models, in an order in which they can be run.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    pub(crate) fn checks(&self) -> &[Check] {
        &self.checks
    }
}

fn collect(folder: &Dir<'_>, files: &mut BTreeMap<String, String>) {
    for file in folder.files() {
        if let (Some(path), Some(text)) = (file.path().to_str(), file.contents_utf8()) {
            files.insert(path.to_string(), text.to_string());
        }
    }
    folder.dirs().for_each(|folder| collect(folder, files));
}

fn model(
    name: TableName,
    file: &str,
    sql: &str,
    files: &BTreeMap<String, String>,
) -> Result<Model> {
    let neighbour_file = file.replace(".sql", ".yml");
    let text = files.get(&neighbour_file).ok_or_else(|| Error::Project {
        file: file.to_string(),
        reason: format!("the model has no neighbour {neighbour_file}"),
    })?;
    let neighbour: Neighbour = serde_saphyr::from_str(text).map_err(|error| Error::Project {
        file: neighbour_file,
        reason: error.to_string(),
    })?;
    let incremental = inputs::incremental(file, &neighbour)?;
    Ok(Model {
        reads: graph::reads(file, sql)?,
        inputs: Vec::new(),
        incremental,
        definition: String::new(),
        name,
        file: file.to_string(),
        sql: sql.to_string(),
        grain: neighbour.grain,
        description: neighbour.description,
        key: neighbour.key,
        columns: neighbour.columns,
        materialization: neighbour.materialisation,
    })
}

/// Whether a schema holds tables of a source.
fn is_source(schema: &str) -> bool {
    let mut contracts = schemas::contracts().iter();
    contracts.any(|contract| contract.table().schema == schema)
}

/// Staging reads sources only; no layer reads `raw`, `system` or a name without a schema.
fn obey_layers(model: &Model) -> Result<()> {
    for read in &model.reads {
        let allowed = match model.name.schema.as_str() {
            "staging" => is_source(&read.schema),
            _ => LAYERS.contains(&read.schema.as_str()),
        };
        if !allowed {
            return Err(Error::Project {
                file: model.file.clone(),
                reason: format!(
                    "a model of layer {} must not read {read}",
                    model.name.schema
                ),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const YML: &str =
        "description: d\ngrain: g\nkey: [a]\nmaterialisation: view\nowner: o\ncolumns: {a: x}\n";

    fn project(files: &[(&str, &str)]) -> Result<Project> {
        let files = files
            .iter()
            .map(|(name, text)| (name.to_string(), text.to_string()))
            .collect();
        Project::from_files(&files)
    }

    #[test]
    fn the_embedded_project_loads_in_dependency_order() {
        let project = Project::embedded().unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for model in project.models() {
            for read in model.reads.iter().filter(|read| !is_source(&read.schema)) {
                assert!(seen.contains(read), "{} runs before {read}", model.name);
            }
            seen.insert(model.name.clone());
        }
        assert!(seen.len() > 20);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_file() {
        let missing = project(&[("marts/a.sql", "select 1 as a")]).unwrap_err();
        assert!(
            missing
                .to_string()
                .contains("marts/a.sql: the model has no neighbour")
        );
        let unknown = YML.replace("grain", "grian");
        let wrong = project(&[("marts/a.sql", "select 1 as a"), ("marts/a.yml", &unknown)]);
        assert!(wrong.unwrap_err().to_string().starts_with("marts/a.yml:"));
        let layer = project(&[
            ("staging/a.sql", "select * from marts.b"),
            ("staging/a.yml", YML),
            ("marts/b.sql", "select 1 as a"),
            ("marts/b.yml", YML),
        ]);
        assert!(
            layer
                .unwrap_err()
                .to_string()
                .contains("must not read marts.b")
        );
        let circle = project(&[
            ("marts/a.sql", "select * from marts.b"),
            ("marts/a.yml", YML),
            ("marts/b.sql", "select * from marts.a"),
            ("marts/b.yml", YML),
        ]);
        assert!(matches!(circle.unwrap_err(), Error::Cycle(_)));
        let syntax = project(&[("marts/a.sql", "select a\nfrom (((("), ("marts/a.yml", YML)]);
        let message = syntax.unwrap_err().to_string();
        assert!(message.starts_with("marts/a.sql: SQL error"), "{message}");
    }
}
