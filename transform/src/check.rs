//! Data tests: the key of every model is unique and complete, and no check returns a row.

use std::collections::BTreeMap;

use datafusion::prelude::SessionContext;
use futures::future::BoxFuture;
use schemas::TableName;
use warehouse::{CheckOutcome, ModelState, batch_to_rows};

use crate::project::Check;
use crate::{Error, FailedCheck, Project, Result};

/// Most failing rows that an error shows.
const SHOWN: usize = 3;

/// One data test: rows that break a rule.
struct Test {
    name: String,
    table: Option<TableName>,
    sql: String,
}

/// Runs all data tests; the error says which failed and shows the first rows.
pub(crate) fn run<'a>(
    project: &'a Project,
    built: &'a BTreeMap<TableName, ModelState>,
    context: &'a SessionContext,
) -> BoxFuture<'a, Result<Vec<CheckOutcome>>> {
    Box::pin(async move {
        let mut outcomes = Vec::new();
        let mut failures = Vec::new();
        for test in tests(project, built) {
            let failed = |error: datafusion::error::DataFusionError| Error::Model {
                model: test.name.clone(),
                file: "checks".to_string(),
                reason: error.strip_backtrace(),
            };
            let frame = context.sql(&test.sql).await.map_err(failed)?;
            let batches = frame.collect().await.map_err(failed)?;
            let rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
            if rows > 0 {
                failures.push(FailedCheck {
                    text: describe(&test, rows, &batches)?,
                    name: test.name.clone(),
                    table: test.table.clone(),
                    rows: rows as u64,
                });
            }
            outcomes.push(CheckOutcome {
                name: test.name,
                table: test.table,
                failing_rows: rows as u64,
            });
        }
        if failures.is_empty() {
            Ok(outcomes)
        } else {
            Err(Error::Checks(failures))
        }
    })
}

/// The tests of the models that were built.
fn tests(project: &Project, built: &BTreeMap<TableName, ModelState>) -> Vec<Test> {
    let is_built = |name: &TableName| built.contains_key(name);
    let models = project
        .models()
        .iter()
        .filter(|model| is_built(&model.name));
    let keys = models.flat_map(|model| {
        let key = model.key.join(", ");
        let nulls: Vec<String> = model
            .key
            .iter()
            .map(|column| format!("{column} is null"))
            .collect();
        [
            Test {
                name: format!("unique {}", model.name),
                table: Some(model.name.clone()),
                sql: format!(
                    "select {key}, count(*) as times from {} group by {key} having count(*) > 1",
                    model.name
                ),
            },
            Test {
                name: format!("not_null {}", model.name),
                table: Some(model.name.clone()),
                sql: format!(
                    "select {key} from {} where {}",
                    model.name,
                    nulls.join(" or ")
                ),
            },
        ]
    });
    let is_there = |read: &TableName| is_built(read) || schemas::contract(read).is_some();
    let possible = |check: &&Check| check.reads.iter().all(is_there);
    let checks = project.checks().iter().filter(possible).map(|check| Test {
        name: check.name.clone(),
        table: None,
        sql: check.sql.clone(),
    });
    keys.chain(checks).collect()
}

fn describe(
    test: &Test,
    rows: usize,
    batches: &[datafusion::arrow::array::RecordBatch],
) -> Result<String> {
    let mut shown = Vec::new();
    for batch in batches {
        let left = SHOWN.saturating_sub(shown.len()).min(batch.num_rows());
        for row in batch_to_rows(&batch.slice(0, left))? {
            shown.push(serde_json::Value::from(row).to_string());
        }
    }
    Ok(format!(
        "{} ({rows} rows, such as {})",
        test.name,
        shown.join(", ")
    ))
}
