//! Which releases are kept, and removing the others.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Months, TimeDelta, Utc};
use object_store::path::Path;
use schemas::TableName;
use serde::{Deserialize, Serialize};

use super::Retention;
use crate::release::{Release, Releases};
use crate::{Error, Result, fault};

/// What retention remembers of the releases that it removed. It is the one file of the lake that is
/// written over; maintenance alone writes it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The first removed release after each kept one, by number, with the instant it was published.
    pub(crate) gaps: BTreeMap<u64, DateTime<Utc>>,
    /// Releases that were removed so lately that somebody may still read them.
    pub(crate) lately: Vec<Removed>,
}

/// A release that was removed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Removed {
    pub(crate) number: u64,
    pub(crate) removed_at: DateTime<Utc>,
    /// Versions it named.
    pub(crate) versions: Versions,
}

/// Versions of tables.
pub(crate) type Versions = BTreeMap<TableName, BTreeSet<u64>>;

/// Releases, sorted out.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    /// Those that are kept, the newest first.
    pub(crate) kept: Vec<Release>,
    /// Those that are not, the newest first.
    pub(crate) removed: Vec<Release>,
}

/// Sorts releases, the newest first, by what a retention keeps: each that was current at some instant of the
/// last days, and for some months before them the last of each month.
pub(crate) fn sort_out(
    releases: Vec<Release>,
    retention: &Retention,
    now: DateTime<Utc>,
) -> Sorted {
    let back = |time: TimeDelta| now.checked_sub_signed(time).unwrap_or(DateTime::UNIX_EPOCH);
    let days = back(TimeDelta::days(i64::from(retention.keep_releases_days)));
    let grace = back(TimeDelta::from_std(retention.grace).unwrap_or(TimeDelta::MAX));
    let all_since = days.min(grace);
    let months = now.checked_sub_months(Months::new(retention.keep_releases_months));
    let months = months.unwrap_or(DateTime::UNIX_EPOCH);
    let mut sorted = Sorted::default();
    let mut superseded_at: Option<DateTime<Utc>> = None;
    let mut month_of_newer = None;
    for release in releases {
        let at = release.published_at;
        let month = (at.year(), at.month());
        let is_recent = superseded_at.is_none_or(|superseded| superseded >= all_since);
        let is_last_of_month = month_of_newer != Some(month) && at >= months;
        superseded_at = Some(at);
        month_of_newer = Some(month);
        if is_recent || is_last_of_month {
            sorted.kept.push(release);
        } else {
            sorted.removed.push(release);
        }
    }
    sorted
}

/// The versions that releases are made of and were computed from.
pub(crate) fn versions<'a>(releases: impl IntoIterator<Item = &'a Release>) -> Versions {
    let mut versions = Versions::new();
    for release in releases {
        let tables = release.content.tables.iter();
        let tables = tables.map(|(table, state)| (table, state.version));
        let inputs = release.content.models.values();
        let inputs = inputs.flat_map(|model| model.inputs.iter());
        for (table, version) in tables.chain(inputs.map(|(table, version)| (table, *version))) {
            versions.entry(table.clone()).or_default().insert(version);
        }
    }
    versions
}

impl Releases {
    /// What retention remembers.
    pub(crate) async fn record(&self) -> Result<Record> {
        let path = self.record_path();
        let Some(bytes) = self.store().read_if_there(&path).await? else {
            return Ok(Record::default());
        };
        serde_json::from_slice(&bytes).map_err(|error| Error::ReleaseFile {
            file: path.to_string(),
            reason: error.to_string(),
        })
    }

    fn record_path(&self) -> Path {
        self.store().releases_dir().join("retention.json")
    }

    /// Removes releases. What stays known of them is written first, so that a process that is killed in
    /// between leaves nothing unsaid.
    pub(crate) async fn remove(
        &self,
        sorted: &Sorted,
        grace: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<Record> {
        let mut record = self.record().await?;
        let had = record.lately.len();
        for release in &sorted.removed {
            if !record.lately.iter().any(|one| one.number == release.number) {
                record.lately.push(Removed {
                    number: release.number,
                    removed_at: now,
                    versions: versions([release]),
                });
            }
            let published = record.gaps.entry(release.number);
            published.or_insert(release.published_at);
        }
        record.lately.retain(|one| {
            let until = one.removed_at.checked_add_signed(grace);
            until.is_none_or(|until| until > now)
        });
        if sorted.removed.is_empty() && record.lately.len() == had {
            return Ok(record);
        }
        // Of releases side by side that are gone the first is enough.
        let kept: BTreeSet<u64> = sorted.kept.iter().map(|release| release.number).collect();
        let is_first = |number: u64| number == 1 || kept.contains(&(number - 1));
        record
            .gaps
            .retain(|number, _| is_first(*number) && !kept.contains(number));
        let path = self.record_path();
        let bytes = serde_json::to_vec(&record).map_err(|error| Error::ReleaseFile {
            file: path.to_string(),
            reason: error.to_string(),
        })?;
        self.store().overwrite(&path, bytes).await?;
        fault::point("maintenance.release_recorded")?;
        for release in &sorted.removed {
            self.store().delete(&self.path(release.number)).await?;
            fault::point("maintenance.release_removed")?;
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// Names of the releases that are kept of one at each of the instants.
    fn kept(instants: &[&str], retention: &Retention, now: &str) -> Vec<u64> {
        let releases = instants.iter().zip(1..).map(|(text, number)| Release {
            release_id: format!("r{number}"),
            number,
            published_at: at(text),
            data_time: None,
            run_id: String::new(),
            content: crate::NewRelease::default(),
        });
        let mut newest_first: Vec<Release> = releases.collect();
        newest_first.reverse();
        let sorted = sort_out(newest_first, retention, at(now));
        sorted.kept.iter().rev().map(|one| one.number).collect()
    }

    const DAYS: [&str; 8] = [
        "2026-01-10T10:00:00Z",
        "2026-01-20T10:00:00Z",
        "2026-02-10T10:00:00Z",
        "2026-02-27T10:00:00Z",
        "2026-03-01T10:00:00Z",
        "2026-03-02T10:00:00Z",
        "2026-03-02T11:00:00Z",
        "2026-03-02T12:00:00Z",
    ];

    #[test]
    fn the_last_days_and_the_last_of_each_month_are_kept() {
        let retention = Retention {
            keep_releases_days: 1,
            keep_releases_months: 2,
            grace: Duration::ZERO,
            ..Retention::default()
        };
        // One that was current a day ago was published earlier.
        assert_eq!(
            kept(&DAYS, &retention, "2026-03-03T10:30:00Z"),
            [2, 4, 6, 7, 8]
        );
        let no_months = Retention {
            keep_releases_months: 0,
            ..retention.clone()
        };
        assert_eq!(
            kept(&DAYS, &no_months, "2026-03-03T11:30:00Z"),
            [7, 8],
            "without months only days count"
        );
    }

    #[test]
    fn the_current_one_is_kept_however_old_it_is_and_grace_keeps_more() {
        let nothing = Retention {
            keep_releases_days: 0,
            keep_releases_months: 0,
            grace: Duration::ZERO,
            ..Retention::default()
        };
        assert_eq!(kept(&DAYS, &nothing, "2030-01-01T00:00:00Z"), [8]);
        let grace = Retention {
            grace: Duration::from_secs(3600),
            ..nothing
        };
        assert_eq!(kept(&DAYS, &grace, "2026-03-02T12:30:00Z"), [7, 8]);
    }
}
