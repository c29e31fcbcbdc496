//! Landing: records as received go to the raw zone before any table sees them; what no table takes
//! goes to quarantine.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use schemas::RawRecord;
use sha2::{Digest, Sha256};
use warehouse::Warehouse;
use warehouse::meta::Quarantined;

use crate::{Error, Result};

/// Raised when the mapping of any source's records changes: stored issues are mapped anew, and records
/// that an older version refused are mapped once more.
pub(crate) const MAPPING_VERSION: i64 = 1;

/// Payload of a record that the source named but didn't hand out.
const WITHHELD: &str = "null";

/// Key of the one record that stands for an empty listing.
const EMPTY: &str = "";

/// A record as received, not landed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    /// Identity within its stream.
    pub(crate) key: String,
    /// Last change by the source's clock, where the record says it.
    pub(crate) source_updated: Option<DateTime<Utc>>,
    /// The record.
    pub(crate) payload: String,
}

impl Received {
    pub(crate) fn new(key: impl Into<String>, payload: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            source_updated: None,
            payload: payload.into(),
        }
    }

    /// A key for a record that has none: the same record gets the same one.
    pub(crate) fn fallback_key(payload: &str) -> String {
        let digest = Sha256::digest(payload.as_bytes());
        let start: String = digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("?{start}")
    }
}

/// A full listing as it was landed.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    pub(crate) records: Vec<Received>,
    /// When it was received first.
    pub(crate) received_at: DateTime<Utc>,
}

impl Listing {
    /// Whether it shows just these records.
    pub(crate) fn shows(&self, records: &[Received]) -> bool {
        sorted(&self.records) == sorted(records)
    }
}

/// Lands the records of one connection and run.
pub(crate) struct Landing<'a> {
    warehouse: &'a Warehouse,
    connection: String,
    run_id: String,
    /// Whether records come from the source. In a replay they come from the raw zone.
    live: bool,
    quarantined: HashSet<(String, String)>,
    /// Those of them that the source named but didn't hand out.
    withheld: BTreeSet<(String, String)>,
    /// Those of them that an older mapping refused, by stream.
    older: Vec<(String, Received)>,
}

impl<'a> Landing<'a> {
    pub(crate) async fn open(
        warehouse: &'a Warehouse,
        connection: &str,
        run_id: &str,
        live: bool,
    ) -> Result<Self> {
        let meta = warehouse.meta();
        let known = meta.quarantined_keys(connection, WITHHELD).await?;
        let mut landing = Self {
            warehouse,
            connection: connection.to_string(),
            run_id: run_id.to_string(),
            live,
            quarantined: HashSet::new(),
            withheld: BTreeSet::new(),
            older: Vec::new(),
        };
        for (stream, key, is_withheld) in known {
            landing.remember((stream, key), is_withheld);
        }
        for (stream, key, payload) in meta.refused_before(connection, MAPPING_VERSION).await? {
            if payload != WITHHELD {
                landing.older.push((stream, Received::new(key, payload)));
            }
        }
        Ok(landing)
    }

    /// Lands records of a stream that grows.
    pub(crate) async fn land(&self, stream: &str, records: &[Received]) -> Result<DateTime<Utc>> {
        self.land_at(stream, records, Utc::now()).await
    }

    async fn land_at(
        &self,
        stream: &str,
        records: &[Received],
        at: DateTime<Utc>,
    ) -> Result<DateTime<Utc>> {
        let fetched_at = at.trunc_subsecs(6);
        if !self.live {
            return Ok(fetched_at);
        }
        let records: Vec<_> = records
            .iter()
            .map(|record| RawRecord {
                connection: self.connection.clone(),
                stream: stream.to_string(),
                key: record.key.clone(),
                fetched_at,
                run_id: self.run_id.clone(),
                source_updated: record.source_updated,
                payload: record.payload.clone(),
            })
            .collect();
        self.warehouse.raw().land(&records).await?;
        Ok(fetched_at)
    }

    /// The full listing of a stream that was landed last.
    pub(crate) async fn last_listing(&self, stream: &str) -> Result<Option<Listing>> {
        let files = self.warehouse.raw().files(&self.connection, stream).await?;
        let Some(last) = files.last() else {
            return Ok(None);
        };
        let landed = self.warehouse.raw().read(last).await?;
        let received_at = landed.first().map(|record| record.fetched_at);
        Ok(received_at.map(|received_at| Listing {
            records: listing(landed),
            received_at,
        }))
    }

    /// Lands a full listing that differs from the last one. Returns when it was received: after the
    /// last one, also when this machine's clock was put back.
    pub(crate) async fn land_listing(
        &self,
        stream: &str,
        records: &[Received],
        last: Option<DateTime<Utc>>,
    ) -> Result<DateTime<Utc>> {
        let after = last.map(|last| last + TimeDelta::microseconds(1));
        let at = after.map_or_else(Utc::now, |after| after.max(Utc::now()));
        match records {
            [] => {
                let marker = Received::new(EMPTY, "null");
                self.land_at(stream, &[marker], at).await
            }
            records => self.land_at(stream, records, at).await,
        }
    }

    /// Keeps a record that no table takes, or that was taken without a part of it.
    pub(crate) async fn quarantine(
        &mut self,
        stream: &str,
        record: &Received,
        error: &str,
    ) -> Result<()> {
        tracing::warn!(
            connection = self.connection,
            stream,
            key = record.key,
            error,
            "record is quarantined"
        );
        let quarantined = Quarantined {
            connection: self.connection.clone(),
            stream: stream.to_string(),
            key: record.key.clone(),
            run_id: self.run_id.clone(),
            error: error.to_string(),
            payload: record.payload.clone(),
            seen_at: Utc::now(),
            mapping_version: MAPPING_VERSION,
        };
        self.warehouse.meta().quarantine(&quarantined).await?;
        let is_withheld = quarantined.payload == WITHHELD;
        self.remember((quarantined.stream, quarantined.key), is_withheld);
        Ok(())
    }

    /// Keeps the name of a record that the source didn't hand out; the next run asks again.
    pub(crate) async fn withhold(&mut self, stream: &str, key: &str, error: &str) -> Result<()> {
        self.quarantine(stream, &Received::new(key, WITHHELD), error)
            .await
    }

    fn remember(&mut self, id: (String, String), is_withheld: bool) {
        if is_withheld {
            self.withheld.insert(id.clone());
        } else {
            self.withheld.remove(&id);
        }
        self.quarantined.insert(id);
    }

    /// Takes a record out of quarantine that was read well.
    pub(crate) async fn release(&mut self, stream: &str, key: &str) -> Result<()> {
        if self.quarantined.is_empty()
            || !self
                .quarantined
                .remove(&(stream.to_string(), key.to_string()))
        {
            return Ok(());
        }
        self.withheld.remove(&(stream.to_string(), key.to_string()));
        let meta = self.warehouse.meta();
        Ok(meta
            .release_from_quarantine(&self.connection, stream, key)
            .await?)
    }

    /// Takes records out of quarantine that the source did not hand out and now says nothing of.
    pub(crate) async fn release_gone(&mut self, stream: &str, gone: &[i64]) -> Result<()> {
        for key in self.withheld(stream) {
            if key.parse().is_ok_and(|id| gone.contains(&id)) {
                self.release(stream, &key).await?;
            }
        }
        Ok(())
    }

    /// Takes the records of some streams that an older mapping refused.
    pub(crate) fn take_older(&mut self, stream: &str) -> Vec<Received> {
        let (taken, left) = std::mem::take(&mut self.older)
            .into_iter()
            .partition(|(of, _)| of == stream);
        self.older = left;
        let taken: Vec<(String, Received)> = taken;
        taken.into_iter().map(|(_, record)| record).collect()
    }

    /// Whether a record is in quarantine.
    pub(crate) fn is_quarantined(&self, stream: &str, key: &str) -> bool {
        !self.quarantined.is_empty()
            && self
                .quarantined
                .contains(&(stream.to_string(), key.to_string()))
    }

    /// Takes out of quarantine what a parent showed at a position from which on it shows nothing now.
    pub(crate) async fn release_beyond(
        &mut self,
        stream: &str,
        parent: &str,
        shown: usize,
    ) -> Result<()> {
        let is_beyond = |key: &str| {
            let own = key
                .strip_prefix(parent)
                .and_then(|key| key.strip_prefix('/'));
            own.and_then(|own| own.parse::<usize>().ok())
                .is_some_and(|own| own >= shown)
        };
        let quarantined = self.quarantined.iter();
        let gone: Vec<String> = quarantined
            .filter(|(of, key)| of == stream && is_beyond(key))
            .map(|(_, key)| key.clone())
            .collect();
        for key in gone {
            self.release(stream, &key).await?;
        }
        Ok(())
    }

    /// Keys of a stream that the source named but didn't hand out.
    pub(crate) fn withheld(&self, stream: &str) -> Vec<String> {
        let of_stream = self.withheld.iter().filter(|(of, _)| of == stream);
        of_stream.map(|(_, key)| key.clone()).collect()
    }
}

/// The records of a landed listing.
pub(crate) fn listing(landed: Vec<RawRecord>) -> Vec<Received> {
    let records = landed
        .into_iter()
        .map(|record| Received::new(record.key, record.payload));
    listing_of(records.collect())
}

/// A listing without the marker of an empty one.
pub(crate) fn listing_of(mut records: Vec<Received>) -> Vec<Received> {
    records.retain(|record| record.key != EMPTY);
    records
}

fn sorted(records: &[Received]) -> Vec<(&str, &str)> {
    let mut pairs: Vec<_> = records
        .iter()
        .map(|record| (record.key.as_str(), record.payload.as_str()))
        .collect();
    pairs.sort_unstable();
    pairs
}

/// The parent and the own part of a key such as `10001/55`.
pub(crate) fn split_key(stream: &str, key: &str) -> Result<(i64, i64)> {
    let parts = key.split_once('/');
    let ids = parts.and_then(|(parent, own)| Some((parent.parse().ok()?, own.parse().ok()?)));
    ids.ok_or_else(|| Error::RawRecord {
        stream: stream.to_string(),
        key: key.to_string(),
        reason: "its key is not of the form parent/own".to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        assert_eq!(split_key("changelogs", "10001/55").unwrap(), (10001, 55));
        assert!(split_key("changelogs", "10001").is_err());
        assert_eq!(Received::fallback_key("{}"), Received::fallback_key("{}"));
        assert!(Received::fallback_key("{}").starts_with('?'));
    }

    #[test]
    fn an_empty_listing_is_one_marker() {
        let marker = RawRecord {
            connection: "acme".into(),
            stream: "boards".into(),
            key: EMPTY.into(),
            fetched_at: Utc::now(),
            run_id: "r".into(),
            source_updated: None,
            payload: "null".into(),
        };
        assert_eq!(listing(vec![marker]), Vec::new());
    }
}
