//! SQL functions of ours, known in every session: days of a time zone that a row names.

use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Date32Array, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::exec_err;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

/// All functions of ours.
pub(super) fn all() -> Vec<ScalarUDF> {
    vec![
        // local_date(instant, zone): the day of an instant in an IANA time zone; null without either.
        create_udf(
            "local_date",
            vec![instant_type(), DataType::Utf8],
            DataType::Date32,
            Volatility::Immutable,
            Arc::new(|arguments| {
                let (instants, zones) = two(arguments)?;
                let instants = instants.as_primitive::<TimestampMicrosecondType>();
                let days = each(instants.len(), &zones, |row, zone| {
                    if instants.is_null(row) {
                        return None;
                    }
                    let instant = DateTime::from_timestamp_micros(instants.value(row))?;
                    let day = instant.with_timezone(&zone).date_naive();
                    Some(Date32Type::from_naive_date(day))
                })?;
                Ok(ColumnarValue::Array(Arc::new(Date32Array::from(days))))
            }),
        ),
        // local_midnight(day, zone): the first instant of a day in an IANA time zone; null without either.
        create_udf(
            "local_midnight",
            vec![DataType::Date32, DataType::Utf8],
            instant_type(),
            Volatility::Immutable,
            Arc::new(|arguments| {
                let (days, zones) = two(arguments)?;
                let days = days.as_primitive::<Date32Type>();
                let instants = each(days.len(), &zones, |row, zone| {
                    if days.is_null(row) {
                        return None;
                    }
                    let day = Date32Type::to_naive_date_opt(days.value(row))?;
                    Some(midnight(day, zone)?.timestamp_micros())
                })?;
                let instants = TimestampMicrosecondArray::from(instants).with_timezone("UTC");
                Ok(ColumnarValue::Array(Arc::new(instants)))
            }),
        ),
    ]
}

fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn two(arguments: &[ColumnarValue]) -> EngineResult<(ArrayRef, ArrayRef)> {
    let arrays = ColumnarValue::values_to_arrays(arguments)?;
    match <[ArrayRef; 2]>::try_from(arrays) {
        Ok([first, second]) => Ok((first, second)),
        Err(other) => exec_err!("two arguments are needed, not {}", other.len()),
    }
}

/// Computes a value for each row with the time zone of the row.
fn each<T>(
    rows: usize,
    zones: &ArrayRef,
    value: impl Fn(usize, Tz) -> Option<T>,
) -> EngineResult<Vec<Option<T>>> {
    let zones = zones.as_string::<i32>();
    let mut values = Vec::with_capacity(rows);
    let mut last: Option<(&str, Tz)> = None;
    for row in 0..rows {
        if zones.is_null(row) {
            values.push(None);
            continue;
        }
        let name = zones.value(row);
        let zone = match last {
            Some((known, zone)) if known == name => zone,
            _ => match name.parse::<Tz>() {
                Ok(zone) => zone,
                Err(_) => return exec_err!("'{name}' is not an IANA time zone"),
            },
        };
        last = Some((name, zone));
        values.push(value(row, zone));
    }
    Ok(values)
}

/// First instant of a day; where the clocks skip midnight, the first one after the gap.
fn midnight(day: NaiveDate, zone: Tz) -> Option<DateTime<Utc>> {
    let mut wall = day.and_time(NaiveTime::MIN);
    let end = day.checked_add_days(Days::new(1))?.and_time(NaiveTime::MIN);
    while wall < end {
        if let Some(instant) = zone.from_local_datetime(&wall).earliest() {
            return Some(instant.with_timezone(&Utc));
        }
        wall = wall.checked_add_signed(TimeDelta::minutes(15))?;
    }
    // A whole day that a zone skipped (it changed sides of the date line): the day after it.
    midnight(day.checked_add_days(Days::new(1))?, zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(day: &str, zone: &str) -> String {
        midnight(day.parse().unwrap(), zone.parse().unwrap())
            .unwrap()
            .to_rfc3339()
    }

    #[test]
    fn midnight_knows_summer_time_gaps_and_skipped_days() {
        assert_eq!(
            first("2026-03-29", "Europe/Berlin"),
            "2026-03-28T23:00:00+00:00"
        );
        assert_eq!(
            first("2026-03-30", "Europe/Berlin"),
            "2026-03-29T22:00:00+00:00"
        );
        // The clocks went from 0:00 to 1:00.
        assert_eq!(
            first("2018-11-04", "America/Sao_Paulo"),
            "2018-11-04T03:00:00+00:00"
        );
        // The day that did not happen.
        assert_eq!(
            first("2011-12-30", "Pacific/Apia"),
            first("2011-12-31", "Pacific/Apia")
        );
    }
}
