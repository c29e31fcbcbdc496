//! The metrics as data: `sql/definitions.yml`, each entry held against the model that has it.

use schemas::TableName;
use warehouse::Metric;

use crate::{Error, Model, Result};

const FILE: &str = "definitions.yml";

/// The metrics of a project; none without the file.
pub(crate) fn read(text: Option<&String>, models: &[Model]) -> Result<Vec<Metric>> {
    let refuse = |reason: String| Error::Project {
        file: FILE.to_string(),
        reason,
    };
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let metrics: Vec<Metric> =
        serde_saphyr::from_str(text).map_err(|error| refuse(error.to_string()))?;
    for (at, metric) in metrics.iter().enumerate() {
        if metrics[..at].iter().any(|other| other.id == metric.id) {
            return Err(refuse(format!("metric {} is defined twice", metric.id)));
        }
        let table: TableName = metric
            .table
            .parse()
            .map_err(|_| refuse(format!("{}: write the table with its schema", metric.id)))?;
        let model = models.iter().find(|model| model.name == table);
        if !model.is_some_and(|model| model.columns.contains_key(&metric.column)) {
            return Err(refuse(format!(
                "{}: there is no column {} in {table}",
                metric.id, metric.column
            )));
        }
    }
    Ok(metrics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_must_stand_where_it_says() {
        let text = "- {id: a, name: A, formula: f, grain: g, unit: u, table: marts.t, column: c, \
                    source: s, version: 1}\n"
            .to_string();
        let error = read(Some(&text), &[]).unwrap_err().to_string();
        assert_eq!(error, "definitions.yml: a: there is no column c in marts.t");
        assert!(read(None, &[]).unwrap().is_empty());
    }
}
