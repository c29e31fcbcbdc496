//! The model engine: reads the SQL models and their YAML, runs what has changed in dependency order,
//! tests the result, and publishes it as a release.

mod affected;
mod build;
mod catalog;
mod check;
mod compile;
mod definitions;
mod diff;
mod error;
mod functions;
mod graph;
mod inputs;
mod lineage;
mod project;
mod refresh;

pub use diff::{RowDifference, TableDifference, diff};
pub use error::{Error, FailedCheck, Result};
pub use project::{Materialization, Model, Project};
pub use refresh::{ModelRun, Progress, RefreshOptions, RefreshReport, refresh};
