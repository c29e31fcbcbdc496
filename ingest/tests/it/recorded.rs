//! Real payloads of a real site, read from the folder that `SPRINT_REPORTS_TEST_DATA` names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;
use simulator::{Settings, Simulator};

use crate::site::{Issue, Site};
use crate::{Lake, SyncOptions, connection, options};

pub(crate) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SPRINT_REPORTS_TEST_DATA").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: SPRINT_REPORTS_TEST_DATA names no folder with recorded payloads");
    }
    folder
}

/// Ids in a value such as `"76, 79"`.
fn ids(value: &Value) -> BTreeSet<i64> {
    let text = value.as_str().unwrap_or_default();
    text.split(',')
        .filter_map(|id| id.trim().parse().ok())
        .collect()
}

/// Rows of a CSV file, by the names in its first line.
fn csv(text: &str) -> Vec<BTreeMap<String, String>> {
    let (mut lines, mut line, mut cell, mut quoted) =
        (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.trim_end().chars().chain(['\n']).peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => line.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                line.push(std::mem::take(&mut cell));
                lines.push(std::mem::take(&mut line));
            }
            '\r' if !quoted => {}
            c => cell.push(c),
        }
    }
    let names = lines.remove(0);
    let named = |line: Vec<String>| names.iter().cloned().zip(line).collect();
    lines.into_iter().map(named).collect()
}

#[tokio::test]
async fn every_recorded_item_comes_out() {
    let Some(folder) = folder() else { return };
    let text =
        std::fs::read_to_string(folder.join("devlake/raw/_raw_jira_api_issues.csv")).unwrap();
    let site = Site::start().await;
    for line in csv(&text) {
        let mut issue: Value = serde_json::from_str(&line["data"]).unwrap();
        let id = issue["id"].as_str().unwrap().parse().unwrap();
        let at = |name: &str| {
            let text = issue["fields"][name].as_str().unwrap();
            let at = chrono::DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z").unwrap();
            at.timestamp_millis()
        };
        let (created, updated) = (at("created"), at("updated"));
        let histories = issue["changelog"]["histories"].take();
        let histories = histories.as_array().unwrap().clone();
        let fields = issue["fields"].take();
        let issue = Issue {
            created,
            updated,
            fields,
            histories,
        };
        site.edit(|state| state.issues.insert(id, issue));
    }
    let lake = Lake::open().await;
    let all = SyncOptions {
        batch_issues: 20,
        ..options()
    };
    let report = lake.sync_with(&connection(&site.url()), all).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(lake.table("issues").await.len(), 33);
    assert_eq!(lake.table("changelog_items").await.len(), 714);
}

#[tokio::test]
async fn nothing_of_a_recorded_site_is_lost() {
    let Some(folder) = folder() else { return };
    let simulator = Simulator::replay(&folder.join("devlake/raw"), Settings::default())
        .await
        .unwrap();
    let lake = Lake::open().await;
    let all = SyncOptions {
        batch_issues: 20,
        ..options()
    };
    let report = lake
        .sync_with(&connection(simulator.url()), all)
        .await
        .unwrap();
    assert!(report.is_complete(), "{report:?}");
    let issues = lake.table("issues").await;
    let items = lake.table("changelog_items").await;
    assert_eq!(issues.len(), 30);
    assert_eq!(items.len(), 709);
    let versions = items.iter().filter(|row| row["field"] == "Fix Version");
    assert_eq!(versions.count(), 63);
    assert_eq!(lake.table("sprints").await.len(), 30);
    // Five issues tell of remote links in their histories; they have six.
    let links = lake.table("remote_links").await;
    assert_eq!(links.len(), 6);
    assert!(
        links
            .iter()
            .all(|row| row["url"].is_string() && row["title"].is_string())
    );

    // The raw material of all memberships: the present field, every change of it, and the parents.
    let mut members: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for row in &issues {
        let sprints = row["sprint_ids"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_i64);
        members
            .entry(row["issue_id"].as_i64().unwrap())
            .or_default()
            .extend(sprints);
    }
    for row in items.iter().filter(|row| row["field"] == "Sprint") {
        if let Some(member) = members.get_mut(&row["issue_id"].as_i64().unwrap()) {
            member.extend(ids(&row["from_value"]));
            member.extend(ids(&row["to_value"]));
        }
    }
    assert_eq!(members.values().map(BTreeSet::len).sum::<usize>(), 32);
}
