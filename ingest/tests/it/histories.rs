//! Histories of reference data: what a listing said, when it was read.

use schemas::{Contract, Row, contracts};
use serde_json::{Value, json};
use warehouse::fault;

use crate::site::Site;
use crate::{FAULTS, Lake, SyncOptions, connection, options};

fn replay() -> SyncOptions {
    SyncOptions {
        replay: true,
        ..options()
    }
}

/// States of a record, oldest first: (value of a column, has ended, ended by deletion, initial).
async fn states(
    lake: &Lake,
    table: &str,
    (key, id): (&str, i64),
    column: &str,
) -> Vec<(Value, bool, bool, bool)> {
    let mut rows = lake.table(table).await;
    rows.retain(|row| row[key] == id);
    rows.sort_by_key(|row| instant(row, "valid_from"));
    for pair in rows.windows(2) {
        let follows = instant(&pair[0], "valid_to") == instant(&pair[1], "valid_from");
        assert_eq!(follows, pair[0]["deleted_at"].is_null(), "{pair:?}");
    }
    let state = |row: Row| {
        (
            row[column].clone(),
            !row["valid_to"].is_null(),
            !row["deleted_at"].is_null(),
            row["is_initial"] == json!(true),
        )
    };
    rows.into_iter().map(state).collect()
}

fn instant(row: &Row, column: &str) -> Option<chrono::DateTime<chrono::Utc>> {
    row[column].as_str().map(|text| text.parse().unwrap())
}

/// The live rows of every table that has a history are its lasting states.
async fn assert_the_present_is_the_last_state(lake: &Lake) {
    let with_history = contracts().iter().filter_map(Contract::history);
    for history in with_history {
        let shown = |rows: Vec<Row>, live: &str| -> Vec<String> {
            let mut rows: Vec<_> = rows
                .into_iter()
                .filter(|row| row[live].is_null())
                .map(|mut row| {
                    row.retain(|name, _| {
                        let interval = ["valid_from", "valid_to", "is_initial", "deleted_at"];
                        // What the settings say has no history.
                        let ours = ["role", "is_selected"];
                        !ours.contains(&name.as_str()) && !interval.contains(&name.as_str())
                    });
                    Value::Object(row).to_string()
                })
                .collect();
            rows.sort();
            rows
        };
        let name = &history.table().name;
        let base = name.strip_suffix("_history").unwrap();
        assert_eq!(
            shown(lake.table(base).await, "deleted_at"),
            shown(lake.table(name).await, "valid_to"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn renamed_moved_remapped_deleted_and_back() {
    let site = Site::start().await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    lake.sync(&acme).await.unwrap();
    let versions = lake.versions().await;
    lake.sync(&acme).await.unwrap();
    assert_eq!(lake.versions().await, versions, "nothing changed");

    site.edit(|state| {
        state.statuses[0]["name"] = json!("Open");
        state.statuses[1]["statusCategory"]["key"] = json!("indeterminate");
        state.sprints.get_mut(&8).unwrap()[0]["startDate"] = json!("2026-03-02T08:00:00.000Z");
        state.columns = vec![("Doing", vec![1, 3]), ("Done", vec![])];
    });
    lake.sync(&acme).await.unwrap();
    let gone = site.edit(|state| state.statuses.remove(1));
    lake.sync(&acme).await.unwrap();
    site.edit(|state| {
        state.statuses.push(gone);
        state.columns = vec![("To do", vec![1]), ("Done", vec![3])];
    });
    lake.sync(&acme).await.unwrap();

    let named = states(&lake, "statuses_history", ("status_id", 1), "name").await;
    assert_eq!(
        named,
        [
            (json!("To Do"), true, false, true),
            (json!("Open"), false, false, false)
        ]
    );
    let category = states(&lake, "statuses_history", ("status_id", 3), "category").await;
    assert_eq!(
        category,
        [
            (json!("done"), true, false, true),
            (json!("indeterminate"), true, true, false),
            (json!("indeterminate"), false, false, false),
        ]
    );
    let started = states(&lake, "sprints_history", ("sprint_id", 7), "start_at").await;
    let starts: Vec<_> = started
        .iter()
        .map(|state| state.0.as_str().unwrap())
        .collect();
    assert_eq!(starts, ["2026-03-01T08:00:00Z", "2026-03-02T08:00:00Z"]);
    assert_the_present_is_the_last_state(&lake).await;

    // As of each look, a board has just the columns it showed then.
    let columns = lake.table("board_columns_history").await;
    let mut looks: Vec<_> = columns
        .iter()
        .filter_map(|row| instant(row, "valid_from"))
        .collect();
    looks.sort_unstable();
    looks.dedup();
    let at = |look: chrono::DateTime<chrono::Utc>| {
        let mut then: Vec<_> = columns
            .iter()
            .filter(|row| row["board_id"] == 8)
            .filter(|row| instant(row, "valid_from") <= Some(look))
            .filter(|row| instant(row, "valid_to").is_none_or(|to| look < to))
            .map(|row| {
                let text = |column: &str| row[column].as_str().unwrap().to_string();
                (
                    row["ordinal"].as_i64().unwrap(),
                    text("name"),
                    text("status_key"),
                )
            })
            .collect();
        then.sort();
        then
    };
    let column = |at: i64, name: &str, status: &str| (at, name.to_string(), status.to_string());
    let plain = vec![column(0, "To do", "1"), column(1, "Done", "3")];
    let merged = vec![
        column(0, "Doing", "1"),
        column(0, "Doing", "3"),
        column(1, "Done", ""),
    ];
    let seen: Vec<_> = looks.into_iter().map(at).collect();
    assert_eq!(seen, [plain.clone(), merged, plain]);

    let everything = lake.everything().await;
    lake.sync_with(&acme, replay()).await.unwrap();
    assert_eq!(lake.everything().await, everything);
    let versions = lake.versions().await;
    lake.sync(&acme).await.unwrap();
    assert_eq!(lake.versions().await, versions);
}

/// The part that a field plays is ours, not the source's; it is in no history.
#[tokio::test]
async fn a_change_of_roles_is_no_change_of_fields() {
    let site = Site::start().await;
    let lake = Lake::open().await;
    let mut acme = connection(&site.url());
    lake.sync(&acme).await.unwrap();
    let before = lake.table("fields_history").await;
    acme.fields.owner = Some("customfield_16".into());
    acme.fields.story_points = Some("summary".into());
    lake.sync(&acme).await.unwrap();
    let roles = |rows: Vec<Row>| {
        rows.into_iter()
            .filter(|row| row["role"] == "owner")
            .count()
    };
    assert_eq!(roles(lake.table("fields").await), 1);
    assert_eq!(lake.table("fields_history").await, before);
}

/// A record that can't be read is no proof that its state has ended.
#[tokio::test]
async fn a_quarantined_record_keeps_its_state() {
    let site = Site::start().await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    lake.sync(&acme).await.unwrap();
    let healthy = site.edit(|state| {
        let healthy = state.statuses[0].clone();
        state.statuses[0] = json!({"id": "1", "statusCategory": {"key": "done"}});
        healthy
    });
    assert_eq!(lake.sync(&acme).await.unwrap().quarantined(), 1);
    site.edit(|state| state.statuses[0] = healthy);
    lake.sync(&acme).await.unwrap();
    let states = states(&lake, "statuses_history", ("status_id", 1), "name").await;
    assert_eq!(states, [(json!("To Do"), false, false, true)]);
    let everything = lake.everything().await;
    lake.sync_with(&acme, replay()).await.unwrap();
    assert_eq!(lake.everything().await, everything);
}

#[tokio::test]
async fn a_run_killed_between_history_and_table_leaves_no_trace() {
    let _alone = FAULTS.write().await;
    // The table itself is compared twice: with the listing landed last, then with the new one.
    // Where the run is killed, and what the site does before the next one: nothing, go on, or go back.
    for (point, after) in [
        ("ingest.listing.landed:2", "another name"),
        ("jira.statuses_history.before_commit", "back"),
        ("jira.statuses_history.committed", "back"),
        ("jira.statuses_history.committed", "the same"),
        ("jira.statuses.before_commit:2", "another name"),
        ("jira.statuses.committed:2", "back"),
        ("jira.sprints_history.committed", "another name"),
        ("jira.board_columns_history.committed", "the same"),
    ] {
        let site = Site::start().await;
        let lake = Lake::unguarded().await;
        let acme = connection(&site.url());
        lake.sync(&acme).await.unwrap();
        site.edit(|state| {
            state.projects[0]["name"] = json!("P");
            state.statuses[0]["name"] = json!("Open");
            state.statuses.remove(1);
            state.sprints.get_mut(&8).unwrap()[0]["name"] = json!("S");
            state.columns = vec![("Doing", vec![1, 3])];
        });
        fault::arm(&format!("fail@{point}")).unwrap();
        lake.sync(&acme).await.unwrap_err();
        let name = match after {
            "the same" => "Open",
            "another name" => "New",
            _ => "To Do",
        };
        site.edit(|state| state.statuses[0]["name"] = json!(name));
        lake.sync(&acme).await.unwrap();
        let states = states(&lake, "statuses_history", ("status_id", 1), "name").await;
        let names: Vec<_> = states
            .iter()
            .map(|state| state.0.as_str().unwrap())
            .collect();
        let expected: &[&str] = match after {
            "the same" => &["To Do", "Open"],
            _ => &["To Do", "Open", name],
        };
        assert_eq!(names, expected, "{point}, {after}");
        assert_the_present_is_the_last_state(&lake).await;
        let everything = lake.everything().await;
        lake.sync_with(&acme, replay()).await.unwrap();
        assert_eq!(lake.everything().await, everything, "{point}, {after}");
    }
    // Killed in a replay, the next sync finishes it to the same histories.
    let site = Site::start().await;
    let lake = Lake::unguarded().await;
    let acme = connection(&site.url());
    for name in ["A", "B", "C"] {
        site.edit(|state| state.statuses[0]["name"] = json!(name));
        lake.sync(&acme).await.unwrap();
    }
    let everything = lake.everything().await;
    for point in [
        "jira.statuses_history.committed:2",
        "jira.statuses.committed:2",
    ] {
        fault::arm(&format!("fail@{point}")).unwrap();
        lake.sync_with(&acme, replay()).await.unwrap_err();
        lake.sync(&acme).await.unwrap();
        assert_eq!(lake.everything().await, everything, "{point}");
    }
}
