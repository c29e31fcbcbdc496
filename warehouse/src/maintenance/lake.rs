//! Deleting the files of tables and logs that nothing kept needs, and verifying those that are needed.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{BoxFuture, try_join_all};
use object_store::ObjectMeta;
use schemas::TableName;

use super::releases::Versions;
use super::{Problem, Work};
use crate::tables::Log;
use crate::{Release, Result, fault};

/// Files that are deleted at once.
const AT_ONCE: usize = 16;
/// A newest version so many commits after its checkpoint gets one of its own.
const COMMITS: u64 = 10;
/// A lone kept version so many commits after its checkpoint gets one of its own.
const LONE_COMMITS: u64 = 20;

/// What must stay.
pub(super) struct Lake {
    /// The releases.
    pub(super) kept: Vec<Release>,
    /// Versions that they, and those that were removed lately, name.
    pub(super) protected: Versions,
}

impl Work<'_> {
    pub(super) fn vacuum<'s>(
        &'s mut self,
        names: &'s [TableName],
        lake: &'s Lake,
    ) -> BoxFuture<'s, Result<()>> {
        Box::pin(self.each(names, lake))
    }

    async fn each(&mut self, names: &[TableName], lake: &Lake) -> Result<()> {
        for (number, name) in names.iter().enumerate() {
            let part = format!("versions of {name}");
            self.progress.at(&part, number + 1, names.len());
            let none = BTreeSet::new();
            let named = lake.protected.get(name).unwrap_or(&none);
            let before = self.report.problems.len();
            self.table(name, named).await?;
            if self.report.problems.len() > before {
                self.concerned(name, before, &lake.kept).await;
            }
        }
        // Tables that releases name and that are not there at all.
        for name in lake.protected.keys().filter(|name| !names.contains(name)) {
            self.problem(name, "_delta_log", "the table is missing".to_string());
        }
        self.progress.done(&format!(
            "{} files deleted, {} KiB freed; {} files verified, {} problems",
            self.report.files_deleted() + self.report.log_files_deleted(),
            self.report.bytes_freed >> 10,
            self.report.files_verified,
            self.report.problems.len()
        ));
        Ok(())
    }

    /// Adds to the problems of a table which kept releases they concern.
    async fn concerned(&mut self, name: &TableName, first: usize, kept: &[Release]) {
        let tables = self.warehouse.tables();
        let mut files: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        let mut releases: Vec<Vec<&str>> = vec![Vec::new(); self.report.problems.len() - first];
        for release in kept.iter().rev() {
            let Some(version) = release.content.tables.get(name).map(|state| state.version) else {
                continue;
            };
            if let std::collections::btree_map::Entry::Vacant(place) = files.entry(version) {
                let behind = tables.files_behind(name, &BTreeSet::from([version])).await;
                place.insert(behind.map_or_else(
                    |_| BTreeSet::from([format!("version {version}")]),
                    |behind| behind.into_keys().collect(),
                ));
            }
            let problems = self.report.problems[first..].iter();
            for (problem, releases) in problems.zip(&mut releases) {
                if files[&version].contains(&problem.file) {
                    releases.push(&release.release_id);
                }
            }
        }
        for (problem, releases) in self.report.problems[first..].iter_mut().zip(releases) {
            let concerned = match releases.as_slice() {
                [] => "no kept release is concerned".to_string(),
                [one] => format!("release {one} is concerned"),
                [oldest, .., newest] => {
                    format!(
                        "{} releases are concerned, {oldest} to {newest}",
                        releases.len()
                    )
                }
            };
            problem.problem = format!("{}; {concerned}", problem.problem);
        }
    }

    fn problem(&mut self, table: &TableName, file: &str, problem: String) {
        self.report.problems.push(Problem {
            table: table.to_string(),
            file: file.to_string(),
            problem,
        });
    }

    async fn table(&mut self, name: &TableName, named: &BTreeSet<u64>) -> Result<()> {
        let tables = self.warehouse.tables();
        let store = tables.store();
        let log = tables.log(name).await?;
        let Some(newest) = log.newest() else {
            return Ok(());
        };
        let mut versions = named.clone();
        versions.insert(newest);
        // Versions that were the newest within the time of grace may be in use.
        for (version, commit) in &log.commits {
            if !self.is_old(commit.last_modified) && *version > 0 {
                versions.insert(version - 1);
            }
        }
        let behind = match tables.files_behind(name, &versions).await {
            Ok(behind) => behind,
            Err((version, error)) if !named.contains(&version) && version != newest => {
                // One of the time of grace that is not there any more; the others are looked at.
                tracing::warn!(table = %name, version, %error, "a recent version can't be opened");
                versions = named.clone();
                versions.insert(newest);
                match tables.files_behind(name, &versions).await {
                    Ok(behind) => behind,
                    Err((version, error)) => {
                        let text = format!(
                            "can't be opened, so nothing of the table was deleted: {error}"
                        );
                        self.problem(name, &format!("version {version}"), text);
                        return Ok(());
                    }
                }
            }
            Err((version, error)) => {
                let text = format!("can't be opened, so nothing of the table was deleted: {error}");
                self.problem(name, &format!("version {version}"), text);
                return Ok(());
            }
        };
        // Listed after the versions were read: a file that a version names was there before.
        let folder = store.table_dir(name);
        let present: BTreeMap<String, ObjectMeta> = store
            .files(&folder)
            .await?
            .into_iter()
            .filter_map(|meta| {
                let parts: Vec<_> = meta.location.prefix_match(&folder)?.collect();
                // Files in folders of the table, its log above all, are no data files of ours.
                let [name] = parts.as_slice() else {
                    return None;
                };
                let name = name.as_ref().to_string();
                name.ends_with(".parquet").then_some((name, meta))
            })
            .collect();
        for (file, bytes) in &behind {
            self.report.files_verified += 1;
            match present.get(file) {
                None => self.problem(name, file, "the file is missing".to_string()),
                Some(meta) if meta.size != *bytes => {
                    let text = format!("the file has {} bytes instead of {bytes}", meta.size);
                    self.problem(name, file, text);
                }
                Some(_) => {}
            }
        }
        let garbage: Vec<&ObjectMeta> = present
            .iter()
            .filter(|(file, meta)| !behind.contains_key(*file) && self.is_old(meta.last_modified))
            .map(|(_, meta)| meta)
            .collect();
        let log_garbage = self.log(name, log, &versions, newest).await?;
        let deleted = (garbage.len() as u64, log_garbage.len() as u64);
        self.delete(&garbage).await?;
        let log_garbage: Vec<&ObjectMeta> = log_garbage.iter().collect();
        self.delete(&log_garbage).await?;
        let of_table = name.to_string();
        let mut reports = self.report.tables.iter_mut();
        if let Some(report) = reports.find(|report| report.table == of_table) {
            report.versions_kept = versions.len();
            (report.files_deleted, report.log_files_deleted) = deleted;
        }
        Ok(())
    }

    /// Writes checkpoints where they shorten the log; returns its files that no kept version needs.
    async fn log(
        &self,
        name: &TableName,
        mut log: Log,
        versions: &BTreeSet<u64>,
        newest: u64,
    ) -> Result<Vec<ObjectMeta>> {
        let tables = self.warehouse.tables();
        if !self.options.dry_run {
            let mut wrote = false;
            for version in lone(&log, versions, newest) {
                tables.checkpoint(name, version).await?;
                wrote = true;
            }
            let since = log.start_of(newest).map_or(newest, |start| newest - start);
            if since >= COMMITS {
                // The last one, so that the table's hint names the newest.
                tables.checkpoint(name, newest).await?;
                wrote = true;
            }
            if wrote {
                log = tables.log(name).await?;
            }
        }
        let mut needed: BTreeSet<u64> = BTreeSet::new();
        let mut starts: BTreeSet<u64> = BTreeSet::new();
        // Commits that came meanwhile are needed like those of the newest version.
        let until = log.newest().unwrap_or(newest).max(newest);
        for version in versions.iter().copied().chain([until]) {
            let start = log.start_of(version);
            starts.extend(start);
            needed.extend(start.unwrap_or_default()..=version);
        }
        let commits = log
            .commits
            .into_iter()
            .filter(|(version, _)| !needed.contains(version))
            .map(|(_, meta)| meta);
        let checkpoints = log
            .checkpoints
            .into_iter()
            .filter(|(version, _)| !starts.contains(version))
            .flat_map(|(_, metas)| metas);
        let all = commits.chain(checkpoints).chain(log.leftovers);
        Ok(all.filter(|meta| self.is_old(meta.last_modified)).collect())
    }

    async fn delete(&mut self, files: &[&ObjectMeta]) -> Result<()> {
        self.report.bytes_freed += files.iter().map(|meta| meta.size).sum::<u64>();
        if self.options.dry_run {
            return Ok(());
        }
        let store = self.warehouse.tables().store();
        for some in files.chunks(AT_ONCE) {
            try_join_all(some.iter().map(|meta| store.delete(&meta.location))).await?;
            fault::point("maintenance.files_deleted")?;
        }
        Ok(())
    }
}

/// Kept versions that stand alone far behind a checkpoint, in a part of the log that grows no more: with a
/// checkpoint of their own the commits before them can go.
fn lone(log: &Log, versions: &BTreeSet<u64>, newest: u64) -> Vec<u64> {
    let mut by_start: BTreeMap<Option<u64>, Vec<u64>> = BTreeMap::new();
    for version in versions
        .iter()
        .copied()
        .filter(|version| *version != newest)
    {
        let start = log.start_of(version);
        by_start.entry(start).or_default().push(version);
    }
    let last = log.start_of(newest);
    by_start
        .into_iter()
        .filter(|(start, alone)| *start != last && alone.len() <= 2)
        .flat_map(|(start, alone)| {
            let start = start.unwrap_or_default();
            let far = move |version: &u64| version - start >= LONE_COMMITS;
            alone.into_iter().filter(far)
        })
        .collect()
}
