//! Serves recorded payloads. (Filled in below.)
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::render::{Entry, Head, Listing, OfProject, Source, View, WorklogEntry};

pub(crate) const RECORDED_BOARD: u64 = 8;

#[derive(Debug)]
pub(crate) struct Recording {}

impl Recording {
    pub(crate) fn load(_: &Path, _: u64) -> io::Result<Self> {
        Err(io::Error::other("not yet"))
    }
}

impl Source for Recording {
    fn now(&self) -> DateTime<Utc> { Utc::now() }
    fn heads(&self, _: DateTime<Utc>) -> Vec<Head> { Vec::new() }
    fn head(&self, _: &str) -> Option<Head> { None }
    fn issue_fields(&self, _: u64, _: &View) -> Map<String, Value> { Map::new() }
    fn histories(&self, _: u64, _: &View) -> Vec<Entry> { Vec::new() }
    fn list(&self, _: Listing, _: &View) -> Vec<Value> { Vec::new() }
    fn of_project(&self, _: &str, _: OfProject, _: &View) -> Option<Vec<Value>> { None }
    fn worklogs(&self, _: &View) -> Vec<WorklogEntry> { Vec::new() }
    fn deleted_worklogs(&self) -> Vec<(u64, DateTime<Utc>)> { Vec::new() }
    fn comments(&self, _: u64, _: &View) -> Vec<Value> { Vec::new() }
    fn board_configuration(&self, _: u64, _: &View) -> Option<Value> { None }
    fn board_sprints(&self, _: u64, _: &View) -> Option<Vec<Value>> { None }
    fn sprint(&self, _: u64, _: &View) -> Option<Value> { None }
    fn board_issues(&self, _: u64) -> Vec<u64> { Vec::new() }
    fn sprint_report(&self, _: u64, _: u64, _: &View) -> Option<Value> { None }
}
