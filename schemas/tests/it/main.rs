//! Contracts may change, but what was written by an older version stays readable.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

mod compatible;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use compatible::breaks;

/// Set to write the present contracts down as published.
const PUBLISH: &str = "PUBLISH_CONTRACTS";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// All files of a folder and its folders, by their path below it without extension.
fn files(folder: &Path) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for schema in std::fs::read_dir(folder).unwrap() {
        let schema = schema.unwrap().path();
        for file in std::fs::read_dir(&schema).unwrap() {
            let path = file.unwrap().path();
            let stem = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_string();
            let json = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            found.insert(format!("{}/{}", stem(&schema), stem(&path)), json);
        }
    }
    found
}

/// What of a contract counts: not its words.
fn shape(contract: &Value) -> Value {
    let part = |from: &Value, names: &[&str]| -> Value {
        let parts = names.iter().filter_map(|name| {
            let value = from.get(*name)?.clone();
            Some(((*name).to_string(), value))
        });
        Value::Object(parts.collect())
    };
    let mut shape = part(contract, &["type", "name", "namespace", "version", "key"]);
    let fields = contract["fields"].as_array().unwrap().iter();
    let fields = fields.map(|field| part(field, &["name", "type", "default"]));
    shape["fields"] = fields.collect();
    shape
}

/// What is wrong with a contract, given its published versions, oldest first.
fn wrong(present: &Value, published: &[Value]) -> Option<String> {
    let version = present["version"].as_i64()?;
    for (number, one) in (1i64..).zip(published) {
        if one["version"] != number {
            return Some(format!(
                "published version {number} calls itself {}",
                one["version"]
            ));
        }
    }
    for pair in published.windows(2) {
        if let Some(reason) = breaks(&pair[0], &pair[1]) {
            return Some(reason);
        }
    }
    let newest = published.len() as i64;
    let reason = published.last().and_then(|last| breaks(last, present));
    if let Some(reason) = reason {
        return Some(format!(
            "{reason}. Keep the column as it was, and add another one"
        ));
    }
    if published.last() == Some(present) {
        return None;
    }
    Some(if version <= newest {
        format!(
            "it has changed: set \"version\": {} in the file, then run the tests of schemas with {PUBLISH}=1",
            newest + 1
        )
    } else if version == newest + 1 {
        format!("version {version} is not published: run the tests of schemas with {PUBLISH}=1")
    } else {
        format!("it skips a version: set \"version\": {}", newest + 1)
    })
}

fn write(path: &Path, versions: &[Value]) {
    let one = |version: &Value| {
        let mut head = version.clone();
        let fields = head["fields"].take();
        head.as_object_mut().unwrap().remove("fields");
        let head = head.to_string();
        let fields = fields.as_array().unwrap().iter();
        let fields: Vec<_> = fields.map(|field| format!("      {field}")).collect();
        let head = head.trim_end_matches('}');
        format!("    {head}, \"fields\": [\n{}\n    ]}}", fields.join(",\n"))
    };
    let versions: Vec<_> = versions.iter().map(one).collect();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("[\n{}\n]\n", versions.join(",\n"))).unwrap();
}

#[test]
fn every_contract_is_published_and_reads_what_its_older_versions_wrote() {
    let publish = std::env::var_os(PUBLISH).is_some();
    let published = files(&folder("published"));
    let contracts = files(&folder("avro"));
    let mut complaints = Vec::new();
    for (name, contract) in &contracts {
        let present = shape(contract);
        let none = json!([]);
        let mut versions = published
            .get(name)
            .unwrap_or(&none)
            .as_array()
            .unwrap()
            .clone();
        let is_next = present["version"] == versions.len() as i64 + 1;
        let fits = versions
            .last()
            .and_then(|last| breaks(last, &present))
            .is_none();
        if publish && is_next && fits {
            versions.push(present.clone());
            write(
                &folder("published").join(name).with_extension("json"),
                &versions,
            );
        }
        if let Some(reason) = wrong(&present, &versions) {
            complaints.push(format!("\navro/{name}.avsc: {reason}"));
        }
    }
    for name in published
        .keys()
        .filter(|name| !contracts.contains_key(*name))
    {
        complaints.push(format!(
            "\navro/{name}.avsc: the contract was published and is gone"
        ));
    }
    assert!(complaints.is_empty(), "{}", complaints.concat());
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let contract = |version: i64, columns: &[(&str, Value)]| {
        let fields: Vec<_> = columns
            .iter()
            .map(|(name, kind)| match kind.is_array() {
                true => json!({"name": name, "type": kind, "default": null}),
                false => json!({"name": name, "type": kind}),
            })
            .collect();
        json!({"type": "record", "name": "t", "namespace": "n", "version": version,
            "key": ["connection"], "fields": fields})
    };
    let maybe = |kind: &str| json!(["null", kind]);
    let (text, deleted) = (json!("string"), ("deleted_at", maybe("long")));
    let first = contract(1, &[("connection", text.clone()), deleted.clone()]);
    let with = |version, kind: Value| {
        contract(
            version,
            &[("connection", text.clone()), ("x", kind), deleted.clone()],
        )
    };
    let published = [first.clone()];
    assert_eq!(wrong(&first, &published), None);
    let told = |present: &Value, part: &str| {
        let told = wrong(present, &published).unwrap();
        assert!(told.contains(part), "{told}");
    };
    told(&with(1, maybe("string")), "set \"version\": 2");
    told(&with(2, maybe("string")), "is not published");
    told(&with(3, maybe("string")), "skips a version");
    told(&with(2, text.clone()), "x is new and required");
    assert_eq!(
        wrong(
            &with(2, maybe("string")),
            &[first.clone(), with(2, maybe("string"))]
        ),
        None
    );
    let lost = contract(2, &[("connection", text)]);
    told(&lost, "deleted_at is gone");
}
