//! Releases: immutable sets of table versions, published atomically.
//!
//! A release is one JSON file, named by its number and written with a conditional put: of two
//! writers one wins, and a reader sees a release whole or not at all. The newest number is the
//! current release.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemas::TableName;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::events::{Events, RELEASE_PUBLISHED};
use crate::store::Store;
use crate::{Error, Result, fault};

/// A published release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Its name: `r` and its number.
    pub release_id: String,
    /// Its number, from 1; a number that is missing was removed by retention.
    pub number: u64,
    /// When it was published.
    pub published_at: DateTime<Utc>,
    /// Up to which instant of the sources' clocks its data is complete; null before any source
    /// told one.
    pub data_time: Option<DateTime<Utc>>,
    /// Run that published it.
    pub run_id: String,
    /// What it consists of.
    #[serde(flatten)]
    pub content: NewRelease,
}

/// What a release consists of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NewRelease {
    /// Versions of the tables.
    pub tables: BTreeMap<TableName, TableState>,
    /// Views, as the SQL they stand for.
    pub views: BTreeMap<TableName, String>,
    /// Models behind the tables and views.
    pub models: BTreeMap<TableName, ModelState>,
    /// Data tests that were run on it.
    pub checks: Vec<CheckOutcome>,
    /// Table functions, by name.
    #[serde(default)]
    pub functions: BTreeMap<String, TableFunction>,
    /// Hash of the catalog that describes the models.
    #[serde(default)]
    pub catalog: Option<String>,
}

/// A table function: a statement that stands for each of its calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFunction {
    /// What it gives.
    pub description: String,
    /// Number of its parameters, `$1` and so on in the statement.
    pub parameters: usize,
    /// The statement.
    pub sql: String,
}

/// A table within a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableState {
    /// Delta version.
    pub version: u64,
}

/// A model within a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelState {
    /// Hash of the model's definition and of the versions of its inputs.
    pub fingerprint: String,
    /// Hash of the model's definition alone; empty in releases of older programs.
    #[serde(default)]
    pub definition: String,
    /// Versions of the tables that its rows were computed from.
    #[serde(default)]
    pub inputs: BTreeMap<TableName, u64>,
}

/// Outcome of a data test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOutcome {
    /// Name of the test.
    pub name: String,
    /// Table it is about.
    pub table: Option<TableName>,
    /// Rows that break the rule; none in a published release.
    pub failing_rows: u64,
}

/// A release as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReleaseSummary {
    /// Its name.
    pub release_id: String,
    /// When it was published.
    pub published_at: DateTime<Utc>,
    /// Up to which instant its data is complete.
    pub data_time: Option<DateTime<Utc>>,
    /// Run that published it.
    pub run_id: String,
    /// Number of tables.
    pub tables: usize,
    /// Number of data tests passed.
    pub checks_passed: usize,
}

impl From<&Release> for ReleaseSummary {
    fn from(release: &Release) -> Self {
        let passed = release
            .content
            .checks
            .iter()
            .filter(|check| check.failing_rows == 0);
        Self {
            release_id: release.release_id.clone(),
            published_at: release.published_at,
            data_time: release.data_time,
            run_id: release.run_id.clone(),
            tables: release.content.tables.len(),
            checks_passed: passed.count(),
        }
    }
}

/// Handle of the releases.
#[derive(Debug, Clone)]
pub struct Releases {
    store: Store,
    events: Events,
}

impl Releases {
    pub(crate) fn new(store: Store, events: Events) -> Self {
        Self { store, events }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Publishes a release after the newest one.
    pub async fn publish(
        &self,
        content: NewRelease,
        run_id: &str,
        data_time: Option<DateTime<Utc>>,
    ) -> Result<Release> {
        let number = self.numbers().await?.last().map_or(1, |last| last + 1);
        let release = Release {
            release_id: format!("r{number}"),
            number,
            published_at: Utc::now(),
            data_time,
            run_id: run_id.to_string(),
            content,
        };
        let path = self.path(number);
        let bytes = serde_json::to_vec_pretty(&release).map_err(|error| Error::ReleaseFile {
            file: path.to_string(),
            reason: error.to_string(),
        })?;
        fault::point("release.before_publish")?;
        if !self.store.create(&path, bytes).await? {
            return Err(Error::ReleaseTaken(release.release_id));
        }
        fault::point("release.published")?;
        tracing::info!(
            release_id = release.release_id,
            run_id = release.run_id,
            "release published"
        );
        let told = json!({
            "release_id": release.release_id, "number": number, "published_at": release.published_at,
            "data_time": release.data_time, "run_id": release.run_id,
        });
        self.events.publish(RELEASE_PUBLISHED, told);
        Ok(release)
    }

    /// Publishes the content of an older release again, as the newest one.
    pub async fn roll_back(&self, name: &str, run_id: &str) -> Result<Release> {
        let older = self.find(name).await?;
        self.publish(older.content, run_id, older.data_time).await
    }

    /// The current release; `None` before the first.
    pub async fn latest(&self) -> Result<Option<Release>> {
        match self.numbers().await?.last() {
            Some(number) => self.load(*number).await.map(Some),
            None => Ok(None),
        }
    }

    /// A release by its name, or the one that was current at an instant (RFC 3339 or a day).
    pub async fn find(&self, name: &str) -> Result<Release> {
        let numbers = self.numbers().await?;
        let unknown = || Error::UnknownRelease(name.to_string());
        let last = numbers.last().copied().unwrap_or_default();
        if let Some(number) = name
            .strip_prefix('r')
            .and_then(|digits| digits.parse().ok())
        {
            return match numbers.binary_search(&number) {
                Ok(_) => self.load(number).await,
                Err(at) if number > 0 && number < last => Err(removed(name, &numbers, at)),
                Err(_) => Err(unknown()),
            };
        }
        let instant = instant(name).ok_or_else(unknown)?;
        let mut gaps: Option<BTreeMap<u64, DateTime<Utc>>> = None;
        let mut at = numbers.len();
        loop {
            // Between this release and the next kept one there may have been others.
            let before = at.checked_sub(1).map_or(0, |at| numbers[at]);
            if before < last && !numbers.contains(&(before + 1)) {
                if gaps.is_none() {
                    gaps = Some(self.record().await?.gaps);
                }
                let first = gaps.as_ref().and_then(|gaps| gaps.get(&(before + 1)));
                if first.is_some_and(|first| *first <= instant) {
                    return Err(removed(name, &numbers, at));
                }
            }
            if before == 0 {
                return Err(unknown());
            }
            let release = self.load(before).await?;
            if release.published_at <= instant {
                return Ok(release);
            }
            at -= 1;
        }
    }

    /// All releases, the newest first.
    pub async fn list(&self) -> Result<Vec<Release>> {
        let mut releases = Vec::new();
        for number in self.numbers().await?.into_iter().rev() {
            // One may be removed by retention meanwhile.
            releases.extend(self.load_if_there(number).await?);
        }
        Ok(releases)
    }

    /// Number of the current release.
    pub(crate) async fn newest(&self) -> Result<Option<u64>> {
        Ok(self.numbers().await?.last().copied())
    }

    pub(crate) async fn numbers(&self) -> Result<Vec<u64>> {
        let files = self.store.list(&self.store.releases_dir()).await?;
        let mut numbers: Vec<u64> = files
            .iter()
            .filter_map(|(path, _)| path.filename()?.strip_suffix(".json")?.parse().ok())
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    async fn load(&self, number: u64) -> Result<Release> {
        let found = self.load_if_there(number).await?;
        found.ok_or_else(|| Error::UnknownRelease(format!("r{number}")))
    }

    async fn load_if_there(&self, number: u64) -> Result<Option<Release>> {
        let path = self.path(number);
        let Some(bytes) = self.store.read_if_there(&path).await? else {
            return Ok(None);
        };
        let release = serde_json::from_slice(&bytes);
        release.map(Some).map_err(|error| Error::ReleaseFile {
            file: path.to_string(),
            reason: error.to_string(),
        })
    }

    pub(crate) fn path(&self, number: u64) -> object_store::path::Path {
        self.store.releases_dir().join(format!("{number:012}.json"))
    }
}

/// The error for a release that retention has removed; `at` is its place among the kept ones.
fn removed(name: &str, numbers: &[u64], at: usize) -> Error {
    let older = at
        .checked_sub(1)
        .map(|older| format!("r{}", numbers[older]));
    let newer = numbers.get(at).map(|newer| format!("r{newer}"));
    let beside: Vec<String> = older.into_iter().chain(newer).collect();
    Error::ReleaseRemoved {
        name: name.to_string(),
        kept: format!(
            "{} releases, beside it {}",
            numbers.len(),
            beside.join(" and ")
        ),
    }
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.to_utc());
    }
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(day.succ_opt()?.and_hms_opt(0, 0, 0)?.and_utc())
}
