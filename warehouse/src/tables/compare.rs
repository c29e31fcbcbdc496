//! Which rows of a batch are new, changed or already there.

use std::collections::HashMap;

use datafusion::arrow::array::{RecordBatch, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{OwnedRow, RowConverter, SortField};
use schemas::Contract;

use crate::{Error, Result};

/// Compares rows by key and by content, in a form that is cheap to compare.
#[derive(Debug)]
pub(super) struct Comparer<'a> {
    contract: &'a Contract,
    keys: RowConverter,
    contents: RowConverter,
}

/// The rows of a table by key.
pub(super) type Index = HashMap<OwnedRow, Stored>;

/// One row, in comparable form.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    /// All columns.
    pub(super) content: OwnedRow,
    /// `updated_at` in microseconds, for tables that have it.
    pub(super) updated_at: Option<i64>,
    /// Batch and row it stands in.
    pub(super) place: (usize, usize),
}

impl<'a> Comparer<'a> {
    pub(super) fn new(contract: &'a Contract) -> Result<Self> {
        let schema = contract.arrow_schema();
        let fields = |names: Vec<&str>| -> Result<Vec<SortField>, ArrowError> {
            names
                .into_iter()
                .map(|name| {
                    Ok(SortField::new(
                        schema.field_with_name(name)?.data_type().clone(),
                    ))
                })
                .collect()
        };
        let refuse = |error: ArrowError| refuse(contract, &error);
        let key = fields(contract.key().iter().map(String::as_str).collect()).map_err(refuse)?;
        let all = fields(contract.columns().iter().map(|c| c.name.as_str()).collect());
        let all = all.map_err(refuse)?;
        Ok(Self {
            contract,
            keys: RowConverter::new(key).map_err(refuse)?,
            contents: RowConverter::new(all).map_err(refuse)?,
        })
    }

    /// Brings a batch read from storage to the contract's columns and types.
    pub(super) fn conform(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let schema = self.contract.arrow_schema();
        let columns = schema
            .fields()
            .iter()
            .map(|field| match batch.column_by_name(field.name()) {
                Some(column) => cast(column, field.data_type()),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            })
            .collect::<Result<Vec<_>, ArrowError>>()
            .map_err(|error| refuse(self.contract, &error))?;
        RecordBatch::try_new(schema, columns).map_err(|error| refuse(self.contract, &error))
    }

    /// The rows of conforming batches by key; of rows with the same key the last one.
    pub(super) fn index(&mut self, batches: &[RecordBatch]) -> Result<Index> {
        let mut index = Index::new();
        for (number, batch) in batches.iter().enumerate() {
            let key_columns: Vec<_> = self
                .contract
                .key()
                .iter()
                .filter_map(|name| batch.column_by_name(name).cloned())
                .collect();
            let refuse = |error: ArrowError| refuse(self.contract, &error);
            let keys = self.keys.convert_columns(&key_columns).map_err(refuse)?;
            let contents = self
                .contents
                .convert_columns(batch.columns())
                .map_err(refuse)?;
            let updated = updated_at(batch);
            for row in 0..batch.num_rows() {
                let stored = Stored {
                    content: contents.row(row).owned(),
                    updated_at: updated
                        .as_ref()
                        .and_then(|values| values.get(row).copied().flatten()),
                    place: (number, row),
                };
                index.insert(keys.row(row).owned(), stored);
            }
        }
        Ok(index)
    }
}

fn updated_at(batch: &RecordBatch) -> Option<Vec<Option<i64>>> {
    use datafusion::arrow::array::{Array, AsArray};
    use datafusion::arrow::datatypes::TimestampMicrosecondType;
    let column = batch.column_by_name("updated_at")?;
    if !matches!(column.data_type(), DataType::Timestamp(_, _)) {
        return None;
    }
    let values = column.as_primitive::<TimestampMicrosecondType>();
    Some(
        (0..values.len())
            .map(|row| values.is_valid(row).then(|| values.value(row)))
            .collect(),
    )
}

fn refuse(contract: &Contract, error: &ArrowError) -> Error {
    Error::Rows {
        table: contract.table().clone(),
        reason: error.to_string(),
    }
}
