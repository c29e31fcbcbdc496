//! Records as received → rows of the contracts. Pure: the same record and context give the same
//! rows, whenever they are mapped.

mod changelog;
mod children;
mod issue;
mod reference;
mod report;

use schemas::Row;
use serde_json::Value;

pub(crate) use changelog::changelog_rows;
pub(crate) use children::{children, comment_row, link_row, remote_link_row, row_id, worklog_row};
pub(crate) use issue::{created_ms, issue_row, project_key, updated};
pub(crate) use reference::{
    board_columns, board_features, board_row, board_sprint_row, component_row, field_row,
    issue_type_row, link_type_row, priority_row, project_row, put_roles, resolution_row,
    sprint_row, status_row, stub_row, user_row, version_row,
};

pub(crate) use report::sprint_report_rows;

use super::time;

static NULL: Value = Value::Null;

/// Why a record becomes no row.
pub(crate) type Refusal = String;

/// A row, and what of its record could not be read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Mapped {
    pub(crate) row: Row,
    /// Optional parts that were left out because they can't be read.
    pub(crate) remarks: Vec<String>,
}

impl Mapped {
    fn new(connection: &str) -> Self {
        let mut mapped = Self::default();
        mapped.put("connection", connection);
        mapped
    }

    /// Sets a column; nothing for `None`.
    fn put(&mut self, column: &str, value: impl Into<Value>) {
        let value = value.into();
        if !value.is_null() {
            self.row.insert(column.to_string(), value);
        }
    }

    /// Sets an optional column from a part that may be unreadable.
    fn put_read<V: Into<Value>>(&mut self, column: &str, read: Result<Option<V>, String>) {
        match read {
            Ok(value) => self.put(column, value),
            Err(reason) => self.remarks.push(format!("{column}: {reason}")),
        }
    }

    /// Sets an optional instant.
    fn put_instant(&mut self, column: &str, value: &Value) {
        self.put_read(column, time::instant(value).map(|at| at.map(time::text)));
    }

    /// Sets a required instant.
    fn require_instant(&mut self, column: &str, value: &Value) -> Result<(), Refusal> {
        let at = time::instant(value).map_err(|reason| format!("{column}: {reason}"))?;
        let at = at.ok_or_else(|| format!("{column} is missing"))?;
        self.put(column, time::text(at));
        Ok(())
    }
}

/// The part of a document at a path such as `status.id`; null where there is none.
fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    path.split('.')
        .fold(value, |value, part| value.get(part).unwrap_or(&NULL))
}

/// An id: Jira writes them as numbers and as texts.
pub(crate) fn id(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A text that is not empty.
fn text(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_string)
}

/// The identity of a user: account id on Cloud, key or name elsewhere.
pub(crate) fn user(value: &Value) -> Option<String> {
    ["accountId", "key", "name"]
        .into_iter()
        .find_map(|part| text(at(value, part)))
}

fn required<T>(value: Option<T>, name: &str) -> Result<T, Refusal> {
    value.ok_or_else(|| format!("{name} is missing"))
}

fn parse(payload: &str) -> Result<Value, Refusal> {
    serde_json::from_str(payload).map_err(|error| format!("not JSON: {error}"))
}
