//! The raw zone: append-only Avro files with the records of the sources exactly as received.
//!
//! A file holds records of one (connection, stream) and is named so that names sort in landing
//! order. A file that a killed run left behind is complete or absent, never half-written; records
//! that were landed twice are harmless, since tables are built by key.

mod table;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use apache_avro::{Codec, Schema, Writer, ZstandardSettings};
use object_store::path::Path;
use schemas::RawRecord;

use crate::store::Store;
use crate::{Error, Result};

pub(crate) use table::RawTable;

static SCHEMA: LazyLock<Result<Schema, String>> =
    LazyLock::new(|| Schema::parse_str(schemas::raw_schema()).map_err(|error| error.to_string()));

/// Names of files landed within one millisecond still sort in landing order.
static SEQUENCE: AtomicU64 = AtomicU64::new(0);

/// Handle of the raw zone.
#[derive(Debug, Clone)]
pub struct RawZone {
    store: Store,
}

/// One file of the raw zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RawFile {
    pub(crate) path: Path,
    /// Size in bytes.
    pub bytes: u64,
    /// Connection whose records it holds.
    pub connection: String,
    /// Stream whose records it holds.
    pub stream: String,
}

impl RawZone {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Lands records of one connection and stream as one new file.
    pub async fn land(&self, records: &[RawRecord]) -> Result<()> {
        let Some(first) = records.first() else {
            return Ok(());
        };
        let now = chrono::Utc::now().format("%Y%m%dT%H%M%S%3f");
        loop {
            let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
            let name = format!("{now}-{sequence:06}-{}.avro", first.run_id);
            let path = self
                .store
                .raw_dir(&first.connection, &first.stream)
                .join(name);
            let bytes = encode(records).map_err(|source| Error::Raw {
                file: path.to_string(),
                source: Box::new(source),
            })?;
            if self.store.create(&path, bytes).await? {
                return Ok(());
            }
        }
    }

    /// Files of a stream, in landing order.
    pub async fn files(&self, connection: &str, stream: &str) -> Result<Vec<RawFile>> {
        self.below(&self.store.raw_dir(connection, stream)).await
    }

    /// All files, by connection, stream and landing order.
    pub(crate) async fn all_files(&self) -> Result<Vec<RawFile>> {
        self.below(&self.store.raw_root()).await
    }

    async fn below(&self, folder: &Path) -> Result<Vec<RawFile>> {
        let files = self.store.list(folder).await?;
        Ok(files
            .into_iter()
            .filter_map(|(path, bytes)| raw_file(path, bytes))
            .collect())
    }

    /// Records of a file, in the order they were landed.
    pub async fn read(&self, file: &RawFile) -> Result<Vec<RawRecord>> {
        let bytes = self.store.read(&file.path).await?;
        decode(&bytes).map_err(|source| Error::Raw {
            file: file.path.to_string(),
            source: Box::new(source),
        })
    }
}

fn raw_file(path: Path, bytes: u64) -> Option<RawFile> {
    let parts: Vec<_> = path.parts().collect();
    let [.., connection, stream, name] = parts.as_slice() else {
        return None;
    };
    if !name.as_ref().ends_with(".avro") {
        return None;
    }
    let (connection, stream) = (connection.as_ref().to_string(), stream.as_ref().to_string());
    Some(RawFile {
        path,
        bytes,
        connection,
        stream,
    })
}

fn encode(records: &[RawRecord]) -> Result<Vec<u8>, apache_avro::Error> {
    let schema = schema()?;
    let codec = Codec::Zstandard(ZstandardSettings::default());
    let mut writer = Writer::with_codec(schema, Vec::new(), codec)?;
    for record in records {
        writer.append_ser(record)?;
    }
    writer.into_inner()
}

fn decode(bytes: &[u8]) -> Result<Vec<RawRecord>, apache_avro::Error> {
    // A file of an older version lacks fields that have come since; their defaults stand for them.
    apache_avro::Reader::builder(bytes)
        .reader_schema(schema()?)
        .build()?
        .map(|value| apache_avro::from_value(&value?))
        .collect()
}

fn schema() -> Result<&'static Schema, apache_avro::Error> {
    use serde::de::Error as _;
    SCHEMA.as_ref().map_err(|reason| {
        // The embedded schema parses in a test of `schemas`; this path exists for the type's sake.
        let cause = serde_json::Error::custom(reason);
        apache_avro::Error::new(apache_avro::error::Details::ParseSchemaJson(cause))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_file_of_an_older_version_is_read() {
        let record = RawRecord {
            connection: "acme".into(),
            stream: "issues".into(),
            key: "1".into(),
            fetched_at: chrono::DateTime::from_timestamp(1_772_366_400, 0).unwrap(),
            run_id: "r".into(),
            source_updated: None,
            payload: "{}".into(),
        };
        // As if `source_updated` had come later.
        let mut older: Value = serde_json::from_str(schemas::raw_schema()).unwrap();
        let fields = older["fields"].as_array_mut().unwrap();
        fields.retain(|field| field["name"] != "source_updated");
        let schema = Schema::parse_str(&older.to_string()).unwrap();
        let mut written = apache_avro::types::Record::new(&schema).unwrap();
        let texts = ["connection", "stream", "key", "run_id", "payload"];
        for (name, text) in texts.into_iter().zip(["acme", "issues", "1", "r", "{}"]) {
            written.put(name, text);
        }
        let at = apache_avro::types::Value::TimestampMicros(record.fetched_at.timestamp_micros());
        written.put("fetched_at", at);
        let mut writer = Writer::new(&schema, Vec::new()).unwrap();
        writer.append_value(written).unwrap();
        let bytes = writer.into_inner().unwrap();
        assert_eq!(decode(&bytes).unwrap(), vec![record.clone()]);
        let present = encode(std::slice::from_ref(&record)).unwrap();
        assert_eq!(decode(&present).unwrap(), vec![record]);
    }
}
