//! Opaque page tokens: where a listing goes on, bound to what was asked for, and good for a while.

use chrono::{DateTime, TimeDelta, Utc};

use crate::jql::SortValue;

/// Where a page ended.
#[derive(Debug, PartialEq)]
pub(super) struct Token {
    pub(super) asked: u64,
    pub(super) issued: DateTime<Utc>,
    pub(super) after: Vec<SortValue>,
}

impl Token {
    pub(super) fn write(&self) -> String {
        let after: Vec<_> = self
            .after
            .iter()
            .map(|value| serde_json::json!([value.0, value.1]))
            .collect();
        let text =
            serde_json::json!([self.asked, self.issued.timestamp_millis(), after]).to_string();
        let sum = hash(&text);
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("{sum:016x}{hex}")
    }

    /// `None` for a token that this server did not write.
    pub(super) fn read(token: &str) -> Option<Self> {
        let sum = u64::from_str_radix(token.get(..16)?, 16).ok()?;
        let bytes: Option<Vec<u8>> = token
            .as_bytes()
            .get(16..)?
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let text = String::from_utf8(bytes?).ok()?;
        if hash(&text) != sum {
            return None;
        }
        let value: serde_json::Value = serde_json::from_str(&text).ok()?;
        let after = value.get(2)?.as_array()?.iter().map(|pair| {
            Some(SortValue(
                pair.get(0)?.as_str()?.to_owned(),
                pair.get(1)?.as_i64()?,
            ))
        });
        Some(Self {
            asked: value.get(0)?.as_u64()?,
            issued: DateTime::from_timestamp_millis(value.get(1)?.as_i64()?)?,
            after: after.collect::<Option<_>>()?,
        })
    }

    /// Reads a token that must belong to the question and still be good.
    pub(super) fn accept(
        token: &str,
        asked: u64,
        now: DateTime<Utc>,
        life: TimeDelta,
    ) -> Option<Self> {
        Self::read(token).filter(|token| token.asked == asked && now - token.issued <= life)
    }
}

/// FNV-1a.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_round_trip_and_nothing_else() {
        let issued = DateTime::from_timestamp_millis(1_700_000_000_123).unwrap();
        let token = Token {
            asked: hash("a"),
            issued,
            after: vec![SortValue("EE".to_owned(), -4)],
        };
        let text = token.write();
        assert_eq!(Token::read(&text), Some(token));
        let life = TimeDelta::days(7);
        assert!(Token::accept(&text, hash("a"), issued + life, life).is_some());
        assert!(Token::accept(&text, hash("b"), issued, life).is_none());
        assert!(Token::accept(&text, hash("a"), issued + life + life, life).is_none());
        assert!(Token::read("nonsense").is_none());
        assert!(Token::read(&text.replace('7', "8")).is_none());
    }
}
