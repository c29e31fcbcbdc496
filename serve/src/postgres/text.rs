//! Values as PostgreSQL writes them where the encoder of rows would not: `16` and not `16.0`, an
//! instant without a fraction when it has none, and no text with a NUL, which no PostgreSQL text can
//! hold and at which clients in C would cut it off.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, PrimitiveArray, RecordBatch, RecordBatchOptions, StringArray,
};
use arrow::datatypes::{
    ArrowTimestampType, DataType, Field, Float32Type, Float64Type, Schema, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};
use pgwire::api::results::{FieldFormat, FieldInfo};

/// The batch with those columns written here, for the formats that the client asks for.
pub(super) fn written(batch: RecordBatch, fields: &[FieldInfo]) -> Result<RecordBatch, ArrowError> {
    let mut columns = batch.columns().to_vec();
    let mut schema: Vec<_> = batch.schema_ref().fields().iter().cloned().collect();
    for (index, info) in fields.iter().enumerate().take(columns.len()) {
        let column = match info.format() {
            FieldFormat::Text => column(&columns[index]),
            FieldFormat::Binary => without_nul(&columns[index]),
        };
        if let Some(column) = column {
            schema[index] = Arc::new(Field::new(schema[index].name(), DataType::Utf8, true));
            columns[index] = column;
        }
    }
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(schema)), columns, &rows)
}

/// A column as text; `None` where the encoder writes it well.
fn column(column: &ArrayRef) -> Option<ArrayRef> {
    let texts: StringArray = match column.data_type() {
        DataType::Float64 => texts(column.as_primitive::<Float64Type>(), |value| {
            Some(double(value))
        }),
        DataType::Float32 => texts(column.as_primitive::<Float32Type>(), |value| {
            Some(real(value))
        }),
        DataType::Timestamp(unit, zone) => {
            // A zone that is not UTC can't come out of a model; the encoder knows zones.
            let zone = match zone.as_deref() {
                None => "",
                Some("UTC" | "Z" | "+00:00") => "+00",
                Some(_) => return None,
            };
            match unit {
                TimeUnit::Second => instants::<TimestampSecondType>(column, zone),
                TimeUnit::Millisecond => instants::<TimestampMillisecondType>(column, zone),
                TimeUnit::Microsecond => instants::<TimestampMicrosecondType>(column, zone),
                TimeUnit::Nanosecond => instants::<TimestampNanosecondType>(column, zone),
            }
        }
        _ => return without_nul(column),
    };
    Some(Arc::new(texts))
}

/// A column of texts with another sign for NUL; `None` when it holds none.
fn without_nul(column: &ArrayRef) -> Option<ArrayRef> {
    let texts: Vec<Option<&str>> = match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().collect(),
        DataType::LargeUtf8 => column.as_string::<i64>().iter().collect(),
        DataType::Utf8View => column.as_string_view().iter().collect(),
        _ => return None,
    };
    if !texts.iter().flatten().any(|text| text.contains('\0')) {
        return None;
    }
    let clean = texts
        .into_iter()
        .map(|text| text.map(|text| text.replace('\0', "\u{fffd}")));
    Some(Arc::new(clean.collect::<StringArray>()))
}

fn texts<T: arrow::datatypes::ArrowPrimitiveType>(
    values: &PrimitiveArray<T>,
    text: impl Fn(T::Native) -> Option<String>,
) -> StringArray {
    values.iter().map(|value| value.and_then(&text)).collect()
}

fn instants<T: ArrowTimestampType>(column: &ArrayRef, zone: &str) -> StringArray {
    texts(column.as_primitive::<T>(), |value| {
        let instant = arrow::temporal_conversions::as_datetime::<T>(value)?;
        Some(instant_text(instant.and_utc(), zone))
    })
}

/// `2026-01-05 15:00:00.25+00`: whole microseconds, without zeros at the end.
fn instant_text(instant: DateTime<Utc>, zone: &str) -> String {
    let seconds = instant.format("%Y-%m-%d %H:%M:%S");
    let microseconds = instant.timestamp_subsec_micros();
    if microseconds == 0 {
        return format!("{seconds}{zone}");
    }
    let fraction = format!("{microseconds:06}");
    format!("{seconds}.{}{zone}", fraction.trim_end_matches('0'))
}

fn double(value: f64) -> String {
    if value.is_finite() {
        digits(&format!("{value:e}"), 15)
    } else {
        unusual(value)
    }
}

fn real(value: f32) -> String {
    if value.is_finite() {
        digits(&format!("{value:e}"), 6)
    } else {
        unusual(value.into())
    }
}

fn unusual(value: f64) -> String {
    let text = match value {
        value if value.is_nan() => "NaN",
        value if value > 0.0 => "Infinity",
        _ => "-Infinity",
    };
    text.to_string()
}

/// The shortest digits that read back as the same number, with an exponent where PostgreSQL writes
/// one: below 0.0001, and from as many digits on as the type holds for certain.
fn digits(shortest: &str, most: i32) -> String {
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", mantissa),
    };
    if exponent < -4 || exponent >= most {
        let direction = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{direction}{:02}", exponent.abs());
    }
    let digits = mantissa.replace('.', "");
    let places = exponent.unsigned_abs() as usize;
    if exponent < 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(places - 1));
    }
    if digits.len() <= places + 1 {
        return format!("{sign}{digits}{}", "0".repeat(places + 1 - digits.len()));
    }
    let (whole, fraction) = digits.split_at(places + 1);
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_postgresql_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (16.0, "16"),
            (-0.375, "-0.375"),
            (0.1 + 0.2, "0.30000000000000004"),
            (100.0, "100"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (1.25e300, "1.25e+300"),
            (123_456.75, "123456.75"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double(value), text);
        }
        assert_eq!(real(0.1), "0.1");
        assert_eq!(real(1_000_000.0), "1e+06");
    }

    #[test]
    fn a_text_has_no_nul() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a\0b"), None, Some("c")]));
        let clean = without_nul(&texts).map(|texts| texts.as_string::<i32>().clone());
        let expected = StringArray::from(vec![Some("a\u{fffd}b"), None, Some("c")]);
        assert_eq!(clean, Some(expected));
        let plain: ArrayRef = Arc::new(StringArray::from(vec!["plain"]));
        assert!(without_nul(&plain).is_none());
    }

    #[test]
    fn an_instant_has_the_fraction_it_needs() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap_or_default();
        let whole = instant_text(at("2026-01-05T15:00:00Z"), "+00");
        assert_eq!(whole, "2026-01-05 15:00:00+00");
        let part = instant_text(at("2026-01-05T15:00:00.250Z"), "");
        assert_eq!(part, "2026-01-05 15:00:00.25");
    }
}
