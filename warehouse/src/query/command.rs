//! What a PostgreSQL client says beside queries: settings, transactions, housekeeping. Nothing of it
//! reaches the engine.

use datafusion::sql::sqlparser::ast::{Set, Statement};

use super::guard;
use crate::Result;

/// One statement of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A query; refused later if it does more than read.
    Query(String),
    /// `SET name = value` (also `TO`), the value without quotes.
    Set(String, String),
    /// `RESET name`; `ALL` without one.
    Reset(Option<String>),
    /// `SHOW name`.
    Show(String),
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `COMMIT`, `END`.
    Commit,
    /// `ROLLBACK`, `ABORT`.
    Rollback,
    /// A savepoint: set, released, rolled back to. The tag that answers it.
    Savepoint(&'static str),
    /// `DISCARD`, `DEALLOCATE`, `CLOSE`, `UNLISTEN`: there is nothing to discard. Its tag.
    Discard(&'static str),
}

/// The statements of a text.
pub fn commands(sql: &str, bytes: usize) -> Result<Vec<Command>> {
    let statements = guard::parse(sql, bytes)?;
    if let [Statement::Query(_)] = statements.as_slice() {
        // As written: positions in errors stay right.
        return Ok(vec![Command::Query(sql.to_string())]);
    }
    statements.iter().map(command).collect()
}

fn command(statement: &Statement) -> Result<Command> {
    Ok(match statement {
        Statement::Set(set) => match set {
            Set::SingleAssignment {
                variable, values, ..
            } => {
                let values: Vec<String> = values
                    .iter()
                    .map(|value| unquoted(&value.to_string()))
                    .collect();
                Command::Set(
                    unquoted(&variable.to_string()).to_lowercase(),
                    values.join(", "),
                )
            }
            Set::SetTimeZone { value, .. } => {
                Command::Set("timezone".to_string(), unquoted(&value.to_string()))
            }
            Set::SetNames { charset_name, .. } => Command::Set(
                "client_encoding".to_string(),
                unquoted(&charset_name.to_string()),
            ),
            Set::SetNamesDefault {} => Command::Reset(Some("client_encoding".to_string())),
            Set::SetTransaction { .. } => Command::Set("transaction".to_string(), String::new()),
            Set::SetSessionParam(_)
            | Set::SetRole { .. }
            | Set::SetSessionAuthorization(_)
            | Set::ParenthesizedAssignments { .. }
            | Set::MultipleAssignments { .. } => Command::Set(
                set.to_string()
                    .split_whitespace()
                    .nth(1)
                    .unwrap_or_default()
                    .to_lowercase(),
                String::new(),
            ),
        },
        Statement::Reset(reset) => match reset.reset {
            datafusion::sql::sqlparser::ast::Reset::ALL => Command::Reset(None),
            datafusion::sql::sqlparser::ast::Reset::ConfigurationParameter(ref name) => {
                Command::Reset(Some(unquoted(&name.to_string()).to_lowercase()))
            }
        },
        Statement::ShowVariable { variable } => {
            let words: Vec<String> = variable.iter().map(|word| word.value.clone()).collect();
            // `SHOW TIME ZONE` is two words; the parser drops the dot of our own settings.
            let ours = words.first().is_some_and(|word| word == "sprint_reports");
            Command::Show(words.join(if ours { "." } else { " " }).to_lowercase())
        }
        Statement::StartTransaction { .. } => Command::Begin,
        Statement::Commit { .. } => Command::Commit,
        Statement::Rollback {
            savepoint: Some(_), ..
        } => Command::Savepoint("ROLLBACK"),
        Statement::Rollback { .. } => Command::Rollback,
        Statement::Savepoint { .. } => Command::Savepoint("SAVEPOINT"),
        Statement::ReleaseSavepoint { .. } => Command::Savepoint("RELEASE"),
        Statement::Discard { .. } => Command::Discard("DISCARD ALL"),
        Statement::Deallocate { .. } => Command::Discard("DEALLOCATE"),
        Statement::Close { .. } => Command::Discard("CLOSE CURSOR"),
        Statement::UNLISTEN { .. } => Command::Discard("UNLISTEN"),
        other => {
            guard::check(other)?;
            Command::Query(other.to_string())
        }
    })
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    for quote in ['\'', '"'] {
        if let Some(inner) = text
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
        {
            return inner.to_string();
        }
    }
    text.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_say_is_recognised() {
        let parsed = |sql: &str| commands(sql, 1_000).unwrap();
        let set = |name: &str, value: &str| vec![Command::Set(name.into(), value.into())];
        assert_eq!(
            parsed("SET extra_float_digits = 3"),
            set("extra_float_digits", "3")
        );
        assert_eq!(parsed("set DateStyle to 'ISO'"), set("datestyle", "ISO"));
        assert_eq!(parsed("SET TIME ZONE 'UTC'"), set("timezone", "UTC"));
        assert_eq!(
            parsed("set sprint_reports.as_of = 'r1'"),
            set("sprint_reports.as_of", "r1")
        );
        assert_eq!(
            parsed("set role admin")[0],
            Command::Set("role".into(), String::new())
        );
        assert_eq!(
            parsed("reset sprint_reports.as_of"),
            vec![Command::Reset(Some("sprint_reports.as_of".into()))]
        );
        assert_eq!(parsed("reset all"), vec![Command::Reset(None)]);
        assert_eq!(
            parsed("SHOW transaction_read_only"),
            vec![Command::Show("transaction_read_only".into())]
        );
        assert_eq!(
            parsed("show sprint_reports.as_of"),
            vec![Command::Show("sprint_reports.as_of".into())]
        );
        assert_eq!(
            parsed("BEGIN; select 1; COMMIT"),
            vec![
                Command::Begin,
                Command::Query("SELECT 1".into()),
                Command::Commit
            ]
        );
        assert_eq!(parsed("DISCARD ALL"), vec![Command::Discard("DISCARD ALL")]);
        assert!(commands("drop table x", 1_000).is_err());
        assert!(parsed("").is_empty());
    }
}
