//! What the models of a release are: descriptions, keys, columns and where their values come from.
//!
//! A catalog is one JSON file beside the releases, named by the hash of the definitions it describes, so
//! that the many releases of one program share it.

use std::collections::BTreeMap;

use schemas::TableName;
use serde::{Deserialize, Serialize};

use crate::release::{Release, Releases};
use crate::{Error, Result};

/// All models of a program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// The models by name.
    pub models: BTreeMap<TableName, ModelDoc>,
    /// The metrics, in the order they are shown.
    #[serde(default)]
    pub metrics: Vec<Metric>,
}

/// A metric: what it is called, how it is computed, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Its name for programs.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// How it is computed.
    pub formula: String,
    /// What one value is of.
    pub grain: String,
    /// Its unit: 'issues', 'points', 'hours', 'ratio' (0..1) or another word.
    pub unit: String,
    /// Table it stands in.
    pub table: String,
    /// Column it stands in.
    pub column: String,
    /// Where the formula comes from.
    pub source: String,
    /// Rises with every change of the formula.
    pub version: u32,
}

/// What a model is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelDoc {
    /// How it is kept: 'view', 'table' or 'incremental'.
    pub kind: String,
    /// What it holds.
    pub description: String,
    /// What one row is.
    pub grain: String,
    /// Who looks after it.
    pub owner: String,
    /// File under `sql/`.
    pub file: String,
    /// Its statement.
    pub sql: String,
    /// Columns that identify a row.
    pub key: Vec<String>,
    /// Tables, views and models that it reads.
    pub reads: Vec<TableName>,
    /// Its columns by name.
    pub columns: BTreeMap<String, ColumnDoc>,
}

/// What a column of a model is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDoc {
    /// Unit, meaning of null, formula.
    pub description: String,
    /// Columns its values come from.
    pub from: Vec<(TableName, String)>,
}

impl Releases {
    /// Whether a catalog is there.
    pub async fn has_catalog(&self, hash: &str) -> Result<bool> {
        let path = self.catalog_path(hash);
        let files = self.store().list(&self.store().releases_dir()).await?;
        Ok(files.iter().any(|(file, _)| *file == path))
    }

    /// Writes a catalog, once.
    pub async fn save_catalog(&self, hash: &str, catalog: &Catalog) -> Result<()> {
        let path = self.catalog_path(hash);
        let bytes = serde_json::to_vec(catalog).map_err(|error| Error::ReleaseFile {
            file: path.to_string(),
            reason: error.to_string(),
        })?;
        self.store().create(&path, bytes).await.map(|_| ())
    }

    /// The catalog of a release; an empty one of a release by a program that wrote none.
    pub async fn catalog(&self, release: &Release) -> Result<Catalog> {
        let Some(hash) = &release.content.catalog else {
            return Ok(Catalog::default());
        };
        let path = self.catalog_path(hash);
        let bytes = self.store().read(&path).await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::ReleaseFile {
            file: path.to_string(),
            reason: error.to_string(),
        })
    }

    pub(crate) fn catalog_path(&self, hash: &str) -> object_store::path::Path {
        let folder = self.store().releases_dir();
        folder.join(format!("catalog-{hash}.json"))
    }
}
