//! A copy of all there is: the metadata and every file of the lake, with a manifest.
//!
//! Files of the lake are written once. So it is enough that the metadata and the *list* of files belong
//! together; the files can be copied in peace afterwards, as long as nobody deletes any, which only
//! maintenance does. Both are taken while nobody writes tables. Where a writer does not end in time they are
//! taken all the same, in the order that errs on the safe side: metadata first, so that nothing is marked
//! as worked off whose rows are not in the copy.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::{BoxFuture, try_join_all};
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{LEASE, Progress, connection_lease};
use crate::store::{Store, StoreOptions};
use crate::{Error, Lease, Result, Warehouse, fault};

/// Format of the manifest.
pub(super) const FORMAT: u32 = 1;
/// Name of the manifest.
pub(super) const MANIFEST: &str = "manifest.json";
/// Name of the copy of the metadata.
pub(super) const METADATA: &str = "metadata.db";
/// Folder of the copies of the lake's files.
pub(super) const LAKE: &str = "lake";
/// Files that are copied at once.
const AT_ONCE: usize = 8;

/// What a backup consists of. It is written last: a backup without one was not finished.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    /// When its content was current.
    pub(super) taken_at: DateTime<Utc>,
    /// Version of the program that wrote it.
    pub(super) program: String,
    /// The newest release in it.
    pub(super) release: Option<String>,
    pub(super) metadata: Entry,
    /// The files of the lake, in the order in which they name each other: a file stands before those it
    /// needs.
    pub(super) files: Vec<Entry>,
}

/// A file of a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Path within the backup's folder for the metadata, within the lake for others.
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// What a backup holds.
#[derive(Debug, Clone, Serialize)]
pub struct BackupReport {
    /// Where it is.
    pub destination: String,
    /// When its content was current.
    pub taken_at: DateTime<Utc>,
    /// The newest release in it.
    pub release: Option<String>,
    /// Files of the lake.
    pub files: usize,
    /// Their bytes and those of the metadata.
    pub bytes: u64,
    /// What is worth knowing about it.
    pub notes: Vec<String>,
}

/// Copies metadata and lake into an empty place, `file:PATH` or `s3://BUCKET/PREFIX`. Waits so long for
/// those who write tables.
pub fn backup<'a>(
    warehouse: &'a Warehouse,
    destination: &'a str,
    options: &'a StoreOptions,
    wait: Duration,
    progress: &'a dyn Progress,
) -> BoxFuture<'a, Result<BackupReport>> {
    Box::pin(async move {
        let place = Store::open(destination, options).await?;
        let refuse = |reason: &str| Error::Backup {
            place: destination.to_string(),
            reason: reason.to_string(),
        };
        if !place.list(place.lake_root()).await?.is_empty() {
            return Err(refuse(
                "there are files already, and a backup never overwrites any; name an empty or new place",
            ));
        }
        let lease = warehouse.meta().lease(LEASE, "backup", wait).await?;
        let copy = copy(warehouse, &place, destination, wait, progress);
        let outcome = lease.hold(copy).await;
        let released = lease.release().await;
        let report = outcome?;
        released?;
        Ok(report)
    })
}

fn copy<'a>(
    warehouse: &'a Warehouse,
    place: &'a Store,
    destination: &'a str,
    wait: Duration,
    progress: &'a dyn Progress,
) -> BoxFuture<'a, Result<BackupReport>> {
    Box::pin(copy_all(warehouse, place, destination, wait, progress))
}

async fn copy_all(
    warehouse: &Warehouse,
    place: &Store,
    destination: &str,
    wait: Duration,
    progress: &dyn Progress,
) -> Result<BackupReport> {
    let mut notes = Vec::new();
    let leases = match quiet(warehouse, wait).await {
        Ok(leases) => leases,
        Err(error @ Error::Held { .. }) => {
            notes.push(format!(
                "taken while tables were written: {error}. Records that were quarantined in that time \
                 may be missing from system.quarantine; they are in the raw zone, and `sync --replay` \
                 finds them again"
            ));
            Vec::new()
        }
        Err(error) => return Err(error),
    };
    let taken_at = Utc::now();
    let metadata = metadata(warehouse).await?;
    let lake = warehouse.releases().store();
    let listed = list(warehouse).await?;
    for lease in leases {
        lease.release().await?;
    }
    progress.done(&format!(
        "metadata copied, {} files of the lake listed",
        listed.len()
    ));
    let at = |name: &str| place.lake_root().clone().join(name);
    let entry = Entry {
        path: METADATA.to_string(),
        bytes: metadata.len() as u64,
        sha256: sha256(&metadata),
    };
    place.overwrite(&at(METADATA), metadata).await?;
    let of = listed.len();
    let mut files = Vec::with_capacity(of);
    for some in listed.chunks(AT_ONCE) {
        if let Some(first) = some.first() {
            progress.at(first, files.len() + 1, of);
        }
        let some = some.iter().map(|path| one(lake, place, path));
        files.extend(try_join_all(some).await?);
    }
    let bytes = files.iter().map(|file| file.bytes).sum::<u64>() + entry.bytes;
    let release = newest_release(&files);
    let manifest = Manifest {
        format: FORMAT,
        taken_at,
        program: env!("CARGO_PKG_VERSION").to_string(),
        release: release.clone(),
        metadata: entry,
        files,
    };
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| Error::Backup {
        place: destination.to_string(),
        reason: error.to_string(),
    })?;
    fault::point("backup.before_manifest")?;
    place.overwrite(&at(MANIFEST), text).await?;
    progress.done(&format!("{of} files, {} KiB copied", bytes >> 10));
    Ok(BackupReport {
        destination: destination.to_string(),
        taken_at,
        release,
        files: of,
        bytes,
        notes,
    })
}

/// Copies a file of the lake.
async fn one(lake: &Store, place: &Store, path: &str) -> Result<Entry> {
    let bytes = lake.read(&join(lake.lake_root(), path)).await?;
    let entry = Entry {
        path: path.to_string(),
        bytes: bytes.len() as u64,
        sha256: sha256(&bytes),
    };
    let target = join(&place.lake_root().clone().join(LAKE), path);
    place.overwrite(&target, bytes).await?;
    Ok(entry)
}

/// Leases on the tables of all connections: nobody writes any.
async fn quiet(warehouse: &Warehouse, wait: Duration) -> Result<Vec<Lease>> {
    let meta = warehouse.meta();
    let mut leases = Vec::new();
    for source in meta.sources().await? {
        let name = connection_lease(&source.connection);
        leases.push(meta.lease(&name, "backup", wait).await?);
    }
    Ok(leases)
}

async fn metadata(warehouse: &Warehouse) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::Backup {
        place: "of the metadata".to_string(),
        reason: error.to_string(),
    };
    let folder = private_folder().map_err(failed)?;
    let file = folder.join(METADATA);
    let copied = warehouse.meta().snapshot_into(&file).await;
    let bytes = tokio::fs::read(&file).await.map_err(failed);
    let removed = std::fs::remove_dir_all(&folder).map_err(failed);
    copied?;
    removed?;
    bytes
}

/// A new temporary folder that other users of the machine can't read.
pub(super) fn private_folder() -> std::io::Result<std::path::PathBuf> {
    let path = std::env::temp_dir().join(format!("backup-{}", uuid::Uuid::now_v7()));
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&path)?;
    Ok(path)
}

/// The files of the lake as paths within it: those that name others before those that are named, so that what
/// is written meanwhile can be listed too much, never too little.
async fn list(warehouse: &Warehouse) -> Result<Vec<String>> {
    let lake = warehouse.releases().store();
    let mut found = Vec::new();
    let mut take = |files: Vec<(Path, u64)>, is_wanted: fn(&str) -> bool| {
        for (path, _) in files {
            let Some(parts) = path.prefix_match(lake.lake_root()) else {
                continue;
            };
            let parts: Vec<_> = parts.map(|part| part.as_ref().to_string()).collect();
            if is_wanted(parts.last().map(String::as_str).unwrap_or_default()) {
                found.push(parts.join("/"));
            }
        }
    };
    take(lake.list(&lake.releases_dir()).await?, |_| true);
    let tables = warehouse.tables().names().await?;
    for table in &tables {
        // The hint at the newest checkpoint may be newer than this list, and is not needed.
        let is_log = |name: &str| name != "_last_checkpoint" && !name.ends_with(".tmp");
        take(lake.list(&lake.log_dir(table)).await?, is_log);
    }
    for table in &tables {
        let folder = lake.table_dir(table);
        let mut files = lake.list(&folder).await?;
        let log = lake.log_dir(table);
        files.retain(|(path, _)| !path.prefix_matches(&log));
        take(files, |_| true);
    }
    take(lake.list(&lake.raw_root()).await?, |_| true);
    Ok(found)
}

fn newest_release(files: &[Entry]) -> Option<String> {
    let numbers = files.iter().filter_map(|file| {
        let name = file.path.strip_prefix("releases/")?;
        name.strip_suffix(".json")?.parse::<u64>().ok()
    });
    numbers.max().map(|number| format!("r{number}"))
}

/// A path below a folder.
pub(super) fn join(folder: &Path, path: &str) -> Path {
    let parts = path.split('/');
    parts.fold(folder.clone(), |folder, part| folder.join(part))
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
