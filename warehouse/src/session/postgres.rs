//! What makes a query session look like a PostgreSQL database: `pg_catalog` and the functions that
//! clients call when they connect and list.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Int32Array, ListBuilder, StringArray, StringBuilder,
};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};
use datafusion::prelude::SessionContext;
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::setup_pg_catalog;

use super::{CATALOG, SCHEMA};
use crate::{Error, Result};

/// The version whose behaviour clients may expect.
pub const VERSION: &str = "15.0";

/// Adds the catalog and the functions.
pub(super) fn install(context: &SessionContext) -> Result<()> {
    setup_pg_catalog(context, CATALOG, EmptyContextProvider)
        .map_err(|error| Error::engine(*error))?;
    let version = format!(
        "PostgreSQL {VERSION} (Sprint Reports {})",
        env!("CARGO_PKG_VERSION")
    );
    let functions = [
        ("version", Answer::Text(Some(version))),
        ("current_schema", Answer::Text(Some(SCHEMA.to_string()))),
        ("current_schemas", Answer::Schemas),
        ("pg_function_is_visible", Answer::True),
        ("pg_type_is_visible", Answer::True),
        ("pg_is_in_recovery", Answer::False),
        ("has_column_privilege", Answer::True),
        ("has_function_privilege", Answer::True),
        ("has_sequence_privilege", Answer::False),
        ("obj_description", Answer::Text(None)),
        ("col_description", Answer::Text(None)),
        ("shobj_description", Answer::Text(None)),
        ("pg_get_indexdef", Answer::Text(None)),
        ("pg_get_viewdef", Answer::Text(None)),
        ("pg_get_ruledef", Answer::Text(None)),
        ("pg_get_triggerdef", Answer::Text(None)),
        ("pg_get_function_result", Answer::Text(None)),
        ("pg_get_function_arguments", Answer::Text(None)),
        ("pg_get_serial_sequence", Answer::Text(None)),
        ("pg_tablespace_location", Answer::Text(None)),
        ("to_regtype", Answer::Number(None)),
        ("to_regclass", Answer::Number(None)),
        ("inet_server_port", Answer::Number(None)),
        ("pg_my_temp_schema", Answer::Number(Some(0))),
        ("pg_is_other_temp_schema", Answer::False),
    ];
    for (name, answer) in functions {
        context.register_udf(ScalarUDF::new_from_impl(Fixed {
            name,
            answer,
            signature: Signature::one_of(
                vec![TypeSignature::Nullary, TypeSignature::VariadicAny],
                Volatility::Stable,
            ),
        }));
    }
    Ok(())
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Answer {
    Text(Option<String>),
    Number(Option<i32>),
    /// Where names without a schema are looked for.
    Schemas,
    True,
    False,
}

/// A function that answers the same whatever it is asked.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Fixed {
    name: &'static str,
    answer: Answer,
    signature: Signature,
}

impl ScalarUDFImpl for Fixed {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(match self.answer {
            Answer::Text(_) => DataType::Utf8,
            Answer::Number(_) => DataType::Int32,
            Answer::Schemas => DataType::new_list(DataType::Utf8, true),
            Answer::True | Answer::False => DataType::Boolean,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let rows = args.number_rows;
        let array: ArrayRef = match &self.answer {
            Answer::Text(text) => Arc::new(StringArray::from(vec![text.as_deref(); rows])),
            Answer::Number(number) => Arc::new(Int32Array::from(vec![*number; rows])),
            Answer::Schemas => {
                let mut lists = ListBuilder::new(StringBuilder::new());
                for _ in 0..rows {
                    lists.append_value([Some("pg_catalog"), Some(SCHEMA)]);
                }
                Arc::new(lists.finish())
            }
            Answer::True => Arc::new(BooleanArray::from(vec![true; rows])),
            Answer::False => Arc::new(BooleanArray::from(vec![false; rows])),
        };
        Ok(ColumnarValue::Array(array))
    }
}
