//! Putting a backup back, into an empty place only.

use chrono::{DateTime, Utc};
use futures::future::{BoxFuture, try_join_all};
use object_store::path::Path;
use serde::Serialize;

use super::Progress;
use super::backup::{
    Entry, FORMAT, LAKE, MANIFEST, METADATA, Manifest, join, private_folder, sha256,
};
use crate::meta::{MetaDb, SnapshotPlace};
use crate::store::Store;
use crate::{Config, Error, Result, fault};

/// Files that are read at once.
const AT_ONCE: usize = 8;

/// What was put back.
#[derive(Debug, Clone, Serialize)]
pub struct RestoreReport {
    /// Where the backup is.
    pub source: String,
    /// When its content was current.
    pub taken_at: DateTime<Utc>,
    /// The newest release in it.
    pub release: Option<String>,
    /// Files of the lake.
    pub files: usize,
    /// Their bytes and those of the metadata.
    pub bytes: u64,
}

/// Puts a backup back, to where a configuration names lake and metadata; both must be empty. Nothing is
/// written unless every file of the backup is there and has the content that it had.
pub fn restore<'a>(
    source: &'a str,
    config: &'a Config,
    progress: &'a dyn Progress,
) -> BoxFuture<'a, Result<RestoreReport>> {
    Box::pin(async move {
        let refuse = |reason: String| Error::Backup {
            place: source.to_string(),
            reason,
        };
        if let Some(path) = source.strip_prefix("file:")
            && !std::path::Path::new(path).is_dir()
        {
            return Err(refuse("there is no such folder".to_string()));
        }
        let options = &config.metadata_options;
        let place = MetaDb::place_for_snapshot(&config.metadata_url, options).await?;
        let from = Store::open(source, &config.store_options).await?;
        let at = |name: &str| from.lake_root().clone().join(name);
        let Some(text) = from.read_if_there(&at(MANIFEST)).await? else {
            return Err(refuse(format!(
                "there is no {MANIFEST}; this is no backup, or one that was not finished"
            )));
        };
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| refuse(format!("{MANIFEST} can't be read: {error}")))?;
        if manifest.format != FORMAT {
            let format = manifest.format;
            return Err(refuse(format!(
                "it has format {format}, and this version reads {FORMAT}; use the version that wrote it ({})",
                manifest.program
            )));
        }
        let lake = Store::open(&config.store_url, &config.store_options).await?;
        if !lake.list(lake.lake_root()).await?.is_empty() {
            return Err(Error::StoreUrl {
                url: config.store_url.clone(),
                reason: "there are files in the lake, perhaps of a restore that was stopped, and restoring \
                         never overwrites any; move them away, or let store.url name another place"
                    .to_string(),
            });
        }
        let metadata = checked(&from, &at(&manifest.metadata.path), &manifest.metadata).await;
        let metadata = metadata.map_err(refuse)?;
        let of = manifest.files.len();
        let copy = Copy {
            from: &from,
            folder: at(LAKE),
            lake: &lake,
        };
        // Once to see that all is well, once to copy: what names others last.
        let files: Vec<&Entry> = manifest.files.iter().rev().collect();
        for is_copy in [false, true] {
            let (verb, done) = match is_copy {
                false => ("verifying", "verified"),
                true => ("copying", "copied"),
            };
            for (number, some) in files.chunks(AT_ONCE).enumerate() {
                if let Some(first) = some.first() {
                    let part = format!("{verb} {}", first.path);
                    progress.at(&part, number * AT_ONCE + 1, of);
                }
                let some = some.iter().map(|entry| copy.one(entry, is_copy));
                try_join_all(some).await.map_err(refuse)?;
                if is_copy {
                    fault::point("restore.copied")?;
                }
            }
            progress.done(&format!("{of} files {done}"));
        }
        match place {
            SnapshotPlace::File(path) => {
                let failed = |error| refuse(format!("{}: {error}", path.display()));
                put(&path, &metadata).map_err(failed)?;
            }
            SnapshotPlace::Database(database) => {
                let failed = |error: std::io::Error| refuse(format!("a temporary folder: {error}"));
                let folder = private_folder().map_err(failed)?;
                let file = folder.join(METADATA);
                let written = std::fs::write(&file, &metadata).map_err(failed);
                let restored = match written {
                    Ok(()) => database.restore_snapshot(&file).await,
                    Err(error) => Err(error),
                };
                let removed = std::fs::remove_dir_all(&folder).map_err(failed);
                restored?;
                removed?;
            }
        }
        let bytes = manifest.files.iter().map(|file| file.bytes).sum::<u64>();
        Ok(RestoreReport {
            source: source.to_string(),
            taken_at: manifest.taken_at,
            release: manifest.release,
            files: of,
            bytes: bytes + manifest.metadata.bytes,
        })
    })
}

/// From where to where.
struct Copy<'a> {
    from: &'a Store,
    folder: Path,
    lake: &'a Store,
}

impl Copy<'_> {
    /// Looks at a file, and copies it if it shall.
    async fn one(&self, entry: &Entry, is_copy: bool) -> Result<(), String> {
        let path = relative(&entry.path)?;
        let bytes = checked(self.from, &join(&self.folder, &path), entry).await?;
        if is_copy {
            let target = join(self.lake.lake_root(), &path);
            let written = self.lake.overwrite(&target, bytes).await;
            written.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// The content of a file of the backup, when it is what it was.
async fn checked(from: &Store, path: &Path, entry: &Entry) -> Result<bytes::Bytes, String> {
    let read = from.read_if_there(path).await;
    let bytes = read.map_err(|error| error.to_string())?;
    let bytes = bytes.ok_or_else(|| format!("the file {} is missing", entry.path))?;
    if bytes.len() as u64 != entry.bytes || sha256(&bytes) != entry.sha256 {
        return Err(format!(
            "the file {} is not what it was when the backup was taken; use another backup",
            entry.path
        ));
    }
    Ok(bytes)
}

/// A path that stays within the lake.
fn relative(path: &str) -> Result<String, String> {
    match Path::parse(path) {
        Ok(parsed) if parsed.as_ref() == path => Ok(path.to_string()),
        _ => Err(format!("{path:?} is no path within a lake")),
    }
}

/// Writes the metadata, whole or not at all.
fn put(place: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = place.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let beside = place.with_extension("restoring");
    std::fs::write(&beside, bytes)?;
    std::fs::rename(&beside, place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_lake() {
        assert_eq!(relative("raw/a/b.avro").unwrap(), "raw/a/b.avro");
        for bad in ["../x", "a/../../x", "/etc/passwd", "", "a//b"] {
            let relative = relative(bad);
            assert!(relative.is_err() || bad.is_empty(), "{bad}");
        }
    }
}
