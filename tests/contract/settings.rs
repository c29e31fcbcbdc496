//! `settings.md`: every setting and its default.

use std::path::Path;

use tests::Product;

use crate::page::{Page, same};

#[test]
fn settings_and_their_defaults() {
    let page: Vec<String> = Page::read("settings.md")
        .table("Settings")
        .iter()
        .map(|row| format!("{} = {}", row[0], row[1]))
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(root.join("serve/cli/default.toml")).unwrap();
    let mut product = Vec::new();
    let defaults: toml::Table = toml::from_str(&text).unwrap();
    flatten("", &toml::Value::Table(defaults), &mut product);
    // The examples are comments there, each up to an empty line; they are read as what they would be.
    for section in ["connections", "alerts"] {
        let (_, rest) = text.split_once(&format!("# [[{section}]]")).unwrap();
        let example = rest.split("\n\n").next().unwrap().replace("\n# ", "\n");
        let example: toml::Table = toml::from_str(&format!("[[{section}]]{example}")).unwrap();
        flatten(&format!("{section}[]"), &example[section][0], &mut product);
    }
    same(&page, &product, "settings.md");
}

fn flatten(path: &str, value: &toml::Value, found: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(&format!("{path}{dot}{key}"), value, found);
            }
        }
        value => found.push(format!("{path} = {value}")),
    }
}

/// Every key of the page is known to the product, from a file and from the environment.
#[test]
fn every_setting_is_taken_from_a_file_and_from_the_environment() {
    for row in Page::read("settings.md").table("Settings") {
        let (key, value) = (&row[0], &row[1]);
        let Some((section, name)) = key.split_once('.') else {
            panic!("{key} has no section");
        };
        if section.ends_with("[]") {
            continue;
        }
        let product = Product::new();
        product.write(
            "sprint-reports.toml",
            &format!("[{section}]\n{name} = {value}\n"),
        );
        let from_file = product.run(&["check", "--json"]);
        assert_ne!(from_file.code, Some(2), "{key}: {}", from_file.err);
        if value.starts_with('[') {
            continue;
        }
        let variable = format!("SPRINT_REPORTS__{section}__{name}").to_uppercase();
        let plain = value.trim_matches('"').to_string();
        let product = Product::new().with_environment(vec![(variable, plain)]);
        let from_environment = product.run(&["check", "--json"]);
        assert_ne!(
            from_environment.code,
            Some(2),
            "{key}: {}",
            from_environment.err
        );
    }
}
