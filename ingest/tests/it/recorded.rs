//! Real payloads of a real site, read from the folder that `SPRINT_REPORTS_TEST_DATA` names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;
use simulator::{Settings, Simulator};

use crate::{Lake, SyncOptions, connection, options};

fn folder() -> Option<PathBuf> {
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
    assert_eq!(issues.len(), 33);
    assert_eq!(items.len(), 714);
    let of_board: BTreeSet<i64> = issues
        .iter()
        .filter(|row| row["project_key"] == "EE")
        .map(|row| row["issue_id"].as_i64().unwrap())
        .collect();
    assert_eq!(of_board.len(), 30);
    let own = items
        .iter()
        .filter(|row| of_board.contains(&row["issue_id"].as_i64().unwrap()));
    assert_eq!(own.count(), 709);
    assert_eq!(
        items
            .iter()
            .filter(|row| row["field"] == "Fix Version")
            .count(),
        63
    );
    assert_eq!(lake.table("sprints").await.len(), 30);

    // The raw material of all memberships: the present field, every change of it, and the parents.
    let mut members: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for row in issues.iter().filter(|row| row["project_key"] == "EE") {
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
