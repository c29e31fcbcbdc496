//! Tables made by an older version of the program: their contract has columns that they lack.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col, lit};
use deltalake::DeltaTable;
use deltalake::kernel::StructField;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use schemas::{Contract, TableName};

use super::{Commit, Tables, properties};
use crate::{Error, Result};

impl Tables {
    /// The table with all columns of its contract: the ones it lacks are added, in a commit of their
    /// own. Only nullable columns are ever added to a contract, so no file is rewritten.
    pub(super) async fn widen(&self, contract: &Contract, delta: DeltaTable) -> Result<DeltaTable> {
        let table = contract.table();
        let failed = |error| Error::table(table, "adding columns to", error);
        let stored = delta.snapshot().map_err(failed)?.snapshot().arrow_schema();
        let lacking = lacking(contract, &stored);
        if lacking.is_empty() {
            return Ok(delta);
        }
        let fields: Vec<StructField> = lacking
            .iter()
            .map(|field| field.as_ref().try_into_kernel())
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| failed(error.into()))?;
        tracing::info!(
            table = %table,
            columns = ?lacking.iter().map(|field| field.name()).collect::<Vec<_>>(),
            "a table of an older version gets the columns it lacks"
        );
        let delta = delta
            .add_columns()
            .with_fields(fields)
            .with_commit_properties(properties(&Commit::default()))
            .await
            .map_err(failed)?;
        self.remember(table, delta.clone()).await;
        Ok(delta)
    }
}

/// What is read of a table: columns that its contract has and the table lacks are null.
pub(crate) async fn provider(
    table: &TableName,
    delta: &DeltaTable,
) -> Result<Arc<dyn TableProvider>> {
    let provider = delta
        .table_provider()
        .await
        .map_err(|error| Error::table(table, "reading", error))?;
    let stored = provider.schema();
    let contract = schemas::contract(table);
    let Some(contract) = contract.filter(|contract| !lacking(contract, &stored).is_empty()) else {
        return Ok(provider);
    };
    let column = |field: &Arc<Field>| -> datafusion::error::Result<Expr> {
        match stored.field_with_name(field.name()) {
            Ok(_) => Ok(col(format!("\"{}\"", field.name()))),
            Err(_) => Ok(lit(ScalarValue::try_new_null(field.data_type())?).alias(field.name())),
        }
    };
    let plan = || {
        let schema = contract.arrow_schema();
        let columns = schema.fields().iter().map(column);
        let columns = columns.collect::<datafusion::error::Result<Vec<_>>>()?;
        LogicalPlanBuilder::scan(table.name.as_str(), provider_as_source(provider), None)?
            .project(columns)?
            .build()
    };
    let plan = plan().map_err(Error::engine)?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// Columns of a contract that a stored table doesn't have.
fn lacking(contract: &Contract, stored: &SchemaRef) -> Vec<Arc<Field>> {
    let schema = contract.arrow_schema();
    let fields = schema.fields().iter();
    fields
        .filter(|field| stored.field_with_name(field.name()).is_err())
        .cloned()
        .collect()
}
