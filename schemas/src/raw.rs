//! The envelope in which a record of a source is kept exactly as received.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A record of a source exactly as received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawRecord {
    /// Name of the configured connection.
    pub connection: String,
    /// Kind of record, such as `issues` or `changelogs`.
    pub stream: String,
    /// Identity of the record within its stream.
    pub key: String,
    /// When it was received, by the clock of this machine.
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub fetched_at: DateTime<Utc>,
    /// Run that read it.
    pub run_id: String,
    /// Last change by the source's clock, where the record says it.
    #[serde(with = "chrono::serde::ts_microseconds_option")]
    pub source_updated: Option<DateTime<Utc>>,
    /// The record, JSON text as received.
    pub payload: String,
}

/// The Avro schema of [`RawRecord`], JSON text.
pub fn raw_schema() -> &'static str {
    include_str!("../avro/raw/record.avsc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_avro() {
        let schema = apache_avro::Schema::parse_str(raw_schema()).unwrap();
        let record = RawRecord {
            connection: "acme".into(),
            stream: "issues".into(),
            key: "10001".into(),
            fetched_at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
            run_id: "r1".into(),
            source_updated: None,
            payload: r#"{"id":"10001","é":"\u00e9"}"#.into(),
        };
        let mut writer = apache_avro::Writer::new(&schema, Vec::new()).unwrap();
        writer.append_ser(&record).unwrap();
        let bytes = writer.into_inner().unwrap();
        let reader = apache_avro::Reader::new(&bytes[..]).unwrap();
        let back: Vec<RawRecord> = reader
            .map(|value| apache_avro::from_value(&value.unwrap()).unwrap())
            .collect();
        assert_eq!(back, vec![record]);
    }
}
