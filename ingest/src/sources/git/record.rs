//! Rows in the making, and the parts of records they are made of.

use schemas::Row;
use serde_json::Value;

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
    pub(super) fn new(connection: &str) -> Self {
        let mut mapped = Self::default();
        mapped.put("connection", connection);
        mapped
    }

    /// Sets a column; nothing for `None`.
    pub(crate) fn put(&mut self, column: &str, value: impl Into<Value>) {
        let value = value.into();
        if !value.is_null() {
            self.row.insert(column.to_string(), value);
        }
    }

    /// Sets a column that a row must have.
    pub(crate) fn require(
        &mut self,
        column: &str,
        value: Option<impl Into<Value>>,
    ) -> Result<(), Refusal> {
        let value = value.ok_or_else(|| format!("{column} is missing"))?;
        self.put(column, value);
        Ok(())
    }

    /// Sets an optional instant; one that can't be read is left out.
    pub(crate) fn put_instant(&mut self, column: &str, value: &Value) {
        match time::instant(value) {
            Ok(at) => self.put(column, at.map(time::text)),
            Err(reason) => self.remarks.push(format!("{column}: {reason}")),
        }
    }

    /// Sets an instant that a row must have.
    pub(crate) fn require_instant(&mut self, column: &str, value: &Value) -> Result<(), Refusal> {
        let at = time::instant(value).map_err(|reason| format!("{column}: {reason}"))?;
        self.require(column, at.map(time::text))
    }

    pub(super) fn id(&self, column: &str) -> Option<i64> {
        self.row.get(column)?.as_i64()
    }

    pub(super) fn text(&self, column: &str) -> &str {
        let text = self.row.get(column).and_then(Value::as_str);
        text.unwrap_or_default()
    }
}

/// The part of a document at a path such as `head.repo.id`; null where there is none.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    path.split('.')
        .fold(value, |value, part| value.get(part).unwrap_or(&NULL))
}

/// An id: a number above zero.
pub(crate) fn id(value: &Value) -> Option<i64> {
    value.as_i64().filter(|id| *id > 0)
}

/// A text that is not empty.
pub(crate) fn text(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_string)
}

/// A hash of git: 40 or 64 hexadecimal digits.
pub(crate) fn sha(value: &Value) -> Option<String> {
    text(value).filter(|sha| is_sha(sha))
}

pub(super) fn is_sha(sha: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    matches!(sha.len(), 40 | 64) && sha.bytes().all(is_digit)
}

/// The columns of a commit that all forges take from its message.
pub(crate) fn put_message(row: &mut Mapped, message: &Value) {
    let message = text(message);
    let title = message.as_deref().and_then(|text| text.lines().next());
    row.put(
        "title",
        title.map(str::trim_end).filter(|title| !title.is_empty()),
    );
    row.put("message", message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_required_is_named_when_it_is_missing() {
        let mut row = Mapped::new("acme");
        assert_eq!(
            row.require("number", id(&json!(0))),
            Err("number is missing".to_string())
        );
        assert_eq!(
            row.require_instant("created_at", &json!("soon")),
            Err("created_at: \"soon\" is not an instant".to_string())
        );
        row.put_instant("merged_at", &json!("soon"));
        row.put("title", text(&json!("")));
        assert_eq!(row.row.len(), 1);
        assert_eq!(row.remarks.len(), 1);
    }

    #[test]
    fn hashes() {
        assert!(is_sha(&"a0".repeat(20)) && is_sha(&"09".repeat(32)));
        for wrong in ["", "a0", &"A0".repeat(20), &"g0".repeat(20), "../../etc"] {
            assert!(!is_sha(wrong), "{wrong}");
        }
    }

    #[test]
    fn the_title_is_the_first_line() {
        let mut row = Mapped::new("acme");
        put_message(&mut row, &json!("ABC-1 one\r\n\r\nmore"));
        assert_eq!(row.text("title"), "ABC-1 one");
        let mut row = Mapped::new("acme");
        put_message(&mut row, &json!("\nlate"));
        assert!(!row.row.contains_key("title") && row.text("message") == "\nlate");
    }
}
