//! Working time and the slots of sprints.

use chrono::{DateTime, Datelike, Duration, LocalResult, NaiveDateTime, TimeZone, Utc, Weekday};
use chrono_tz::Tz;

use crate::random::Random;
use crate::settings::WorldSettings;

#[derive(Clone, Copy)]
pub(super) struct Calendar {
    zone: Tz,
}

/// When a sprint starts, is planned to end and is completed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) start: DateTime<Utc>,
    pub(super) planned_end: DateTime<Utc>,
    pub(super) complete: DateTime<Utc>,
}

impl Calendar {
    pub(super) fn new(settings: &WorldSettings) -> Self {
        Self {
            zone: settings.time_zone.parse().unwrap_or(Tz::UTC),
        }
    }

    /// An instant in working hours, near a uniform draw and never outside the range.
    pub(super) fn between(
        &self,
        random: &mut Random,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let span = (to - from).num_seconds();
        let drawn = from + Duration::seconds(random.between(0, span.max(1)));
        let local = drawn.with_timezone(&self.zone).naive_local();
        let back = match local.weekday() {
            Weekday::Sat => 1,
            Weekday::Sun => 2,
            _ => 0,
        };
        let second = random.between(8 * 3600, 18 * 3600);
        let day = local.date() - Duration::days(back);
        let working = self.utc(day.and_time(chrono::NaiveTime::MIN) + Duration::seconds(second));
        let millis = Duration::milliseconds(random.between(0, 1000));
        (working + millis).clamp(from.min(to), to.max(from))
    }

    /// The slot of a board's sprint, counted back from the running one (0).
    pub(super) fn slot(
        &self,
        random: &mut Random,
        settings: &WorldSettings,
        board: usize,
        back: i64,
    ) -> Slot {
        let days = i64::from(settings.sprint_days.max(2));
        let monday = self.monday_before(settings.now - Duration::days(4));
        let day = monday + Duration::days((2 * board as i64) % 4) - Duration::days(back * days);
        let opening = Duration::minutes(9 * 60 + 30);
        let start = self.utc(day + opening + Duration::minutes(random.between(0, 60)));
        let length = if days >= 7 { days - 3 } else { days - 1 };
        let planned_end = self.utc(day + Duration::days(length) + Duration::hours(17));
        let shift = match random.weighted(&[0.12, 0.53, 0.35]) {
            0 => Duration::minutes(-random.between(20 * 60, 30 * 60)),
            1 => Duration::minutes(random.between(-150, 30)),
            _ => Duration::minutes(random.between(14 * 60, 62 * 60)),
        };
        // The next sprint starts after this one's completion.
        let latest = self.utc(day + Duration::days(days) + Duration::hours(9));
        Slot {
            start,
            planned_end,
            complete: (planned_end + shift).min(latest),
        }
    }

    fn monday_before(&self, at: DateTime<Utc>) -> NaiveDateTime {
        let date = at.with_timezone(&self.zone).date_naive();
        let monday = date - Duration::days(i64::from(date.weekday().num_days_from_monday()));
        monday.and_time(chrono::NaiveTime::MIN)
    }

    fn utc(&self, local: NaiveDateTime) -> DateTime<Utc> {
        match self.zone.from_local_datetime(&local) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.with_timezone(&Utc),
            LocalResult::None => self.zone.from_utc_datetime(&local).with_timezone(&Utc),
        }
    }
}
