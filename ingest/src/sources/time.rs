//! Instants and days as Jira writes them.

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, Utc};
use serde_json::Value;

/// Years that every part of the warehouse can hold (nanoseconds in 64 bits are the narrowest).
const YEARS: std::ops::RangeInclusive<i32> = 1678..=2261;

/// Numbers below are seconds since 1970 (up to the year 5138), others milliseconds.
const FIRST_MILLISECONDS: f64 = 1e11;

/// Reads an instant: ISO text with any offset, or seconds or milliseconds since 1970. Null and an
/// empty text are no instant; anything else is refused with a reason.
pub(crate) fn instant(value: &Value) -> Result<Option<DateTime<Utc>>, String> {
    let parsed = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => from_text(text.trim()),
        Value::Number(number) => number.as_f64().and_then(from_number),
        _ => None,
    };
    match parsed {
        Some(at) if YEARS.contains(&at.year()) => Ok(Some(at)),
        Some(at) => Err(format!("year {} is out of range", at.year())),
        None => Err(format!("{value} is not an instant")),
    }
}

/// Reads a day, `YYYY-MM-DD`.
pub(crate) fn day(value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => match NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d") {
            Ok(day) if (1..=9999).contains(&day.year()) => Ok(Some(day.to_string())),
            _ => Err(format!("{value} is not a day")),
        },
        _ => Err(format!("{value} is not a day")),
    }
}

/// An instant as rows carry it.
pub(crate) fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn from_text(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"))
        .ok()
        .map(|at| at.to_utc())
}

fn from_number(number: f64) -> Option<DateTime<Utc>> {
    let milliseconds = if number.abs() < FIRST_MILLISECONDS {
        number * 1000.0
    } else {
        number
    };
    if milliseconds.abs() > 1e16 {
        return None;
    }
    DateTime::from_timestamp_millis(milliseconds.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(value: Value) -> String {
        instant(&value).unwrap().map(text).unwrap_or_default()
    }

    #[test]
    fn reads_every_form() {
        assert_eq!(
            shown(json!("2020-06-19T06:31:18.495+0000")),
            "2020-06-19T06:31:18.495000Z"
        );
        assert_eq!(
            shown(json!("2020-06-19T14:31:18.495+0800")),
            "2020-06-19T06:31:18.495000Z"
        );
        assert_eq!(
            shown(json!("2020-06-26T00:38:00.000Z")),
            "2020-06-26T00:38:00.000000Z"
        );
        assert_eq!(
            shown(json!("2018-05-09T06:39:30+02:00")),
            "2018-05-09T04:39:30.000000Z"
        );
        assert_eq!(shown(json!(1492070429)), "2017-04-13T08:00:29.000000Z");
        assert_eq!(
            shown(json!(1492070429123_i64)),
            "2017-04-13T08:00:29.123000Z"
        );
        assert_eq!(shown(json!(null)), "");
        assert_eq!(shown(json!("")), "");
    }

    #[test]
    fn refuses_the_rest() {
        for bad in [
            json!("0001-01-01T00:00:00.000+0000"),
            json!("9999-12-31T00:00:00.000+0000"),
            json!("yesterday"),
            json!("2020-13-01T00:00:00.000+0000"),
            json!(1e300),
            json!(99999999999999999_i64),
            json!(true),
            json!({}),
        ] {
            assert!(instant(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn days() {
        assert_eq!(day(&json!("2020-07-01")), Ok(Some("2020-07-01".into())));
        assert_eq!(day(&json!(null)), Ok(None));
        assert!(day(&json!("01/Jul/20")).is_err());
        assert!(day(&json!(20200701)).is_err());
    }
}
