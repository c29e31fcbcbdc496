//! The report of one sprint: its figures and the issues behind them, from one release.

use schemas::Row;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use warehouse::{Origin, Param, QueryOptions, Warehouse};

/// The report of one sprint.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SprintReport {
    /// Release the report comes from.
    pub release_id: String,
    /// The sprint and its metrics.
    #[schema(value_type = Object)]
    pub sprint: Row,
    /// The issues that were in the sprint, with what became of them.
    #[schema(value_type = Vec<Object>)]
    pub scope: Vec<Row>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// No sprint has this id.
    #[error("there is no sprint {0} in this release")]
    NotFound(i64),
    /// Sprints of several connections have this id.
    #[error("sprint {0} exists in several connections ({1}); name one with ?connection=")]
    Ambiguous(i64, String),
    /// The query failed.
    #[error(transparent)]
    Warehouse(#[from] warehouse::Error),
}

/// The report of a sprint in the current release, or in the one named.
pub async fn sprint_report(
    warehouse: &Warehouse,
    sprint_id: i64,
    connection: Option<&str>,
    as_of: Option<&str>,
) -> Result<SprintReport, ReportError> {
    let releases = warehouse.releases();
    let release = match as_of {
        Some(name) => releases.find(name).await?,
        None => releases
            .latest()
            .await?
            .ok_or(warehouse::Error::NoRelease)?,
    };
    let release = &release.release_id;
    sprint_report_of(warehouse, sprint_id, connection, release, Origin::default()).await
}

/// The report of a sprint in a release.
pub(crate) async fn sprint_report_of(
    warehouse: &Warehouse,
    sprint_id: i64,
    connection: Option<&str>,
    release: &str,
    origin: Origin,
) -> Result<SprintReport, ReportError> {
    let sprint = one_sprint(warehouse, sprint_id, connection, release, origin.clone()).await?;
    let options = options(sprint_id, Some(name(&sprint)), release, origin);
    let sql = include_str!("../../sql/queries/sprint_scope_by_id.sql");
    let found = warehouse.query().run(sql, &options).await?;
    Ok(SprintReport {
        release_id: release.to_string(),
        sprint,
        scope: found.into_rows().await?,
    })
}

/// One sprint of a release, with its metrics.
pub(crate) async fn one_sprint(
    warehouse: &Warehouse,
    sprint_id: i64,
    connection: Option<&str>,
    release: &str,
    origin: Origin,
) -> Result<Row, ReportError> {
    let options = options(sprint_id, connection.map(str::to_string), release, origin);
    let sql = include_str!("../../sql/queries/sprint_by_id.sql");
    let found = warehouse.query().run(sql, &options).await?;
    let mut sprints = found.into_rows().await?;
    if sprints.len() > 1 {
        let names: Vec<String> = sprints.iter().map(name).collect();
        return Err(ReportError::Ambiguous(sprint_id, names.join(", ")));
    }
    sprints.pop().ok_or(ReportError::NotFound(sprint_id))
}

fn options(
    sprint_id: i64,
    connection: Option<String>,
    release: &str,
    origin: Origin,
) -> QueryOptions {
    QueryOptions {
        as_of: Some(release.to_string()),
        params: vec![
            ("sprint_id".to_string(), Param::Number(sprint_id)),
            ("connection".to_string(), Param::Text(connection)),
        ],
        origin,
        ..QueryOptions::default()
    }
}

fn name(row: &Row) -> String {
    row.get("connection")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_string()
}
