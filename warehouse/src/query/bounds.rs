//! Functions that make much from nothing, bounded.
//!
//! Memory that a function's result takes is not counted by the engine's pool, so that
//! `repeat('x', 1e9)` would take the process down. Each of these functions is wrapped: what a call
//! would make is estimated from its arguments first.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion::prelude::SessionContext;

use crate::Error;

/// Most bytes, or list elements, that one call may make for a batch of rows.
const MADE: u64 = 16 << 20;
/// Most bytes that one call may make out of texts that exist.
const REPLACED: u64 = 256 << 20;
/// Most rows of a generated series.
const SERIES: u64 = 1_000_000;

/// How much a call makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Cost {
    /// The text's length times a count.
    Repeat,
    /// A length, in characters.
    Pad,
    /// A count of elements.
    Elements,
    /// From a number to a number, by steps.
    Series,
    /// Every character of the text may become the replacement.
    Replace,
}

const BOUNDED: [(&str, Cost); 8] = [
    ("repeat", Cost::Repeat),
    ("lpad", Cost::Pad),
    ("rpad", Cost::Pad),
    ("array_repeat", Cost::Elements),
    ("generate_series", Cost::Series),
    ("range", Cost::Series),
    ("replace", Cost::Replace),
    ("regexp_replace", Cost::Replace),
];

/// Replaces the unbounded functions of a session.
pub(crate) fn bound(context: &SessionContext) {
    let state = context.state();
    for (name, cost) in BOUNDED {
        if let Some(inner) = state.scalar_functions().get(name) {
            let bounded = Bounded {
                inner: Arc::clone(inner),
                cost,
            };
            context.register_udf(ScalarUDF::new_from_impl(bounded));
        }
    }
    for name in ["generate_series", "range"] {
        if let Some(inner) = state.table_functions().get(name) {
            let inner = Arc::clone(inner.function());
            context.register_udtf(name, Arc::new(BoundedSeries { inner }));
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    cost: Cost,
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> EngineResult<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> EngineResult<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> EngineResult<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let made = self.cost.of(&args.args, args.number_rows as u64);
        let limit = match self.cost {
            Cost::Replace => REPLACED,
            _ => MADE,
        };
        if made > limit {
            return Err(too_large(self.name(), limit));
        }
        self.inner.invoke_with_args(args)
    }
}

fn too_large(function: &str, limit: u64) -> DataFusionError {
    let message = format!("{function} would make more than {limit} bytes or elements at once");
    DataFusionError::External(Box::new(Error::TooLarge(message)))
}

impl Cost {
    /// Estimate for a batch. What is no number, or is null, makes nothing.
    fn of(self, args: &[ColumnarValue], rows: u64) -> u64 {
        let all_scalar = args
            .iter()
            .all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if all_scalar { 1 } else { rows };
        (0..rows)
            .map(|row| {
                let number = |index: usize| number(args.get(index), row);
                let length = |index: usize| length(args.get(index), row);
                match self {
                    Cost::Repeat => length(0).saturating_mul(positive(number(1))),
                    Cost::Pad => positive(number(1)),
                    Cost::Elements => length(0).max(1).saturating_mul(positive(number(1))),
                    Cost::Series => {
                        let (from, to) = match args.len() {
                            1 => (Some(0), number(0)),
                            _ => (number(0), number(1)),
                        };
                        series(from, to, number(2))
                    }
                    Cost::Replace => {
                        let text = length(0);
                        text.saturating_add(text.saturating_add(1).saturating_mul(length(2)))
                    }
                }
            })
            .fold(0, u64::saturating_add)
    }
}

fn positive(number: Option<i64>) -> u64 {
    number
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or(0)
}

/// Elements from a number to a number.
fn series(from: Option<i64>, to: Option<i64>, step: Option<i64>) -> u64 {
    match (from, to) {
        (Some(from), Some(to)) => {
            let step = step.unwrap_or(1).unsigned_abs().max(1);
            from.abs_diff(to) / step
        }
        _ => 0,
    }
}

fn number(value: Option<&ColumnarValue>, row: u64) -> Option<i64> {
    let array: ArrayRef = match value? {
        ColumnarValue::Scalar(scalar) => return scalar_number(scalar),
        ColumnarValue::Array(array) => array.slice(usize::try_from(row).ok()?, 1),
    };
    if !array.data_type().is_integer() || array.is_null(0) {
        return None;
    }
    let number = cast(&array, &DataType::Int64).ok()?;
    Some(number.as_primitive::<Int64Type>().value(0))
}

fn scalar_number(scalar: &ScalarValue) -> Option<i64> {
    if !scalar.data_type().is_integer() {
        return None;
    }
    match scalar.cast_to(&DataType::Int64) {
        Ok(ScalarValue::Int64(number)) => number,
        _ => None,
    }
}

/// Bytes of a text, elements of a list; 0 of anything else.
fn length(value: Option<&ColumnarValue>, row: u64) -> u64 {
    let one = match value {
        None => return 0,
        Some(ColumnarValue::Scalar(scalar)) => scalar.clone(),
        Some(ColumnarValue::Array(array)) => {
            let row = usize::try_from(row).unwrap_or(usize::MAX);
            match ScalarValue::try_from_array(array, row) {
                Ok(scalar) => scalar,
                Err(_) => return 0,
            }
        }
    };
    match one {
        ScalarValue::Utf8(Some(text))
        | ScalarValue::LargeUtf8(Some(text))
        | ScalarValue::Utf8View(Some(text)) => text.len() as u64,
        ScalarValue::List(list) => list.values().len() as u64,
        _ => 0,
    }
}

/// `generate_series` and `range` in FROM: rows come one batch after another, but a count over them
/// would still run until its deadline.
#[derive(Debug)]
struct BoundedSeries {
    inner: Arc<dyn TableFunctionImpl>,
}

impl TableFunctionImpl for BoundedSeries {
    fn call_with_args(&self, args: TableFunctionArgs) -> EngineResult<Arc<dyn TableProvider>> {
        let numbers: Vec<Option<i64>> = args
            .exprs()
            .iter()
            .map(|argument| match argument {
                Expr::Literal(scalar, _) => scalar_number(scalar),
                _ => None,
            })
            .collect();
        let rows = match numbers.as_slice() {
            [to] => series(Some(0), *to, None),
            [from, to] => series(*from, *to, None),
            [from, to, step, ..] => series(*from, *to, *step),
            [] => 0,
        };
        if rows > SERIES {
            let message = format!("a series of more than {SERIES} rows was asked for");
            return Err(DataFusionError::External(Box::new(Error::TooLarge(
                message,
            ))));
        }
        self.inner.call_with_args(args)
    }
}
