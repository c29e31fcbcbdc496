//! Laying one source of settings over another, key by key.

use toml::{Table, Value};

use super::{ALERT_KEYS, CONNECTION_KEYS, FIELD_KEYS, SettingsError};

/// Prefix of settings in the environment.
const PREFIX: &str = "SPRINT_REPORTS__";

/// Lays a settings file over the defaults; a key that the defaults don't have is an error.
pub(super) fn file(table: &mut Table, given: Table, place: &str) -> Result<(), SettingsError> {
    for (section, value) in given {
        if section == "connections" {
            connections(&value, place)?;
            table.insert(section, value);
            continue;
        }
        if section == "alerts" {
            named("alerts", "alert channel", &value, &ALERT_KEYS, place)?;
            table.insert(section, value);
            continue;
        }
        let known: Vec<String> = table
            .keys()
            .cloned()
            .chain(["connections".to_string(), "alerts".to_string()])
            .collect();
        let Some(Value::Table(target)) = table.get_mut(&section) else {
            return Err(unknown(&section, &known, place));
        };
        let Value::Table(given) = value else {
            return Err(SettingsError(format!(
                "{place}: '{section}' is a section, write [{section}]"
            )));
        };
        for (key, value) in given {
            set(target, &section, &key, value, place)?;
        }
    }
    Ok(())
}

/// Lays the environment over the settings.
pub(super) fn environment(
    table: &mut Table,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<(), SettingsError> {
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let path = path.to_lowercase();
        let Some((section, key)) = path.split_once("__") else {
            return Err(SettingsError(format!("{name}: write {PREFIX}SECTION__KEY")));
        };
        let known: Vec<String> = table.keys().cloned().collect();
        let Some(Value::Table(target)) = table.get_mut(section) else {
            return Err(unknown(section, &known, &name));
        };
        let value = match target.get(key) {
            Some(Value::String(_)) | None => Value::String(text),
            Some(_) => typed(&text).ok_or_else(|| {
                SettingsError(format!("{name}: what it holds is not a TOML value"))
            })?,
        };
        set(target, section, key, value, &name)?;
    }
    Ok(())
}

/// Where in a file an error is. The line is not shown: it may hold a password.
pub(super) fn place(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    before.map_or_else(String::new, |before| {
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|one| *one != '\n').count() + 1;
        format!(", line {line}, column {column}")
    })
}

fn typed(text: &str) -> Option<Value> {
    toml::from_str::<Table>(&format!("value = {text}"))
        .ok()?
        .remove("value")
}

fn set(
    target: &mut Table,
    section: &str,
    key: &str,
    value: Value,
    place: &str,
) -> Result<(), SettingsError> {
    let Some(default) = target.get(key) else {
        let known: Vec<String> = target.keys().cloned().collect();
        let error = unknown(key, &known, place);
        return Err(SettingsError(format!("{} (section [{section}])", error.0)));
    };
    if default.type_str() != value.type_str() {
        return Err(SettingsError(format!(
            "{place}: {section}.{key} must be of type {}, not {}",
            default.type_str(),
            value.type_str()
        )));
    }
    target.insert(key.to_string(), value);
    Ok(())
}

fn connections(value: &Value, place: &str) -> Result<(), SettingsError> {
    for connection in named("connections", "connection", value, &CONNECTION_KEYS, place)? {
        if let Some(Value::Table(fields)) = connection.get("fields") {
            only(fields, &FIELD_KEYS, place)?;
        }
    }
    Ok(())
}

/// The tables of a section that has many, each with a name of its own.
fn named<'v>(
    section: &str,
    what: &str,
    value: &'v Value,
    keys: &[&str],
    place: &str,
) -> Result<Vec<&'v Table>, SettingsError> {
    let tables = || SettingsError(format!("{place}: write {section} as [[{section}]] tables"));
    let Value::Array(list) = value else {
        return Err(tables());
    };
    let mut names = Vec::new();
    let mut found = Vec::new();
    for one in list {
        let Value::Table(one) = one else {
            return Err(tables());
        };
        only(one, keys, place)?;
        let name = one.get("name").and_then(Value::as_str).unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(SettingsError(format!(
                "{place}: {what} name '{name}': use letters, digits, '-' and '_'"
            )));
        }
        if names.contains(&name) {
            return Err(SettingsError(format!(
                "{place}: two {section} are named '{name}'"
            )));
        }
        names.push(name);
        found.push(one);
    }
    Ok(found)
}

fn only(table: &Table, known: &[&str], place: &str) -> Result<(), SettingsError> {
    let known: Vec<String> = known.iter().map(ToString::to_string).collect();
    match table.keys().find(|key| !known.contains(key)) {
        Some(key) => Err(unknown(key, &known, place)),
        None => Ok(()),
    }
}

fn unknown(key: &str, known: &[String], place: &str) -> SettingsError {
    let nearest = known.iter().min_by_key(|name| distance(key, name));
    let hint = match nearest {
        Some(name) if distance(key, name) <= 3 => format!("did you mean '{name}'?"),
        _ => format!("known are {}", known.join(", ")),
    };
    SettingsError(format!("{place}: unknown setting '{key}': {hint}"))
}

/// Levenshtein distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Table {
        toml::from_str("[store]\nurl = \"file:x\"\n[query]\nmax_rows = 1").unwrap()
    }

    fn merged(text: &str) -> Result<Table, String> {
        let mut table = base();
        file(&mut table, toml::from_str(text).unwrap(), "f.toml").map_err(|error| error.0)?;
        Ok(table)
    }

    #[test]
    fn a_file_overrides_key_by_key() {
        let table = merged("[query]\nmax_rows = 7").unwrap();
        assert_eq!(table["query"]["max_rows"].as_integer(), Some(7));
        assert_eq!(table["store"]["url"].as_str(), Some("file:x"));
    }

    #[test]
    fn unknown_keys_are_refused_with_a_suggestion() {
        let error = merged("[stor]\nurl = \"x\"").unwrap_err();
        assert_eq!(
            error,
            "f.toml: unknown setting 'stor': did you mean 'store'?"
        );
        let error = merged("[query]\nmax_row = 7").unwrap_err();
        assert!(error.contains("did you mean 'max_rows'?"), "{error}");
        let error = merged("[[connections]]\nname = \"a\"\ntokn = \"x\"").unwrap_err();
        assert!(error.contains("did you mean 'token'?"), "{error}");
        let error = merged("[query]\nmax_rows = \"many\"").unwrap_err();
        assert!(error.contains("must be of type integer"), "{error}");
        let error = merged("[[alerts]]\nname = \"a\"\nkin = \"log\"").unwrap_err();
        assert!(error.contains("did you mean 'kind'?"), "{error}");
        let twice = "[[alerts]]\nname = \"a\"\n[[alerts]]\nname = \"a\"";
        assert!(merged(twice).unwrap_err().contains("two alerts are named"));
        let error = merged("[[connections]]\nname = \"../x\"").unwrap_err();
        assert!(error.contains("use letters"), "{error}");
    }

    #[test]
    fn the_environment_overrides_and_is_checked() {
        let set = |name: &str, value: &str| {
            let mut table = base();
            let variables = [
                (name.to_string(), value.to_string()),
                ("PATH".into(), "/".into()),
            ];
            environment(&mut table, variables.into_iter())
                .map(|()| table)
                .map_err(|error| error.0)
        };
        let table = set("SPRINT_REPORTS__QUERY__MAX_ROWS", "9").unwrap();
        assert_eq!(table["query"]["max_rows"].as_integer(), Some(9));
        let table = set("SPRINT_REPORTS__STORE__URL", "file:/tmp/x").unwrap();
        assert_eq!(table["store"]["url"].as_str(), Some("file:/tmp/x"));
        assert!(
            set("SPRINT_REPORTS__STORE__ULR", "x")
                .unwrap_err()
                .contains("did you mean 'url'")
        );
        assert!(set("SPRINT_REPORTS__QUERY__MAX_ROWS", "many").is_err());
    }
}
