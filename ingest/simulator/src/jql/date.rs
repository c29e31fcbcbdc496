//! Time literals: epoch milliseconds, local minutes in the account's zone, and relative periods.

use chrono::{DateTime, Duration, LocalResult, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;

use crate::jql::Literal;

/// A point in time as JQL compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) at: DateTime<Utc>,
    /// Written to the minute: the compared value loses its seconds too.
    pub(super) minute: bool,
}

const FORMATS: [&str; 2] = ["%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M"];

pub(super) fn moment(literal: &Literal, zone: Tz, now: DateTime<Utc>) -> Option<Moment> {
    let text = literal.text.trim();
    if let Ok(millis) = text.parse::<i64>() {
        return Some(Moment {
            at: DateTime::from_timestamp_millis(millis)?,
            minute: false,
        });
    }
    if text.eq_ignore_ascii_case("now()") {
        return Some(Moment {
            at: now,
            minute: false,
        });
    }
    if let Some(period) = relative(text) {
        return Some(Moment {
            at: now + period,
            minute: true,
        });
    }
    // Jira refuses seconds in a literal.
    let local = FORMATS
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let day = ["%Y-%m-%d", "%Y/%m/%d"]
        .iter()
        .find_map(|format| NaiveDate::parse_from_str(text, format).ok());
    let local = local.or(day.map(|day| day.and_time(chrono::NaiveTime::MIN)))?;
    Some(Moment {
        at: instant(local, zone),
        minute: true,
    })
}

/// Of a minute that the clock shows twice in autumn, Jira takes the later one; of a skipped one, an
/// hour later.
fn instant(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(_, at) => at.with_timezone(&Utc),
        LocalResult::None => instant(local + Duration::hours(1), zone),
    }
}

fn relative(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let number: i64 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    Some(match unit {
        'm' => Duration::minutes(number),
        'h' => Duration::hours(number),
        'd' => Duration::days(number),
        'w' => Duration::weeks(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<Moment> {
        let literal = Literal {
            text: text.to_owned(),
            quoted: true,
        };
        moment(
            &literal,
            Tz::Europe__Berlin,
            "2026-01-01T00:00:00Z".parse().unwrap(),
        )
    }

    #[test]
    fn reads_minutes_in_the_accounts_zone() {
        assert_eq!(
            at("2024-07-01 12:00").unwrap().at.to_rfc3339(),
            "2024-07-01T10:00:00+00:00"
        );
        assert_eq!(
            at("2024/01/05 12:00").unwrap().at.to_rfc3339(),
            "2024-01-05T11:00:00+00:00"
        );
        assert_eq!(
            at("2024-01-05").unwrap().at.to_rfc3339(),
            "2024-01-04T23:00:00+00:00"
        );
        assert_eq!(
            at("-1d").unwrap().at.to_rfc3339(),
            "2025-12-31T00:00:00+00:00"
        );
        assert!(at("2024-07-01 12:00:30").is_none());
        assert!(at("yesterday").is_none());
    }

    #[test]
    fn takes_the_later_of_two_equal_minutes() {
        assert_eq!(
            at("2024-10-27 02:30").unwrap().at.to_rfc3339(),
            "2024-10-27T01:30:00+00:00"
        );
        assert_eq!(
            at("2024-03-31 02:30").unwrap().at.to_rfc3339(),
            "2024-03-31T01:30:00+00:00"
        );
    }

    #[test]
    fn epoch_milliseconds_are_exact() {
        let moment = at("1719828000123").unwrap();
        assert_eq!(
            (moment.at.timestamp_millis(), moment.minute),
            (1_719_828_000_123, false)
        );
    }
}
