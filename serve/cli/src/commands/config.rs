//! `config docs`: the reference of the settings, made of the file that holds their defaults.

use clap::Subcommand;
use serde::Serialize;

use crate::Invocation;
use crate::exit::Outcome;
use crate::settings::DEFAULTS;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print every setting with its default, its variable and what it means (Markdown)
    Docs,
}

/// A setting.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Setting {
    section: String,
    key: String,
    default: String,
    /// Variable of the environment that sets it; none for those of a list of tables.
    variable: Option<String>,
    meaning: String,
}

pub(crate) fn run(command: &Command, invocation: &Invocation) -> anyhow::Result<Outcome> {
    let Command::Docs = command;
    let settings = settings(DEFAULTS);
    if invocation.json {
        super::print_json(&settings)?;
        return Ok(Outcome::Done);
    }
    print!("{}", markdown(&settings));
    Ok(Outcome::Done)
}

/// The settings of a file: `key = value` below its comment; examples of tables in comments as well.
fn settings(text: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    let (mut section, mut meaning) = (String::new(), Vec::new());
    for line in text.lines() {
        let (line, is_example) = match line.strip_prefix("# ") {
            Some(rest) if is_example(rest) => (rest, true),
            _ => (line, false),
        };
        if let Some(name) = line.strip_prefix('[') {
            let name = name.split(']').next().unwrap_or_default();
            let name = name.trim_start_matches('[').to_string();
            section = if line.starts_with("[[") {
                format!("{name}[]")
            } else {
                name
            };
            section = section.replace("connections.fields", "connections[].fields");
            meaning.clear();
        } else if let Some(comment) = line.strip_prefix('#') {
            meaning.push(comment.trim().to_string());
        } else if let Some((key, rest)) = line.split_once(" = ") {
            let (default, aside) = match is_example.then(|| rest.split_once(" # ")).flatten() {
                Some((default, aside)) => (default.trim(), aside.trim()),
                None => (rest.trim(), ""),
            };
            let is_list = section.contains("[]");
            let variable = format!("SPRINT_REPORTS__{section}__{key}").to_uppercase();
            settings.push(Setting {
                section: section.clone(),
                key: key.trim().to_string(),
                default: default.to_string(),
                variable: (!is_list).then_some(variable),
                meaning: if is_example {
                    aside.to_string()
                } else {
                    meaning.join(" ")
                },
            });
            meaning.clear();
        } else {
            meaning.clear();
        }
    }
    settings
}

/// Whether what follows `# ` is a line of a table that is shown as an example.
fn is_example(line: &str) -> bool {
    let key = line.split(" = ").next().unwrap_or_default();
    let is_key = |c: char| c.is_ascii_lowercase() || c == '_';
    line.starts_with("[[")
        || line.starts_with("[connections.")
        || (line.contains(" = ") && key.chars().all(is_key))
}

fn markdown(settings: &[Setting]) -> String {
    let mut out = String::from(
        "# Settings\n\nDefault < `sprint-reports.toml` in the working directory (or `--config FILE`) < environment < \
         flag. A secret may be written as `env:NAME` or `file:PATH`.\n",
    );
    let cell = |text: &str| text.replace('|', "\\|");
    let mut section = "";
    for one in settings {
        if one.section != section {
            section = &one.section;
            let heading = match section.strip_suffix("[]") {
                Some(name) => format!("[[{name}]]"),
                None => format!("[{}]", section.replace("[]", "")),
            };
            out.push_str(&format!(
                "\n## {heading}\n\n| key | default or example | environment | meaning |\n|---|---|---|---|\n"
            ));
        }
        let variable = one
            .variable
            .as_ref()
            .map_or_else(String::new, |name| format!("`{name}`"));
        out.push_str(&format!(
            "| `{}` | `{}` | {variable} | {} |\n",
            one.key,
            cell(&one.default),
            cell(&one.meaning)
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_there_and_has_a_meaning() {
        let all = settings(DEFAULTS);
        let table: toml::Table = toml::from_str(DEFAULTS).unwrap();
        let keys = table.iter().flat_map(|(section, keys)| {
            let keys = keys.as_table().unwrap().keys();
            keys.map(move |key| (section.clone(), key.clone()))
        });
        for (section, key) in keys {
            let found = all
                .iter()
                .find(|one| one.section == section && one.key == key);
            let found = found.unwrap_or_else(|| panic!("{section}.{key} is not documented"));
            assert!(!found.meaning.is_empty(), "{section}.{key} has no meaning");
        }
        for (section, key) in [
            ("connections[]", "token"),
            ("connections[].fields", "story_points"),
            ("alerts[]", "kind"),
        ] {
            assert!(
                all.iter()
                    .any(|one| one.section == section && one.key == key),
                "{section}.{key}"
            );
        }
        let text = markdown(&all);
        assert!(
            text.contains(
                "| `max_rows` | `10000000` | `SPRINT_REPORTS__QUERY__MAX_ROWS` | Most rows"
            )
        );
        assert!(text.contains("## [[connections]]") && text.contains("## [store]"));
    }
}
