//! What maintenance did.

use schemas::TableName;
use serde::Serialize;
use serde_json::{Value, json};

/// What maintenance did, or in a dry run would do.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Run it was part of.
    pub run_id: String,
    /// Whether nothing was done but looking.
    pub dry_run: bool,
    /// The tables.
    pub tables: Vec<TableReport>,
    /// Number of releases that are kept.
    pub releases_kept: usize,
    /// Releases that were removed.
    pub releases_removed: Vec<String>,
    /// Descriptions of models that no kept release names.
    pub catalogs_removed: u64,
    /// Raw files that were removed.
    pub raw_files_removed: u64,
    /// Runs that were forgotten, with their steps.
    pub runs_removed: u64,
    /// Events that were forgotten.
    pub events_removed: u64,
    /// Bytes of all files that were deleted.
    pub bytes_freed: u64,
    /// Files that kept releases and the newest versions name and that were looked at.
    pub files_verified: u64,
    /// What is not as it should be.
    pub problems: Vec<Problem>,
}

/// What maintenance did to a table.
#[derive(Debug, Clone, Serialize)]
pub struct TableReport {
    /// Name of the table.
    pub table: String,
    /// Data files of its newest version before.
    pub files_before: usize,
    /// Data files of its newest version after.
    pub files_after: usize,
    /// Of those before, the ones that were written anew.
    pub files_rewritten: usize,
    /// Rows that were written anew.
    pub rows_rewritten: u64,
    /// Versions that stay readable: of kept releases, and those in use lately.
    pub versions_kept: usize,
    /// Data files that nothing kept needs.
    pub files_deleted: u64,
    /// Files of its log that nothing kept needs.
    pub log_files_deleted: u64,
    /// Why its files were left as they are.
    pub skipped: Option<String>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Table concerned.
    pub table: String,
    /// Path of the file concerned within the table, or its version.
    pub file: String,
    /// What is wrong.
    pub problem: String,
}

impl Report {
    pub(super) fn new(run_id: &str, dry_run: bool) -> Self {
        Self {
            run_id: run_id.to_string(),
            dry_run,
            tables: Vec::new(),
            releases_kept: 0,
            releases_removed: Vec::new(),
            catalogs_removed: 0,
            raw_files_removed: 0,
            runs_removed: 0,
            events_removed: 0,
            bytes_freed: 0,
            files_verified: 0,
            problems: Vec::new(),
        }
    }

    /// Data files of all tables that were deleted.
    pub fn files_deleted(&self) -> u64 {
        self.tables.iter().map(|table| table.files_deleted).sum()
    }

    /// Files of logs that were deleted.
    pub fn log_files_deleted(&self) -> u64 {
        self.tables
            .iter()
            .map(|table| table.log_files_deleted)
            .sum()
    }

    /// What a step says beside its numbers.
    pub(super) fn details(&self, step: &str) -> Value {
        let count = |of: fn(&TableReport) -> usize| self.tables.iter().map(of).sum::<usize>();
        let skipped: Vec<&str> = self
            .tables
            .iter()
            .filter(|table| table.skipped.is_some())
            .map(|table| table.table.as_str())
            .collect();
        match step {
            "compact" => json!({
                "files_before": count(|table| table.files_before),
                "files_after": count(|table| table.files_after),
                "skipped": skipped,
            }),
            "releases" => json!({
                "kept": self.releases_kept,
                "removed": self.releases_removed.len(),
            }),
            "vacuum" => json!({
                "files_deleted": self.files_deleted(),
                "log_files_deleted": self.log_files_deleted(),
                "bytes_freed": self.bytes_freed,
                "files_verified": self.files_verified,
                "problems": self.problems.len(),
            }),
            "raw" => json!({"files_deleted": self.raw_files_removed}),
            _ => json!({"runs": self.runs_removed, "events": self.events_removed}),
        }
    }
}

impl TableReport {
    pub(super) fn new(table: &TableName) -> Self {
        Self {
            table: table.to_string(),
            files_before: 0,
            files_after: 0,
            files_rewritten: 0,
            rows_rewritten: 0,
            versions_kept: 0,
            files_deleted: 0,
            log_files_deleted: 0,
            skipped: None,
        }
    }
}
