//! The report of one sprint: its figures and the issues behind them, from one release.

use schemas::Row;
use serde::Serialize;
use serde_json::Value;
use warehouse::{Param, QueryOptions, Warehouse};

/// The report of one sprint.
#[derive(Debug, Clone, Serialize)]
pub struct SprintReport {
    /// Release the report comes from.
    pub release_id: String,
    /// The sprint and its metrics.
    pub sprint: Row,
    /// The issues that were in the sprint, with what became of them.
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
    let mut options = QueryOptions {
        as_of: as_of.map(str::to_string),
        params: vec![
            ("sprint_id", Param::Number(sprint_id)),
            ("connection", Param::Text(connection.map(str::to_string))),
        ],
        ..QueryOptions::default()
    };
    let sql = include_str!("../../sql/queries/sprint_by_id.sql");
    let found = warehouse.query().run(sql, &options).await?;
    let release_id = found.release().to_string();
    // The second query must not see a release that was published meanwhile.
    options.as_of = Some(release_id.clone());
    let mut sprints = found.into_rows().await?;
    let name = |row: &Row| {
        row.get("connection")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_string()
    };
    if sprints.len() > 1 {
        let names: Vec<String> = sprints.iter().map(name).collect();
        return Err(ReportError::Ambiguous(sprint_id, names.join(", ")));
    }
    let sprint = sprints.pop().ok_or(ReportError::NotFound(sprint_id))?;
    options.params[1].1 = Param::Text(Some(name(&sprint)));
    let sql = include_str!("../../sql/queries/sprint_scope_by_id.sql");
    let scope = warehouse
        .query()
        .run(sql, &options)
        .await?
        .into_rows()
        .await?;
    Ok(SprintReport {
        release_id,
        sprint,
        scope,
    })
}
