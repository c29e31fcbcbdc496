//! What a request asks for, and what it gets.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

/// A request, its path in parts and its query decoded.
pub(super) struct Ask<'a> {
    pub(super) base: &'a str,
    pub(super) parts: Vec<&'a str>,
    pub(super) query: Vec<(String, String)>,
    /// Entries of a page at most.
    pub(super) cap: usize,
}

/// An answer before it is cut into pages.
pub(super) enum Reply {
    One(Value),
    List(Vec<Value>),
    /// A list that is a part of an object.
    Within(Value, &'static str, Vec<Value>),
    Refused(u16, Value),
    Moved(String),
}

/// Where a page stands in its list.
pub(super) struct Cut {
    pub(super) page: usize,
    pub(super) size: usize,
    pub(super) pages: usize,
    pub(super) total: usize,
}

impl Ask<'_> {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn instant(&self, name: &str) -> Option<DateTime<Utc>> {
        let text = self.text(name)?;
        let parsed = DateTime::parse_from_rfc3339(text).ok()?;
        Some(parsed.to_utc())
    }

    /// Takes the page that is asked for out of a list.
    pub(super) fn cut(&self, list: &mut Vec<Value>, default: usize) -> Cut {
        let number = |name: &str| self.text(name).and_then(|text| text.parse().ok());
        let size: usize = number("per_page").unwrap_or(default);
        let size = size.clamp(1, self.cap.clamp(1, 100));
        let page = number("page").unwrap_or(1).max(1);
        let total = list.len();
        let start = ((page - 1) * size).min(total);
        *list = list.drain(start..(start + size).min(total)).collect();
        Cut {
            page,
            size,
            pages: total.div_ceil(size),
            total,
        }
    }

    /// The address of another page, below a path.
    pub(super) fn link(&self, path: &str, page: usize) -> String {
        let others = self.query.iter().filter(|(name, _)| name != "page");
        let mut query: Vec<String> = others
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        query.push(format!("page={page}"));
        format!("{}{path}?{}", self.base, query.join("&"))
    }
}

pub(super) fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

pub(super) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3);
        match (
            bytes[at],
            hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()),
        ) {
            (b'%', Some(byte)) => {
                plain.push(byte);
                at += 3;
            }
            (b'+', _) => {
                plain.push(b' ');
                at += 1;
            }
            (byte, _) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// An instant in whole seconds, as GitHub writes it.
pub(super) fn seconds(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// An instant in milliseconds, as GitLab writes it.
pub(super) fn milliseconds(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let text = "a/b c+é%2F&=";
        assert_eq!(decoded(&encoded(text)), text);
        assert_eq!(decoded("a+b%2Fc%"), "a b/c%");
    }
}
