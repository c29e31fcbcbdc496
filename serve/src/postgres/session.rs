//! What a client has set, and the transaction it is in. Settings are an allow-list: what has no
//! meaning here is an error, never silently accepted.

use std::collections::BTreeMap;
use std::time::Duration;

use pgwire::error::PgWireResult;
use warehouse::{Origin, QueryOptions};

use super::error::error;

/// Settings with their defaults. What a client sets them to is kept and shown.
const SETTINGS: [(&str, &str); 32] = [
    ("application_name", ""),
    ("array_nulls", "on"),
    ("bytea_output", "hex"),
    ("client_encoding", "UTF8"),
    ("client_min_messages", "notice"),
    ("datestyle", "ISO, MDY"),
    ("default_transaction_isolation", "repeatable read"),
    ("default_transaction_read_only", "on"),
    ("escape_string_warning", "on"),
    ("extra_float_digits", "1"),
    ("idle_in_transaction_session_timeout", "0"),
    ("in_hot_standby", "off"),
    ("integer_datetimes", "on"),
    ("intervalstyle", "postgres"),
    ("is_superuser", "off"),
    ("jit", "off"),
    ("lc_collate", "C.UTF-8"),
    ("lc_messages", "C.UTF-8"),
    ("lock_timeout", "0"),
    ("max_identifier_length", "63"),
    ("row_security", "on"),
    ("search_path", "marts"),
    ("server_encoding", "UTF8"),
    ("server_version", warehouse::POSTGRES_VERSION),
    ("server_version_num", "150000"),
    ("session_authorization", ""),
    ("sprint_reports.as_of", ""),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "0"),
    ("timezone", "UTC"),
    ("transaction_isolation", "repeatable read"),
    ("transaction_read_only", "on"),
];

/// Settings that say how the server is; they can't be set.
const FIXED: [&str; 9] = [
    "in_hot_standby",
    "integer_datetimes",
    "is_superuser",
    "lc_collate",
    "max_identifier_length",
    "server_encoding",
    "server_version",
    "server_version_num",
    "session_authorization",
];

pub(super) fn is_known(name: &str) -> bool {
    SETTINGS.iter().any(|(known, _)| *known == name) && !FIXED.contains(&name)
}

/// The state of a connection.
#[derive(Debug)]
pub(super) struct Session {
    id: String,
    values: BTreeMap<&'static str, String>,
    /// Release that the present transaction reads: the one its first query saw.
    pinned: Option<String>,
}

impl Session {
    pub(super) fn new() -> Self {
        Self {
            id: uuid::Uuid::now_v7().to_string(),
            values: BTreeMap::new(),
            pinned: None,
        }
    }

    /// Identity of the connection in the log.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Value of a setting.
    pub(super) fn show(&self, name: &str) -> PgWireResult<String> {
        let name = match name {
            "transaction isolation level" => "transaction_isolation",
            "time zone" => "timezone",
            "session authorization" => "session_authorization",
            name => name,
        };
        let known = SETTINGS.iter().find(|(known, _)| *known == name);
        let (known, default) = known.ok_or_else(|| unknown(name))?;
        Ok(self
            .values
            .get(known)
            .cloned()
            .unwrap_or_else(|| (*default).to_string()))
    }

    /// All settings, for `SHOW ALL`.
    pub(super) fn all(&self) -> Vec<(String, String)> {
        SETTINGS
            .iter()
            .map(|(name, default)| {
                let value = self.values.get(name).cloned();
                (
                    (*name).to_string(),
                    value.unwrap_or_else(|| (*default).to_string()),
                )
            })
            .collect()
    }

    /// Sets a value; `default` goes back.
    pub(super) fn set(&mut self, name: &str, value: &str) -> PgWireResult<()> {
        match name {
            // SET TRANSACTION …: every transaction is a read-only snapshot.
            "transaction" => return Ok(()),
            "role" | "session" => {
                return Err(error("42501", "the role of a connection can't be changed"));
            }
            _ => {}
        }
        let known = SETTINGS.iter().find(|(known, _)| *known == name);
        let (known, _) = known.ok_or_else(|| unknown(name))?;
        if FIXED.contains(known) {
            let message = format!("parameter \"{name}\" cannot be changed");
            return Err(error("55P02", message));
        }
        let invalid = |what: &str| {
            let message = format!("invalid value for parameter \"{name}\": \"{value}\"; {what}");
            Err(error("22023", message))
        };
        if value.eq_ignore_ascii_case("default") {
            self.values.remove(known);
            return Ok(());
        }
        match *known {
            "client_encoding"
                if !matches!(
                    value.to_lowercase().replace(['-', '_'], "").as_str(),
                    "utf8" | "unicode"
                ) =>
            {
                return invalid("only UTF8 is served");
            }
            "statement_timeout" if milliseconds(value).is_none() => {
                return invalid("write milliseconds, or a number with ms, s or min");
            }
            "search_path" => {
                let known = ["marts", "public", "pg_catalog", "$user", ""];
                let wrong = value.split(',').any(|part| {
                    let part = part.trim().trim_matches(['"', '\'']);
                    !known.contains(&part)
                });
                if wrong {
                    return invalid("unqualified names mean marts; write schema.table for others");
                }
            }
            "default_transaction_read_only" | "transaction_read_only"
                if matches!(value.to_lowercase().as_str(), "off" | "false" | "0" | "no") =>
            {
                return Err(error("25006", "everything here is read-only"));
            }
            "sprint_reports.as_of" => self.pinned = None,
            _ => {}
        }
        self.values.insert(known, value.to_string());
        Ok(())
    }

    /// Goes back to the default, of one setting or of all.
    pub(super) fn reset(&mut self, name: Option<&str>) -> PgWireResult<()> {
        match name {
            Some(name) => self.set(name, "default"),
            None => {
                self.values.clear();
                Ok(())
            }
        }
    }

    /// A transaction begins or ends: its snapshot goes.
    pub(super) fn unpin(&mut self) {
        self.pinned = None;
    }

    /// The transaction stays with a release.
    pub(super) fn pin(&mut self, release: &str) {
        self.pinned = Some(release.to_string());
    }

    /// How a query of this client is run.
    pub(super) fn options(&self) -> QueryOptions {
        let text = |name: &str| self.values.get(name).filter(|value| !value.is_empty());
        let deadline = text("statement_timeout")
            .and_then(|value| milliseconds(value))
            .filter(|milliseconds| *milliseconds > 0)
            .map(Duration::from_millis);
        QueryOptions {
            as_of: self
                .pinned
                .clone()
                .or_else(|| text("sprint_reports.as_of").cloned()),
            deadline,
            origin: Origin {
                protocol: "postgres",
                request_id: Some(self.id.clone()),
            },
            ..QueryOptions::default()
        }
    }
}

fn unknown(name: &str) -> pgwire::error::PgWireError {
    let message = format!("unrecognized configuration parameter \"{name}\"");
    error("42704", message)
}

fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|letter: char| letter.is_alphabetic() || letter == ' ');
    let number: u64 = digits.parse().ok()?;
    let factor = match text[digits.len()..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_means_something_can_be_set() {
        let mut session = Session::new();
        for (name, value) in [
            ("application_name", "psql"),
            ("client_encoding", "utf-8"),
            ("statement_timeout", "30s"),
            ("search_path", "\"$user\", public"),
            ("sprint_reports.as_of", "r1"),
            ("transaction", ""),
        ] {
            assert!(session.set(name, value).is_ok(), "{name} = {value}");
        }
        assert_eq!(session.options().deadline, Some(Duration::from_secs(30)));
        assert_eq!(session.options().as_of.as_deref(), Some("r1"));
        for (name, value) in [
            ("datafusion.execution.batch_size", "1"),
            ("role", "admin"),
            ("client_encoding", "latin1"),
            ("statement_timeout", "soon"),
            ("search_path", "jira"),
            ("server_version", "9"),
            ("transaction_read_only", "off"),
        ] {
            assert!(session.set(name, value).is_err(), "{name} = {value}");
        }
        session.reset(None).unwrap();
        assert_eq!(session.options().as_of, None);
        assert_eq!(session.show("server_version").unwrap(), "15.0");
    }
}
