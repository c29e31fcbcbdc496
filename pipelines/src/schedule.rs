//! When a pipeline is due: a cron expression in a time zone.
//!
//! Five fields, as in a crontab: minute, hour, day of month, month, day of week. Where both days are given,
//! both must hold. Days of the week are written by name, since the numbers mean different days to different
//! programs.
//!
//! When clocks change, what is due at certain hours runs once: at the end of the gap where its time does not
//! exist, at the first of two instants where it exists twice. What is due every hour (hour `*` or `*/n`)
//! runs by the hours that pass.

use std::collections::BTreeSet;
use std::str::FromStr;

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// More than any zone has ever moved its clocks by at once.
const MARGIN: TimeDelta = TimeDelta::hours(26);
/// How far ahead the next tick is looked for; 29 February comes within eight years.
const HORIZON: TimeDelta = TimeDelta::days(9 * 366);

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    text: String,
    cron: cron::Schedule,
    zone: Tz,
    /// Whether it is due by the hours that pass, not at certain ones.
    passes: bool,
}

impl Schedule {
    /// Reads an expression; an error says what is wrong with it.
    pub fn parse(text: &str, zone: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [_, hour, _, _, weekday] = fields[..] else {
            return Err(format!(
                "'{text}' has {} fields; write five: minute, hour, day of month, month, day of week, \
                 like '5 * * * *' for five past every hour",
                fields.len()
            ));
        };
        let has_number = |part: &str| part.chars().next().is_some_and(|c| c.is_ascii_digit());
        if weekday.split([',', '-']).any(has_number) {
            return Err(format!(
                "'{weekday}': write days of the week by name (mon, tue, wed, thu, fri, sat, sun); their \
                 numbers mean different days to different programs"
            ));
        }
        let zone = Tz::from_str(zone).map_err(|_| {
            format!("'{zone}' is no time zone; write its IANA name, like Europe/Berlin, or UTC")
        })?;
        let cron = cron::Schedule::from_str(&format!("0 {text}"))
            .map_err(|error| format!("'{text}' is no cron expression: {error}"))?;
        let schedule = Self {
            text: text.to_string(),
            cron,
            zone,
            passes: hour.starts_with('*'),
        };
        if schedule.next(Utc::now()).is_none() {
            return Err(format!("'{text}' is never due"));
        }
        Ok(schedule)
    }

    /// The expression.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The zone its times are in.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first tick after an instant.
    pub fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = self.local(after);
        let times = self
            .times(local - MARGIN)
            .take_while(|time| *time <= local + HORIZON);
        let mut first: Option<(NaiveDateTime, DateTime<Utc>)> = None;
        for time in times {
            // Later local times may come earlier, but not by more than clocks move.
            if first.is_some_and(|(at, _)| time > at + MARGIN) {
                break;
            }
            for tick in self.instants(time).into_iter().filter(|tick| *tick > after) {
                if first.is_none_or(|(_, earliest)| tick < earliest) {
                    first = Some((first.map_or(time, |(at, _)| at), tick));
                }
            }
        }
        first.map(|(_, tick)| tick)
    }

    /// The ticks after the first instant, up to and including the second, in order.
    pub fn ticks(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let last = self.local(until) + MARGIN;
        let times = self
            .times(self.local(after) - MARGIN)
            .take_while(|time| *time <= last);
        let ticks: BTreeSet<DateTime<Utc>> = times
            .flat_map(|time| self.instants(time))
            .filter(|tick| *tick > after && *tick <= until)
            .collect();
        ticks.into_iter().collect()
    }

    /// The local times of the expression after one of them, as if clocks never changed.
    fn times(&self, after: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> {
        self.cron
            .after(&Utc.from_utc_datetime(&after))
            .map(|time| time.naive_utc())
    }

    fn local(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        instant.with_timezone(&self.zone).naive_local()
    }

    /// The instants at which it is due that the clocks show as this time.
    fn instants(&self, time: NaiveDateTime) -> Vec<DateTime<Utc>> {
        match self.zone.from_local_datetime(&time) {
            MappedLocalTime::Single(one) => vec![one.to_utc()],
            MappedLocalTime::Ambiguous(first, second) if self.passes => {
                vec![first.to_utc(), second.to_utc()]
            }
            MappedLocalTime::Ambiguous(first, _) => vec![first.to_utc()],
            MappedLocalTime::None if self.passes => Vec::new(),
            MappedLocalTime::None => self.end_of_gap(time).into_iter().collect(),
        }
    }

    /// The first instant after a gap in local times.
    fn end_of_gap(&self, within: NaiveDateTime) -> Option<DateTime<Utc>> {
        let minutes = (1..=26 * 60).map(|minute| within + TimeDelta::minutes(minute));
        let mut later = minutes.filter_map(|time| self.zone.from_local_datetime(&time).earliest());
        later.next().map(|instant| instant.to_utc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn ticks(text: &str, zone: &str, after: &str, until: &str) -> Vec<String> {
        let schedule = Schedule::parse(text, zone).unwrap();
        let ticks = schedule.ticks(at(after), at(until));
        // One after the other, they are the same.
        let mut single = Vec::new();
        let mut last = at(after);
        while let Some(next) = schedule.next(last).filter(|next| *next <= at(until)) {
            single.push(next);
            last = next;
        }
        assert_eq!(ticks, single);
        let show = |tick: &DateTime<Utc>| tick.format("%m-%d %H:%M").to_string();
        ticks.iter().map(show).collect()
    }

    #[test]
    fn ticks_are_those_of_a_crontab() {
        let day = ("2026-05-04T00:00:00Z", "2026-05-05T00:00:00Z");
        assert_eq!(
            ticks("0 */8 * * *", "UTC", day.0, day.1),
            ["05-04 08:00", "05-04 16:00", "05-05 00:00"]
        );
        // Berlin is two hours ahead in summer; 4 May 2026 is a Monday.
        assert_eq!(
            ticks("30 2 * * mon-fri", "Europe/Berlin", day.0, day.1),
            ["05-04 00:30"]
        );
        assert!(ticks("30 2 * * sat,sun", "Europe/Berlin", day.0, day.1).is_empty());
        // India is half an hour off.
        assert_eq!(
            ticks("0 9 * * *", "Asia/Kolkata", day.0, day.1),
            ["05-04 03:30"]
        );
        // The end is included, the beginning is not.
        assert_eq!(ticks("0 0 * * *", "UTC", day.0, day.1), ["05-05 00:00"]);
    }

    #[test]
    fn a_certain_hour_is_due_once_when_clocks_change() {
        // Berlin, 29 March 2026: 02:00 becomes 03:00 (01:00 UTC). 25 October: 03:00 becomes 02:00.
        let spring = ("2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
        let autumn = ("2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z");
        assert_eq!(
            ticks("30 2 * * *", "Europe/Berlin", spring.0, spring.1),
            ["03-29 01:00", "03-30 00:30"]
        );
        assert_eq!(
            ticks("30 2 * * *", "Europe/Berlin", autumn.0, autumn.1),
            ["10-25 00:30", "10-26 01:30"]
        );
        // 02:00 and 03:00 fall together in spring.
        assert_eq!(
            ticks(
                "0 2,3 * * *",
                "Europe/Berlin",
                spring.0,
                "2026-03-29T12:00:00Z"
            ),
            ["03-29 01:00"]
        );
    }

    #[test]
    fn every_hour_is_due_by_the_hours_that_pass() {
        let spring = ("2026-03-28T23:30:00Z", "2026-03-29T04:30:00Z");
        let autumn = ("2026-10-24T22:30:00Z", "2026-10-25T03:30:00Z");
        for (after, until) in [spring, autumn] {
            let due = ticks("0 * * * *", "Europe/Berlin", after, until);
            assert_eq!(due.len(), 5, "{due:?}");
        }
        // Lord Howe moves its clocks by half an hour.
        let due = ticks(
            "0 * * * *",
            "Australia/Lord_Howe",
            "2026-04-04T12:10:00Z",
            "2026-04-04T18:10:00Z",
        );
        assert_eq!(
            due,
            [
                "04-04 13:00",
                "04-04 14:00",
                "04-04 15:30",
                "04-04 16:30",
                "04-04 17:30"
            ]
        );
        // Samoa left out 30 December 2011.
        let due = ticks(
            "0 12 * * *",
            "Pacific/Apia",
            "2011-12-28T00:00:00Z",
            "2012-01-01T00:00:00Z",
        );
        assert_eq!(
            due,
            [
                "12-28 22:00",
                "12-29 22:00",
                "12-30 10:00",
                "12-30 22:00",
                "12-31 22:00"
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |text: &str, zone: &str| Schedule::parse(text, zone).unwrap_err();
        assert!(wrong("* * *", "UTC").contains("3 fields; write five"));
        assert!(wrong("0 0 2 * * *", "UTC").contains("6 fields"));
        assert!(wrong("0 2 * * 1", "UTC").contains("by name"));
        assert!(wrong("0 2 * * mon-5", "UTC").contains("by name"));
        assert!(wrong("0 25 * * *", "UTC").contains("no cron expression"));
        assert!(wrong("0 2 * * *", "Berlin").contains("IANA name"));
        assert!(wrong("0 2 31 2 *", "UTC").contains("never due"));
    }
}
