//! JSON rows ↔ Arrow batches.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::json::{ReaderBuilder, WriterBuilder, writer::JsonArray};
use schemas::{Contract, Row};

use crate::{Error, Result};

/// Rows as one batch of the contract's schema. An unknown column, a value of another type or a
/// missing required value is an error.
pub fn rows_to_batch(contract: &Contract, rows: &[Row]) -> Result<RecordBatch> {
    let refuse = |reason: String| Error::Rows {
        table: contract.table().clone(),
        reason,
    };
    let schema = contract.arrow_schema();
    if rows.is_empty() {
        return Ok(RecordBatch::new_empty(schema));
    }
    let mut decoder = ReaderBuilder::new(schema)
        .with_strict_mode(true)
        .with_batch_size(rows.len())
        .build_decoder()
        .map_err(|error| refuse(error.to_string()))?;
    decoder
        .serialize(rows)
        .map_err(|error| refuse(error.to_string()))?;
    let batch = decoder.flush().map_err(|error| refuse(error.to_string()))?;
    batch.ok_or_else(|| refuse("no rows came out".to_string()))
}

/// A batch as JSON rows, nulls present.
pub fn batch_to_rows(batch: &RecordBatch) -> Result<Vec<Row>> {
    if batch.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let failed = |error: String| Error::Engine(format!("a row can't be shown as JSON: {error}"));
    let mut writer = WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, JsonArray>(Vec::new());
    writer
        .write(batch)
        .map_err(|error| failed(error.to_string()))?;
    writer.finish().map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&writer.into_inner()).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(value: serde_json::Value) -> Row {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_row_survives_both_ways() {
        let contract = schemas::contract(&"jira.issues".parse().unwrap()).unwrap();
        let given = row(json!({
            "connection": "acme", "issue_id": 10001, "issue_key": "A-1",
            "created_at": "2020-06-12T00:38:51.882Z", "updated_at": "2020-06-12T02:38:51.882+02:00",
            "due_on": "2020-07-01", "story_points": 3, "sprint_ids": [7, 9], "labels": ["a", "b c"],
            "is_subtask": false,
        }));
        let batch = rows_to_batch(contract, &[given]).unwrap();
        let back = batch_to_rows(&batch).unwrap().remove(0);
        assert_eq!(back["issue_id"], json!(10001));
        assert_eq!(back["created_at"], json!("2020-06-12T00:38:51.882Z"));
        assert_eq!(back["updated_at"], json!("2020-06-12T00:38:51.882Z"));
        assert_eq!(back["due_on"], json!("2020-07-01"));
        assert_eq!(back["story_points"], json!(3.0));
        assert_eq!(back["sprint_ids"], json!([7, 9]));
        assert_eq!(back["summary"], json!(null));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let contract = schemas::contract(&"jira.board_sprints".parse().unwrap()).unwrap();
        for bad in [
            json!({"connection": "acme", "board_id": 1}),
            json!({"connection": "acme", "board_id": 1, "sprint_id": 2, "colour": "red"}),
            json!({"connection": "acme", "board_id": 1, "sprint_id": "seven"}),
        ] {
            let error = rows_to_batch(contract, &[row(bad)]).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("rows do not fit table jira.board_sprints")
            );
        }
    }
}
