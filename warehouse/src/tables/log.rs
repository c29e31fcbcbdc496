//! The log of a table, read as the files that it is: which versions can be opened, what a commit did,
//! which files stand behind versions.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use object_store::ObjectMeta;
use object_store::path::Path;
use schemas::TableName;
use serde_json::Value;

use super::files::files;
use super::{Tables, as_u64};
use crate::{Error, Result};

/// Commits that are read at once.
const AT_ONCE: usize = 8;
/// Two versions further apart are opened each by itself; between nearer ones the commits are read.
pub(super) const NEAR: u64 = 100;

/// The files of a log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Commits by version.
    pub(crate) commits: BTreeMap<u64, ObjectMeta>,
    /// Checkpoints by version.
    pub(crate) checkpoints: BTreeMap<u64, Vec<ObjectMeta>>,
    /// Leftovers of commits that never came to be.
    pub(crate) leftovers: Vec<ObjectMeta>,
}

/// What a commit did to the files.
#[derive(Debug, Default)]
pub(super) struct LogCommit {
    /// Files that came, with their sizes.
    pub(super) added: Vec<(String, u64)>,
    /// Files that went.
    pub(super) removed: Vec<String>,
    /// Whether it only moved rows from file to file.
    pub(super) rearranges: bool,
}

impl Log {
    /// The newest version.
    pub(crate) fn newest(&self) -> Option<u64> {
        let checkpoint = self.checkpoints.keys().next_back();
        self.commits.keys().next_back().max(checkpoint).copied()
    }

    /// The checkpoint from which a version is opened; `None` when it is the first commit.
    pub(crate) fn start_of(&self, version: u64) -> Option<u64> {
        self.checkpoints
            .range(..=version)
            .next_back()
            .map(|(at, _)| *at)
    }
}

impl Tables {
    /// The files of a table's log.
    pub(crate) async fn log(&self, table: &TableName) -> Result<Log> {
        let mut log = Log::default();
        for meta in self.store.files(&self.store.log_dir(table)).await? {
            let Some(name) = meta.location.filename() else {
                continue;
            };
            let (version, rest) = name.split_once('.').unwrap_or((name, ""));
            match (version.len(), version.parse(), rest) {
                (20, Ok(version), "json") => {
                    log.commits.insert(version, meta);
                }
                (20, Ok(version), rest) if rest.starts_with("checkpoint") => {
                    log.checkpoints.entry(version).or_default().push(meta);
                }
                _ if name.ends_with(".tmp") => log.leftovers.push(meta),
                _ => {}
            }
        }
        Ok(log)
    }

    /// What a commit did; `None` when it is no longer in the log.
    pub(super) async fn log_commit(
        &self,
        table: &TableName,
        version: u64,
    ) -> Result<Option<LogCommit>> {
        let path = self
            .store
            .log_dir(table)
            .join(format!("{version:020}.json"));
        let Some(bytes) = self.store.read_if_there(&path).await? else {
            return Ok(None);
        };
        let unreadable = |reason: String| Error::Engine(format!("{path}: {reason}"));
        let text = std::str::from_utf8(&bytes).map_err(|error| unreadable(error.to_string()))?;
        let mut commit = LogCommit::default();
        let mut changes_data = false;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let action: Value =
                serde_json::from_str(line).map_err(|error| unreadable(error.to_string()))?;
            let (action, is_add) = match (action.get("add"), action.get("remove")) {
                (Some(add), _) => (add, true),
                (None, Some(remove)) => (remove, false),
                (None, None) => continue,
            };
            let path = action["path"].as_str();
            let path = path.and_then(|path| Path::from_url_path(path).ok());
            let path = path.ok_or_else(|| unreadable("a file without a path".to_string()))?;
            changes_data |= action["dataChange"].as_bool().unwrap_or(true);
            if is_add {
                let bytes = action["size"].as_u64().unwrap_or_default();
                commit.added.push((path.to_string(), bytes));
            } else {
                commit.removed.push(path.to_string());
            }
        }
        commit.rearranges = !changes_data && !commit.added.is_empty();
        Ok(Some(commit))
    }

    /// The commits after a version up to another, in order; `None` when one is no longer in the log.
    pub(super) async fn log_commits(
        &self,
        table: &TableName,
        after: u64,
        until: u64,
    ) -> Result<Option<Vec<LogCommit>>> {
        let versions: Vec<u64> = (after + 1..=until).collect();
        let mut commits = Vec::with_capacity(versions.len());
        for some in versions.chunks(AT_ONCE) {
            let some = some.iter().map(|version| self.log_commit(table, *version));
            for commit in try_join_all(some).await? {
                let Some(commit) = commit else {
                    return Ok(None);
                };
                commits.push(commit);
            }
        }
        Ok(Some(commits))
    }

    /// Whether all commits after a version, up to another, only moved rows from file to file.
    pub(super) async fn only_rearranged(
        &self,
        table: &TableName,
        after: u64,
        until: u64,
    ) -> Result<bool> {
        if until < after || until - after > NEAR {
            return Ok(false);
        }
        let commits = self.log_commits(table, after, until).await?;
        Ok(commits.is_some_and(|commits| commits.iter().all(|commit| commit.rearranges)))
    }

    /// The files behind any of some versions, with their sizes. An error names the version that can't be
    /// opened.
    pub(crate) async fn files_behind(
        &self,
        table: &TableName,
        versions: &BTreeSet<u64>,
    ) -> Result<BTreeMap<String, u64>, (u64, Error)> {
        let mut behind = BTreeMap::new();
        // Files of the version before, so far as they are not counted yet.
        let mut open: BTreeMap<String, u64> = BTreeMap::new();
        let mut before: Option<u64> = None;
        for version in versions.iter().copied() {
            let failed = |error| (version, error);
            let between = match before {
                Some(before) if version - before <= NEAR => self
                    .log_commits(table, before, version)
                    .await
                    .map_err(failed)?,
                _ => None,
            };
            match between {
                Some(commits) => {
                    for commit in commits {
                        open.extend(commit.added);
                        for removed in &commit.removed {
                            open.remove(removed);
                        }
                    }
                }
                None => {
                    let delta = self.at(table, Some(version)).await.map_err(failed)?;
                    let found = delta.map(|delta| files(table, &delta)).transpose();
                    let found = found.map_err(failed)?.unwrap_or_default();
                    let found = found.iter().map(|file| (file.path.clone(), file.bytes()));
                    open = found.collect();
                }
            }
            behind.append(&mut open);
            before = Some(version);
        }
        Ok(behind)
    }

    /// Writes a checkpoint of a version.
    pub(crate) async fn checkpoint(&self, table: &TableName, version: u64) -> Result<()> {
        let Some(delta) = self.at(table, Some(version)).await? else {
            return Ok(());
        };
        debug_assert_eq!(delta.version().map(as_u64), Some(version));
        deltalake::checkpoints::create_checkpoint(&delta, None)
            .await
            .map_err(|error| Error::table(table, "writing a checkpoint of", error))
    }
}
