//! What sprint 10 (5th to 15th) held when it started, and how it differs from that at its end.

use serde_json::json;

use crate::history::History;

/// What these tests look at.
const MODELS: [&str; 5] = [
    "baseline_changes",
    "baseline_comparison",
    "baselines",
    "sprint_breakdown",
    "stakeholder_issues",
];

/// Fields with a part to play, and people.
fn fields(h: &mut History) {
    let custom = |id: &str, name: &str, role: Option<&str>| json!({"field_id": id, "name": name, "is_custom": true, "role": role});
    h.add(
        "fields",
        custom("cf_d", "Discipline Team", Some("discipline_team")),
    );
    h.add("fields", custom("cf_o", "Owner", Some("owner")));
    h.add("fields", custom("cf_r", "Rank", Some("rank")));
    h.add("fields", custom("cf_x", "Risk", None));
    for (id, name) in [("u1", "Ann"), ("u2", "Bob")] {
        h.add("users", json!({"user_id": id, "display_name": name}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_baseline_keeps_what_was_then() {
    let mut h = History::of(&MODELS).await;
    fields(&mut h);
    // Everything changes in the sprint, and again after it; changes exactly at the start belong to it.
    let now = json!({"assignee_id": "u2", "reporter_id": "u2", "priority": "Lowest",
        "issue_type": "Epic", "discipline_team": "Web",
        "fields_json": r#"{"cf_o":{"accountId":"u2","displayName":"Bob"}}"#});
    h.issue_with(1, 3, Some(8.0), &[10], now);
    h.status(1, 5.0, 1, 2);
    h.status(1, 9.0, 2, 3);
    h.points(1, 5.0, "2", "3");
    h.points(1, 8.0, "3", "5");
    h.points(1, 18.0, "5", "8");
    h.change(1, 6.0, "priority", "3", "4", Some(("Medium", "High")));
    h.change(1, 18.0, "priority", "4", "5", Some(("High", "Lowest")));
    h.change(1, 6.0, "issuetype", "1", "2", Some(("Story", "Bug")));
    h.change(1, 18.0, "issuetype", "2", "3", Some(("Bug", "Epic")));
    h.change(1, 6.0, "cf_d", "1", "2", Some(("Core", "Data")));
    h.change(1, 18.0, "cf_d", "2", "3", Some(("Data", "Web")));
    h.change(1, 6.0, "assignee", "u1", "u2", Some(("Ann", "Bob")));
    h.change(1, 4.0, "cf_o", "", "u1", Some(("", "Ann")));
    h.change(1, 18.0, "cf_o", "u1", "u2", Some(("Ann", "Bob")));
    // Nothing ever changed.
    let plain =
        json!({"reporter_id": "u1", "priority": "Low", "issue_type": "Task", "assignee_id": null});
    h.issue_with(2, 1, None, &[10], plain);
    // Added later: in no baseline. A sub-task: in it, and told apart.
    h.issue(3, 1, Some(1.0), &[10]);
    h.sprints(3, 6.0, "", "10");
    h.issue_with(
        4,
        1,
        None,
        &[10],
        json!({"is_subtask": true, "parent_id": 2}),
    );
    h.refresh().await.unwrap();

    let columns = [
        "issue_id",
        "is_subtask",
        "status",
        "story_points",
        "priority",
        "issue_type",
        "discipline_team",
        "assignee_id",
        "stakeholder",
        "stakeholder_source",
    ];
    let kept = "select * from marts.baselines where baseline_id = '10@start' order by issue_id";
    assert_eq!(
        h.shown(&columns, kept).await,
        json!([
            [
                1, false, "Doing", 3.0, "Medium", "Story", "Core", "u1", "Ann", "owner"
            ],
            [
                2, false, "To Do", null, "Low", "Task", null, null, "Ann", "reporter"
            ],
            [
                4, true, "To Do", null, null, "Story", null, null, null, null
            ],
        ])
    );
    let pinned = h.sql("select distinct kind, pinned_at from marts.baselines where sprint_id = 10");
    assert_eq!(
        json!(pinned.await),
        json!([{"kind": "start", "pinned_at": "2026-01-05T00:00:00Z"}])
    );
    // At its end: after the changes in the sprint, before those after it.
    let columns = [
        "issue_id",
        "status",
        "end_points",
        "priority",
        "issue_type",
        "discipline_team",
        "assignee",
        "stakeholder",
    ];
    let then = "select * from marts.stakeholder_issues where sprint_id = 10 and issue_id = 1";
    assert_eq!(
        h.shown(&columns, then).await,
        json!([[1, "Done", 5.0, "High", "Bug", "Data", "Bob", "Ann"]])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_taken_back_is_none() {
    let mut h = History::of(&MODELS).await;
    fields(&mut h);
    let issue = |h: &mut History, id: i64| h.issue(id, 1, Some(3.0), &[10]);
    for id in 1..=9 {
        issue(&mut h, id);
    }
    // 1: there and back.
    h.status(1, 6.0, 1, 2);
    h.status(1, 8.0, 2, 1);
    // 2: by way of another to a third.
    h.change(2, 6.0, "assignee", "", "u1", Some(("", "Ann")));
    h.change(2, 7.0, "assignee", "u1", "u2", Some(("Ann", "Bob")));
    // 3: two versions, each with an entry of its own; the second is taken out again.
    h.change(3, 6.0, "fixVersions", "", "100", Some(("", "1.0")));
    h.change(3, 7.0, "fixVersions", "", "200", Some(("", "2.0")));
    h.change(3, 8.0, "fixVersions", "200", "", Some(("2.0", "")));
    // 4: both are.
    h.change(4, 6.0, "fixVersions", "", "100", Some(("", "1.0")));
    h.change(4, 7.0, "fixVersions", "", "200", Some(("", "2.0")));
    h.change(4, 8.0, "fixVersions", "100", "", Some(("1.0", "")));
    h.change(4, 9.0, "fixVersions", "200", "", Some(("2.0", "")));
    // 5: order, sprint and echoes only.
    h.change(5, 6.0, "cf_r", "", "", Some(("a", "b")));
    h.sprints(5, 7.0, "10", "");
    h.sprints(5, 8.0, "", "10");
    h.change(5, 9.0, "timespent", "", "60", None);
    // 6: at the start, and after the end. 7: exactly at the end.
    h.change(6, 5.0, "summary", "", "", Some(("a", "b")));
    h.change(6, 15.5, "summary", "", "", Some(("b", "c")));
    h.change(7, 15.0, "summary", "", "", Some(("a", "b")));
    // 8: a custom field by its name, and the estimate.
    h.change(8, 6.0, "cf_x", "", "", Some(("low", "high")));
    h.points(8, 7.0, "5", "3");
    // 9: two long texts that begin alike.
    let long = |end: &str| format!("{}{end}", "x".repeat(300));
    h.change(
        9,
        6.0,
        "description",
        "",
        "",
        Some((&long("a"), &long("b"))),
    );
    h.refresh().await.unwrap();
    let changes = h.shown(
        &["issue_id", "change", "changed_fields"],
        "select * from marts.baseline_changes where baseline_id = '10@start' order by issue_id",
    );
    assert_eq!(
        changes.await,
        json!([
            [1, "unchanged", []],
            [2, "changed", ["assignee"]],
            [3, "changed", ["fix_versions"]],
            [4, "unchanged", []],
            [5, "unchanged", []],
            [6, "unchanged", []],
            [7, "changed", ["summary"]],
            [8, "changed", ["Risk", "story_points"]],
            [9, "changed", ["description"]],
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_and_what_went() {
    let mut h = History::of(&MODELS).await;
    // 1: stays, is done. 2: taken out. 3: added. 4: came and went. 5: moved on by the completion itself.
    h.issue(1, 3, Some(2.0), &[10]);
    h.status(1, 9.0, 1, 3);
    h.issue(2, 1, Some(4.0), &[]);
    h.sprints(2, 8.0, "10", "");
    h.issue(3, 2, Some(1.0), &[10]);
    h.sprints(3, 7.0, "", "10");
    h.issue(4, 1, Some(1.0), &[]);
    h.sprints(4, 7.0, "", "10");
    h.sprints(4, 8.0, "10", "");
    h.issue(5, 1, None, &[11]);
    h.sprints(5, 15.0, "10", "11");
    // A sub-task of 3 comes with it and counts in no total.
    h.issue_with(
        6,
        1,
        Some(9.0),
        &[10],
        json!({"is_subtask": true, "parent_id": 3}),
    );
    // In the active sprint 11: done since, by the data time.
    h.issue(7, 3, Some(1.0), &[11]);
    h.status(7, 18.0, 1, 3);
    h.refresh().await.unwrap();
    let columns = [
        "issue_id",
        "is_subtask",
        "change",
        "status_before",
        "status_after",
        "points_before",
        "points_after",
    ];
    let changes = "select * from marts.baseline_changes where sprint_id = 10 order by issue_id";
    assert_eq!(
        h.shown(&columns, changes).await,
        json!([
            [1, false, "changed", "To Do", "Done", 2.0, 2.0],
            [2, false, "removed", "To Do", null, 4.0, null],
            [3, false, "added", null, "Doing", null, 1.0],
            [5, false, "unchanged", "To Do", "To Do", null, null],
            [6, true, "added", null, "To Do", null, 9.0],
        ])
    );
    let columns = [
        "baseline_id",
        "provisional",
        "compared_at",
        "baseline_issues",
        "present_issues",
        "added_issues",
        "removed_issues",
        "changed_issues",
        "unchanged_issues",
        "estimated_issues",
        "baseline_points",
        "present_points",
        "added_points",
        "removed_points",
        "mean_points",
        "scope_change_ratio",
    ];
    let comparison = "select * from marts.baseline_comparison order by sprint_id";
    // Baseline: 1, 2, 5 with 2 + 4 points, two of them estimated; at the end 1, 3, 5 with 2 + 1.
    // Sprint 11: 5 and 7; the data reaches to the 20th.
    assert_eq!(
        h.shown(&columns, comparison).await,
        json!([
            [
                "10@start",
                false,
                "2026-01-15T00:00:00Z",
                3,
                3,
                1,
                1,
                1,
                1,
                2,
                6.0,
                3.0,
                1.0,
                4.0,
                3.0,
                0.0
            ],
            [
                "11@start",
                true,
                "2026-01-20T00:00:00Z",
                2,
                2,
                0,
                0,
                1,
                1,
                1,
                1.0,
                1.0,
                0.0,
                0.0,
                1.0,
                0.0
            ],
        ])
    );
    let ratios = h
        .sql("select distinct scope_change_ratio as r from marts.baseline_changes where sprint_id = 10")
        .await;
    assert_eq!(
        json!(ratios),
        json!([{"r": 0.0}]),
        "sub-tasks count in no total"
    );
}

/// Two reports of the older application, recomputed: 58 issues, +10, −0, 44 changed: 17.2 %;
/// 126 issues, +36, −3, 104 changed: 26.2 %.
#[tokio::test(flavor = "multi_thread")]
async fn scope_change_of_known_reports() {
    let mut h = History::of(&MODELS).await;
    h.sprint(20, 1, 5.0, Some(15.0));
    let mut next = 0;
    for (sprint, baseline, added, removed, changed) in [(10, 58, 10, 0, 44), (20, 126, 36, 3, 104)]
    {
        for n in 0..baseline + added {
            next += 1;
            let gone = n < removed;
            let present: &[i64] = if gone { &[] } else { &[sprint] };
            h.issue(next, 2, None, present);
            if gone {
                h.sprints(next, 8.0, &sprint.to_string(), "");
            } else if n < removed + changed {
                h.status(next, 9.0, 1, 2);
            } else if n >= baseline {
                h.sprints(next, 7.0, "", &sprint.to_string());
            }
        }
    }
    h.refresh().await.unwrap();
    let columns = [
        "sprint_id",
        "baseline_issues",
        "added_issues",
        "removed_issues",
        "changed_issues",
        "permille",
        "mean_points",
    ];
    let comparison = "select *, cast(round(scope_change_ratio * 1000) as bigint) as permille
        from marts.baseline_comparison where sprint_id in (10, 20) order by sprint_id";
    assert_eq!(
        h.shown(&columns, comparison).await,
        json!([
            [10, 58, 10, 0, 44, 172, null],
            [20, 126, 36, 3, 104, 262, null]
        ])
    );
    // Nothing in it: no ratio.
    let empty = h
        .sql("select baseline_issues, scope_change_ratio from marts.baseline_comparison where sprint_id = 11")
        .await;
    assert_eq!(
        json!(empty),
        json!([{"baseline_issues": 0, "scope_change_ratio": null}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_may_be_a_person_an_option_or_a_text() {
    let mut h = History::of(&MODELS).await;
    fields(&mut h);
    let sent = [
        // A person, here with a name that holds what the values are cut by.
        r#"{"cf_n":"\"cf_o\":{","cf_o":{"avatarUrls":{"16x16":"http://a/{b}"},"displayName":"O \"x\" {","accountId":"u1"},"z":1}"#,
        // Of Data Center: known by the key.
        r#"{"cf_o":{"name":"bobby","key":"u2","displayName":"B","active":true},"z":{"key":"no"}}"#,
        // Several: the first.
        r#"{"cf_o":[{"accountId":"u2"},{"accountId":"u1"}]}"#,
        // One we know nothing else of, an option, a text.
        r#"{"cf_o":{"accountId":"u9","displayName":"Zoe"}}"#,
        r#"{"cf_o":{"self":"http://a","value":"Team \"A\"","id":"77"}}"#,
        r#"{"cf_o":"Ops"}"#,
        // None: the reporter.
        r#"{"cf_o":null,"z":{"accountId":"u2"}}"#,
        r#"{"cf_o":[]}"#,
        r"{}",
    ];
    for (n, fields) in sent.iter().enumerate() {
        let more = json!({"fields_json": fields, "reporter_id": "u1"});
        h.issue_with(n as i64 + 1, 1, None, &[10], more);
    }
    h.issue_with(
        10,
        1,
        None,
        &[10],
        json!({"fields_json": r#"{"cf_o":null}"#}),
    );
    h.refresh().await.unwrap();
    let columns = [
        "issue_id",
        "stakeholder_id",
        "stakeholder",
        "stakeholder_source",
    ];
    let stakeholders =
        "select * from marts.stakeholder_issues where sprint_id = 10 order by issue_id";
    assert_eq!(
        h.shown(&columns, stakeholders).await,
        json!([
            [1, "u1", "Ann", "owner"],
            [2, "u2", "Bob", "owner"],
            [3, "u2", "Bob", "owner"],
            [4, "u9", "Zoe", "owner"],
            [5, "77", "Team \"A\"", "owner"],
            [6, "Ops", "Ops", "owner"],
            [7, "u1", "Ann", "reporter"],
            [8, "u1", "Ann", "reporter"],
            [9, "u1", "Ann", "reporter"],
            [10, null, null, null],
        ])
    );
    let breakdown = h.shown(
        &["ordinal", "value_id", "value", "issues", "issue_share"],
        "select * from marts.sprint_breakdown
         where sprint_id = 10 and dimension = 'stakeholder' order by ordinal",
    );
    assert_eq!(
        breakdown.await,
        json!([
            [1, "u1", "Ann", 4, 0.4],
            [2, "u2", "Bob", 2, 0.2],
            [3, "Ops", "Ops", 1, 0.1],
            [4, "77", "Team \"A\"", 1, 0.1],
            [5, "u9", "Zoe", 1, 0.1],
            [6, null, null, 1, 0.1],
        ])
    );
}
