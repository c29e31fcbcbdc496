//! How issues flow: one issue for each awkward case. The data reaches to the 20th.

use serde_json::{Value, json};

use crate::history::{History, at};

/// A flag that is set or taken away.
fn flag(h: &mut History, id: i64, issue: i64, day: f64, set: bool) {
    let (before, after) = if set {
        ("", "Impediment")
    } else {
        ("Impediment", "")
    };
    let field = if id % 2 == 0 {
        json!("cf_f")
    } else {
        Value::Null
    };
    h.add(
        "changelog_items",
        json!({"history_id": 1000 + id, "ordinal": 0, "issue_id": issue, "changed_at": at(day),
        "field": "Flagged", "field_id": field, "from_string": before, "to_string": after}),
    );
}

fn blocks(h: &mut History, id: i64, blocker: i64, blocked: i64) {
    h.add(
        "issue_links",
        json!({"link_id": id, "link_type_id": 1, "link_type": "Blocks",
        "source_issue_id": blocker, "target_issue_id": blocked}),
    );
}

/// Statuses 5 "Ready for Test" (in progress) and 8 "Released" (done), the flag's field and link types.
async fn site() -> History {
    let mut h = History::new().await;
    for (id, name, category) in [
        (5, "Ready for Test", "indeterminate"),
        (8, "Released", "done"),
    ] {
        h.add(
            "statuses",
            json!({"status_id": id, "name": name, "category": category}),
        );
    }
    h.add(
        "fields",
        json!({"field_id": "cf_f", "name": "Flagged", "is_custom": true, "role": "flagged"}),
    );
    for (id, name, outward, inward) in [
        (1, "Blocks", "blocks", "is blocked by"),
        (2, "Relates", "relates to", "relates to"),
    ] {
        h.add(
            "link_types",
            json!({"link_type_id": id, "name": name, "outward": outward, "inward": inward}),
        );
    }
    h
}

/// Fails unless the row of an issue has these values; hours may differ by a rounding.
async fn expect(h: &History, issue: i64, expected: Value) {
    let sql = format!("select * from marts.issue_flow where issue_id = {issue}");
    let row = h
        .sql(&sql)
        .await
        .pop()
        .unwrap_or_else(|| panic!("no {issue}"));
    for (column, value) in expected.as_object().unwrap() {
        let same = match (row[column].as_f64(), value.as_f64()) {
            (Some(found), Some(value)) => (found - value).abs() < 1e-6,
            _ => &row[column] == value,
        };
        assert!(
            same,
            "issue {issue}, {column}: {} instead of {value}",
            row[column]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_by_all_three_policies() {
    let mut h = site().await;
    h.add(
        "sprints",
        json!({"sprint_id": 12, "board_id": 1, "name": "S12", "state": "future"}),
    );
    // 1: straight through; two days in Doing, four in Ready for Test.
    h.issue(1, 3, None, &[10]);
    h.status(1, 3.0, 1, 2);
    h.status(1, 5.0, 2, 5);
    h.status(1, 9.0, 5, 3);
    // 2: done without ever having been started; planned for a sprint that hasn't started.
    h.issue(2, 3, None, &[12]);
    h.status(2, 4.0, 1, 3);
    // 3: reopened to To Do, started again, done again; in two sprints.
    h.issue(3, 3, None, &[10, 11]);
    for (day, from, to) in [
        (2.0, 1, 2),
        (4.0, 2, 3),
        (6.0, 3, 1),
        (7.0, 1, 2),
        (10.0, 2, 3),
    ] {
        h.status(3, day, from, to);
    }
    // 4: reopened and not done now.
    h.issue(4, 2, None, &[]);
    for (day, from, to) in [(2.0, 1, 2), (4.0, 2, 3), (6.0, 3, 2)] {
        h.status(4, day, from, to);
    }
    // 5: created in progress, which only the "from" of its first change says.
    h.issue(5, 3, None, &[]);
    h.status(5, 5.0, 2, 3);
    // 6: started and done at one instant is not started.
    h.issue(6, 3, None, &[]);
    h.status(6, 6.0, 1, 2);
    h.status(6, 6.0, 2, 3);
    // 7: from one done status to another.
    h.issue(7, 8, None, &[]);
    for (day, from, to) in [(2.0, 1, 2), (4.0, 2, 3), (6.0, 3, 8)] {
        h.status(7, day, from, to);
    }
    // 8: back to To Do, not done: three days of six in Doing. 9: a sub-task. 10: deleted.
    h.issue(8, 1, None, &[]);
    h.status(8, 14.0, 1, 2);
    h.status(8, 17.0, 2, 1);
    h.issue_with(9, 1, None, &[], json!({"is_subtask": true, "parent_id": 1}));
    h.issue_with(10, 3, None, &[], json!({"deleted_at": at(20.0)}));
    // 11: created done.
    h.issue(11, 3, None, &[]);
    h.refresh().await.unwrap();

    // Days × 24: created → done 8, started → done 6, in Doing 2 of 6.
    expect(
        &h,
        1,
        json!({"issue_key": "A-1", "is_subtask": false, "started_at": "2026-01-03T00:00:00Z",
            "done_at": "2026-01-09T00:00:00Z", "first_done_at": "2026-01-09T00:00:00Z",
            "lead_time_hours": 192.0, "cycle_time_hours": 144.0, "cycle_time_wipe_hours": 144.0,
            "cycle_time_high_water_hours": 144.0, "active_hours": 48.0, "waiting_hours": 96.0,
            "blocked_hours": 0.0, "flow_efficiency": 1.0 / 3.0, "reopened_count": 0,
            "sprint_count": 1, "is_blocked": false}),
    )
    .await;
    expect(
        &h,
        2,
        json!({"started_at": null, "lead_time_hours": 72.0, "cycle_time_hours": null,
            "cycle_time_wipe_hours": 0.0, "cycle_time_high_water_hours": 0.0, "active_hours": null,
            "waiting_hours": null, "blocked_hours": null, "flow_efficiency": null, "sprint_count": 0}),
    )
    .await;
    // Cycle time 2 → 10, by the second start 7 → 10, by what was reached first 2 → 4; in Doing 2 + 3.
    expect(
        &h,
        3,
        json!({"first_done_at": "2026-01-04T00:00:00Z", "done_at": "2026-01-10T00:00:00Z",
            "cycle_time_hours": 192.0, "cycle_time_wipe_hours": 72.0,
            "cycle_time_high_water_hours": 48.0, "active_hours": 120.0, "waiting_hours": 72.0,
            "flow_efficiency": 0.625, "reopened_count": 1, "sprint_count": 2}),
    )
    .await;
    // In Doing 2 → 4 and 6 → 20.
    expect(
        &h,
        4,
        json!({"done_at": null, "first_done_at": "2026-01-04T00:00:00Z", "lead_time_hours": null,
            "cycle_time_hours": null, "cycle_time_wipe_hours": null,
            "cycle_time_high_water_hours": 48.0, "active_hours": 384.0, "waiting_hours": 48.0,
            "reopened_count": 1}),
    )
    .await;
    expect(
        &h,
        5,
        json!({"started_at": "2026-01-01T00:00:00Z", "cycle_time_hours": 96.0, "flow_efficiency": 1.0}),
    )
    .await;
    expect(
        &h,
        6,
        json!({"started_at": null, "done_at": "2026-01-06T00:00:00Z", "cycle_time_hours": null}),
    )
    .await;
    expect(
        &h,
        7,
        json!({"done_at": "2026-01-04T00:00:00Z", "cycle_time_hours": 48.0, "reopened_count": 0}),
    )
    .await;
    expect(
        &h,
        8,
        json!({"active_hours": 72.0, "waiting_hours": 72.0, "flow_efficiency": 0.5}),
    )
    .await;
    expect(&h, 9, json!({"is_subtask": true, "started_at": null})).await;
    expect(
        &h,
        11,
        json!({"done_at": "2026-01-01T00:00:00Z", "lead_time_hours": 0.0, "cycle_time_hours": null}),
    )
    .await;
    assert_eq!(
        h.sql("select count(*) as n from marts.issue_flow").await[0]["n"],
        10
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_blocks_from_the_start_on_and_links_block_now() {
    let mut h = site().await;
    // 1: flagged on the 2nd, started on the 3rd, released on the 5th, done on the 7th.
    h.issue(1, 3, None, &[]);
    flag(&mut h, 1, 1, 2.0, true);
    h.status(1, 3.0, 1, 2);
    flag(&mut h, 2, 1, 5.0, false);
    h.status(1, 7.0, 2, 3);
    // 2: started on the 10th, flagged from the 15th on.
    h.issue(2, 2, None, &[]);
    h.status(2, 10.0, 1, 2);
    flag(&mut h, 3, 2, 15.0, true);
    // 3: flagged for a day while it waits anyway.
    h.issue(3, 3, None, &[]);
    h.status(3, 2.0, 1, 2);
    h.status(3, 4.0, 2, 5);
    flag(&mut h, 4, 3, 5.0, true);
    flag(&mut h, 5, 3, 6.0, false);
    h.status(3, 8.0, 5, 3);
    // 4: done, with its flag. 5: set and taken away at one instant.
    h.issue(4, 3, None, &[]);
    h.status(4, 2.0, 1, 2);
    flag(&mut h, 6, 4, 3.0, true);
    h.status(4, 4.0, 2, 3);
    h.issue(5, 2, None, &[]);
    h.status(5, 18.0, 1, 2);
    flag(&mut h, 7, 5, 19.0, true);
    flag(&mut h, 8, 5, 19.0, false);
    // 6: flagged when it was created, which no change says, only the field. 7: the change that took
    // the flag away is lost; the field has none. 8: another flag in place of the first.
    let fields = json!({"fields_json": "{\"x\":1,\"cf_f\": [{\"value\":\"Impediment\"}]}"});
    h.issue_with(6, 2, None, &[], fields);
    h.status(6, 3.0, 1, 2);
    let fields = json!({"fields_json": "{\"cf_f\":null,\"text\":\"\\\"cf_f\\\":[1]\"}"});
    h.issue_with(7, 2, None, &[], fields);
    h.status(7, 3.0, 1, 2);
    flag(&mut h, 9, 7, 5.0, true);
    h.issue(8, 2, None, &[]);
    h.status(8, 16.0, 1, 2);
    flag(&mut h, 10, 8, 17.0, true);
    h.add("changelog_items", json!({"history_id": 1099, "ordinal": 0, "issue_id": 8, "changed_at": at(18.0),
        "field": "Flagged", "field_id": "cf_f", "from_string": "Impediment", "to_string": "Awaiting input"}));
    flag(&mut h, 12, 8, 19.0, false);
    // 9 is blocked by 2, which is not done; 10 by 1, which is; 11 is related to 2; 12 is done.
    for id in 9..12 {
        h.issue(id, 1, None, &[]);
    }
    h.issue(12, 3, None, &[]);
    blocks(&mut h, 1, 2, 9);
    blocks(&mut h, 2, 1, 10);
    blocks(&mut h, 3, 2, 12);
    h.add(
        "issue_links",
        json!({"link_id": 4, "link_type_id": 2, "link_type": "Relates",
        "source_issue_id": 2, "target_issue_id": 11}),
    );
    h.refresh().await.unwrap();

    // Blocked 3 → 5 of 3 → 7.
    expect(
        &h,
        1,
        json!({"cycle_time_hours": 96.0, "blocked_hours": 48.0, "active_hours": 48.0,
            "waiting_hours": 48.0, "flow_efficiency": 0.5, "is_blocked": false}),
    )
    .await;
    expect(
        &h,
        2,
        json!({"blocked_hours": 120.0, "active_hours": 120.0, "waiting_hours": 120.0, "is_blocked": true}),
    )
    .await;
    // Active 2 → 4 of 2 → 8; the flagged day is one of the four in Ready for Test.
    expect(
        &h,
        3,
        json!({"blocked_hours": 24.0, "active_hours": 48.0, "waiting_hours": 96.0}),
    )
    .await;
    expect(
        &h,
        4,
        json!({"blocked_hours": 24.0, "active_hours": 24.0, "is_blocked": false}),
    )
    .await;
    expect(
        &h,
        5,
        json!({"blocked_hours": 0.0, "active_hours": 48.0, "is_blocked": false}),
    )
    .await;
    // From its start on the 3rd to the 20th.
    expect(
        &h,
        6,
        json!({"blocked_hours": 408.0, "active_hours": 0.0, "is_blocked": true}),
    )
    .await;
    expect(
        &h,
        7,
        json!({"blocked_hours": 0.0, "active_hours": 408.0, "is_blocked": false}),
    )
    .await;
    // 17 → 19.
    expect(&h, 8, json!({"blocked_hours": 48.0, "active_hours": 48.0})).await;
    for (issue, blocked) in [(9, true), (10, false), (11, false), (12, false)] {
        expect(&h, issue, json!({"is_blocked": blocked})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_words_of_a_name_say_that_it_waits() {
    let mut h = History::new().await;
    let names = [
        ("Ready for QA", Some("ready")),
        ("ON HOLD", Some("hold")),
        ("waiting_for_customer", Some("waiting")),
        ("Review queue", Some("queue")),
        ("Blocked", Some("blocked")),
        ("Unblocked", None),
        ("Already reviewed", None),
        ("Holding tank threshold", None),
        ("In Review", None),
    ];
    for (n, (name, _)) in names.iter().enumerate() {
        h.add(
            "statuses",
            json!({"status_id": 20 + n, "name": name, "category": "indeterminate"}),
        );
    }
    h.issue(1, 1, None, &[]);
    h.refresh().await.unwrap();
    for (name, word) in names {
        let row = h
            .sql(&format!(
                "select * from intermediate.int_flow__status_kinds where status = '{name}'"
            ))
            .await
            .remove(0);
        assert_eq!(row["waiting_word"], json!(word), "{name}");
        assert_eq!(row["says_waiting"], json!(word.is_some()), "{name}");
    }
}
