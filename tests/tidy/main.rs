//! Rules of the repository that the compiler does not see.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// Files below a folder of the repository, build results and installed packages left out.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if ["target", "node_modules", ".git", "data"].contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            files(&path, found)
        } else {
            found.push(path)
        }
    }
}

fn with_extension(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&root(), &mut found);
    found.retain(|path| path.extension().is_some_and(|found| found == extension));
    found.sort();
    found
}

/// Our crates and the folders they stand in.
fn crates() -> BTreeMap<String, PathBuf> {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&text).unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap().clone();
    members
        .iter()
        .map(|member| {
            let folder = root().join(member.as_str().unwrap());
            let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            let package: toml::Table = toml::from_str(&text).unwrap();
            (
                package["package"]["name"].as_str().unwrap().to_string(),
                folder,
            )
        })
        .collect()
}

/// Dependencies point one way; siblings never see each other.
#[test]
fn dependencies_point_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("schemas", &[][..]),
        ("simulator", &[]),
        ("warehouse", &["schemas", "tests (test)"]),
        ("ingest", &["schemas", "warehouse", "simulator (test)"]),
        ("transform", &["schemas", "warehouse"]),
        ("serve", &["schemas", "warehouse"]),
        (
            "pipelines",
            &["schemas", "warehouse", "ingest", "transform"],
        ),
        (
            "cli",
            &[
                "schemas",
                "warehouse",
                "ingest",
                "transform",
                "pipelines",
                "serve",
                "simulator",
            ],
        ),
        (
            "tests",
            &["schemas (test)", "simulator", "warehouse (test)"],
        ),
    ]);
    let crates = crates();
    for (name, folder) in &crates {
        let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let manifest: toml::Table = toml::from_str(&text).unwrap();
        for (section, suffix) in [
            ("dependencies", ""),
            ("dev-dependencies", " (test)"),
            ("build-dependencies", ""),
        ] {
            let Some(section) = manifest.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for dependency in section.keys().filter(|key| crates.contains_key(*key)) {
                let edge = format!("{dependency}{suffix}");
                let may = allowed[name.as_str()];
                assert!(
                    may.contains(&edge.as_str()) || may.contains(&dependency.as_str()),
                    "{name} must not depend on {edge}"
                );
            }
        }
    }
}

/// Heavy libraries stay behind the crate that wraps them.
#[test]
fn heavy_libraries_are_fenced() {
    let fenced: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("deltalake", &["warehouse"][..]),
        ("object_store", &["warehouse"]),
        ("sqlx", &["warehouse"]),
        ("datafusion", &["warehouse", "transform"]),
        ("reqwest", &["ingest", "simulator", "tests"]),
        ("pgwire", &["serve"]),
        ("axum", &["serve", "simulator"]),
        ("clap", &["cli", "simulator"]),
        ("anyhow", &["cli"]),
    ]);
    for (name, folder) in crates() {
        let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let manifest: toml::Table = toml::from_str(&text).unwrap();
        for section in ["dependencies", "dev-dependencies"] {
            let Some(section) = manifest.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for (library, owners) in &fenced {
                assert!(
                    !section.contains_key(*library) || owners.contains(&name.as_str()),
                    "{name} must not use {library}; {owners:?} wrap it"
                );
            }
        }
    }
}

#[test]
fn every_crate_inherits_the_lints_and_has_a_readme() {
    for (name, folder) in crates() {
        let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(
            text.contains("[lints]\nworkspace = true"),
            "{name} does not inherit the lints"
        );
        let readme = fs::read_to_string(folder.join("README.md")).unwrap_or_default();
        assert!(
            readme.len() > 400,
            "{name} has no README that says what it is for"
        );
    }
}

/// A model, check or query is a statement and a neighbour that says what it means.
#[test]
fn every_model_has_a_neighbour() {
    for path in with_extension("sql") {
        let place = path.strip_prefix(root()).unwrap().to_path_buf();
        let is_model = ["staging", "intermediate", "marts", "checks", "queries"]
            .iter()
            .any(|layer| place.starts_with(Path::new("sql").join(layer)));
        if is_model {
            assert!(
                path.with_extension("yml").is_file(),
                "{} has no .yml",
                place.display()
            );
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(
                lines <= 250,
                "{}: {lines} lines; split the model",
                place.display()
            );
        }
    }
}

#[test]
fn files_stay_small_enough_to_find_ones_way() {
    let mut long = BTreeSet::new();
    for path in with_extension("rs") {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 800, "{}: {lines} lines", path.display());
        if lines > 400 {
            long.insert(format!(
                "{} {lines}",
                path.strip_prefix(root()).unwrap().display()
            ));
        }
    }
    for file in long {
        println!("long file: {file}");
    }
}

/// Every point at which a fault can be injected is one at which a test injects it.
#[test]
fn every_fault_point_is_tested() {
    let mut points = BTreeSet::new();
    let mut tests = String::new();
    for path in with_extension("rs") {
        let text = fs::read_to_string(&path).unwrap();
        if path.components().any(|part| part.as_os_str() == "tests") {
            tests.push_str(&text);
            continue;
        }
        for call in text.split("fault::point(\"").skip(1) {
            points.insert(call.split('"').next().unwrap().to_string());
        }
    }
    assert!(points.len() >= 8, "{points:?}");
    let untested: Vec<_> = points
        .iter()
        .filter(|point| !tests.contains(*point))
        .collect();
    assert!(
        untested.is_empty(),
        "no test injects a fault at {untested:?}"
    );
}

/// Only the binary and the tests read the environment.
#[test]
fn libraries_do_not_read_the_environment() {
    for (name, folder) in crates() {
        if ["cli", "tests", "simulator"].contains(&name.as_str()) {
            continue;
        }
        let mut sources = Vec::new();
        files(&folder.join("src"), &mut sources);
        for path in sources
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        {
            if path.starts_with(root().join("ingest/simulator"))
                || path.starts_with(root().join("serve/cli"))
            {
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            assert!(
                !code.contains("env::var") && !code.contains("from_env("),
                "{} reads the environment",
                path.display()
            );
        }
    }
}

/// Building and testing use the same features of shared crates; else the engine is compiled twice.
#[test]
fn tests_change_no_features_of_what_is_built() {
    let features = |edges: &str| {
        let arguments = [
            "tree",
            "--workspace",
            "--offline",
            "--prefix",
            "none",
            "-f",
            "{p} {f}",
        ];
        let output = std::process::Command::new(env!("CARGO"))
            .args(arguments)
            .args(["-e", edges])
            .current_dir(root())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.lines().count() > 100,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let lines = text
            .lines()
            .map(|line| line.trim_end_matches(" (*)").to_string());
        lines.collect::<BTreeSet<_>>()
    };
    let (built, tested) = (features("normal,build"), features("normal,build,dev"));
    let names: BTreeSet<_> = built
        .iter()
        .filter_map(|line| line.rsplit_once(' '))
        .collect();
    let versions: BTreeSet<_> = names.iter().map(|(package, _)| *package).collect();
    let more: Vec<_> = tested
        .difference(&built)
        .filter(|line| {
            line.rsplit_once(' ')
                .is_some_and(|(package, _)| versions.contains(package))
        })
        .collect();
    assert!(
        more.is_empty(),
        "only in tests: {more:?}; move what asks for it to [dependencies]"
    );
}
