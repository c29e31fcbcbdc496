//! Flow of boards and projects. Board 2 stands in project 100 and has the columns To Do, Doing (with
//! Ready for Test) and Done; days are those of Berlin, one hour ahead of UTC.

use serde_json::{Value, json};

use crate::history::{History, at};

async fn site() -> History {
    let mut h = History::new().await;
    h.add(
        "sites",
        json!({"deployment_type": "Cloud", "time_zone": "Europe/Berlin"}),
    );
    for (id, name, category) in [
        (5, "Ready for Test", "indeterminate"),
        (9, "Cancelled", "done"),
    ] {
        h.add(
            "statuses",
            json!({"status_id": id, "name": name, "category": category}),
        );
    }
    h.add(
        "boards",
        json!({"board_id": 2, "name": "Flow", "type": "kanban", "has_configuration": true,
        "project_id": 100, "project_key": "A", "estimation_type": "none"}),
    );
    for (ordinal, status, name) in [
        (0, 1, "To Do"),
        (1, 2, "Doing"),
        (1, 5, "Doing"),
        (2, 3, "Done"),
    ] {
        h.add(
            "board_columns",
            json!({"board_id": 2, "ordinal": ordinal, "status_id": status,
            "status_key": status.to_string(), "name": name, "is_last": ordinal == 2}),
        );
    }
    h
}

/// An issue of project 100 with its moves, created on a day.
fn issue(h: &mut History, id: i64, created: f64, moves: &[(f64, i64)]) {
    issue_with(h, id, created, moves, json!({}));
}

fn issue_with(h: &mut History, id: i64, created: f64, moves: &[(f64, i64)], more: Value) {
    let mut fields = json!({"project_id": 100, "created_at": at(created), "updated_at": at(8.0)});
    fields
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let points = fields["points"].as_f64();
    let sprints: Vec<i64> = fields["sprints"].as_i64().into_iter().collect();
    let fields = fields.as_object_mut().unwrap();
    fields.remove("points");
    fields.remove("sprints");
    let last = moves.last().map_or(1, |(_, status)| *status);
    h.issue_with(id, last, points, &sprints, json!(fields));
    let mut before = 1;
    for (day, status) in moves {
        h.status(id, *day, before, *status);
        before = *status;
    }
}

async fn numbers(h: &History, sql: &str) -> Vec<Vec<Value>> {
    let rows = h.sql(sql).await.into_iter();
    rows.map(|row| row.into_iter().map(|(_, value)| value).collect())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_hold_what_came_and_has_not_left() {
    let mut h = site().await;
    h.sprint(20, 2, 5.0, Some(15.0));
    // 1: done on the 5th at 23:31 UTC, the 6th in Berlin. 2: within the column, then back.
    issue(&mut h, 1, 1.0, &[(3.0, 2), (5.98, 3)]);
    issue(&mut h, 2, 1.0, &[(3.0, 2), (4.0, 5), (6.0, 1)]);
    // 3: to a status that the board doesn't map. 4: in and out in one day.
    issue(&mut h, 3, 2.5, &[(4.0, 4)]);
    issue(&mut h, 4, 1.0, &[(7.2, 2), (7.6, 1)]);
    // 5: of another project, in a sprint of the board. 6: not even that. 7: a sub-task.
    let other = json!({"project_id": 200, "sprints": 20});
    issue_with(&mut h, 5, 1.0, &[], other);
    issue_with(&mut h, 6, 1.0, &[], json!({"project_id": 200}));
    issue_with(&mut h, 7, 1.0, &[(3.0, 2)], json!({"is_subtask": true}));
    h.refresh().await.unwrap();

    let day = |day: &str| {
        format!(
            "select issues as a, arrivals as b, departures as c, cumulative_issues as d, high_water_issues as e
             from marts.cumulative_flow_daily where board_id = 2 and day = date '2026-01-{day}' order by ordinal"
        )
    };
    // To Do, Doing, Done: issues, arrivals, departures, at or beyond, ever at or beyond.
    for (date, expected) in [
        ("01", [[4, 4, 0, 4, 4], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]),
        ("02", [[5, 1, 0, 5, 5], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]),
        // 1 and 2 are started.
        ("03", [[3, 0, 2, 5, 5], [2, 2, 0, 2, 2], [0, 0, 0, 0, 0]]),
        // 3 leaves the board's columns; 2 stays in Doing.
        ("04", [[2, 0, 1, 4, 5], [2, 0, 0, 2, 2], [0, 0, 0, 0, 0]]),
        ("05", [[2, 0, 0, 4, 5], [2, 0, 0, 2, 2], [0, 0, 0, 0, 0]]),
        // 1 is done and 2 back.
        ("06", [[3, 1, 0, 4, 5], [0, 0, 2, 1, 2], [1, 1, 0, 1, 1]]),
        // 4 came and went.
        ("07", [[3, 1, 1, 4, 5], [0, 1, 1, 1, 3], [1, 0, 0, 1, 1]]),
        // The last day is that of the newest change known, the start of sprint 11.
        ("16", [[3, 0, 0, 4, 5], [0, 0, 0, 1, 3], [1, 0, 0, 1, 1]]),
    ] {
        let found = numbers(&h, &day(date)).await;
        assert_eq!(json!(found), json!(expected), "on the {date}");
    }
    let rows = h
        .sql(
            "select count(*) as n, min(column_name) as c, min(board_name) as b
              from marts.cumulative_flow_daily where board_id = 2",
        )
        .await
        .remove(0);
    assert_eq!(
        (&rows["n"], &rows["c"], &rows["b"]),
        (&json!(16 * 3), &json!("Doing"), &json!("Flow"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn throughput_counts_each_issue_at_its_last_completion() {
    let mut h = site().await;
    // Done on Sunday the 4th at 23:31 UTC: in Berlin, on the Monday; estimated anew later.
    issue_with(
        &mut h,
        1,
        1.0,
        &[(2.0, 2), (4.98, 3)],
        json!({"points": 8.0}),
    );
    h.points(1, 9.0, "3", "8");
    // Done on the 3rd, reopened, done again on the 22nd. Done and reopened for good.
    let moves = [(2.0, 2), (3.0, 3), (6.0, 2), (22.0, 3)];
    issue_with(&mut h, 2, 1.0, &moves, json!({"points": 5.0}));
    issue_with(
        &mut h,
        3,
        1.0,
        &[(3.0, 3), (8.0, 1)],
        json!({"points": 5.0}),
    );
    // Unestimated; cancelled, which is not done on this board; a sub-task.
    issue(&mut h, 4, 1.0, &[(22.5, 3)]);
    issue_with(&mut h, 5, 1.0, &[(22.5, 9)], json!({"points": 1.0}));
    issue_with(
        &mut h,
        6,
        1.0,
        &[(22.5, 3)],
        json!({"points": 1.0, "is_subtask": true}),
    );
    // On the data's last day, the 27th, a Tuesday.
    issue_with(&mut h, 7, 1.0, &[(27.0, 3)], json!({"points": 2.0}));
    h.refresh().await.unwrap();
    let found = numbers(
        &h,
        "select week as a, is_complete as b, issues as c, points as d, unestimated_issues as e,
            mean_6_issues as f, mean_6_points as g
         from marts.throughput_weekly where board_id = 2 order by week",
    )
    .await;
    let expected = json!([
        ["2025-12-29", true, 0, 0.0, 0, 0.0, 0.0],
        ["2026-01-05", true, 1, 3.0, 0, 0.5, 1.5],
        ["2026-01-12", true, 0, 0.0, 0, 1.0 / 3.0, 1.0],
        // 2 and 4: the means are 3 / 4 and 8 / 4.
        ["2026-01-19", true, 2, 5.0, 1, 0.75, 2.0],
        ["2026-01-26", false, 1, 2.0, 0, null, null],
    ]);
    assert_eq!(json!(found), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_without_columns_goes_by_category_and_has_no_cumulative_flow() {
    let mut h = site().await;
    h.add(
        "boards",
        json!({"board_id": 3, "name": "Bare", "type": "simple", "has_configuration": false,
        "project_id": 100, "project_key": "A"}),
    );
    // Cancelled is of category done, which is all that this board knows; board 2 has no column for it.
    issue(&mut h, 1, 1.0, &[(2.0, 2), (6.0, 9)]);
    issue(&mut h, 2, 1.0, &[(3.0, 2)]);
    h.refresh().await.unwrap();
    let found = numbers(
        &h,
        "select board_id as a, cast(sum(issues) as bigint) as b from marts.throughput_weekly
         group by board_id order by board_id",
    )
    .await;
    assert_eq!(json!(found), json!([[2, 0], [3, 1]]));
    let found = numbers(
        &h,
        "select distinct board_id as a from marts.cumulative_flow_daily",
    )
    .await;
    assert_eq!(json!(found), json!([[2]]));
    let found = numbers(
        &h,
        "select board_id as a, issue_id as b, column_name as c, percentile_basis as d,
            percentile_bucket as e
         from marts.aging_wip order by board_id, issue_id",
    )
    .await;
    // Nobody ever finished on board 2, so that there is nothing to measure by.
    let expected = json!([
        [2, 2, "Doing", null, null],
        // Started on the 3rd, 13 days old; the one cycle time is four days.
        [3, 2, null, "cycle_time", "above p95"],
    ]);
    assert_eq!(json!(found), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn age_is_measured_by_the_ages_at_which_others_left_the_column() {
    let mut h = site().await;
    // Five issues left Doing 1, 2, 3, 4 and 5 days after their start: 24 to 120 hours.
    for n in 1..6_i32 {
        let left = 2.0 + f64::from(n);
        issue(&mut h, i64::from(n), 1.0, &[(2.0, 2), (left, 3)]);
    }
    let changed = |day: f64| json!({"updated_at": at(day)});
    // The data reaches to the 16th. 10: started on the 10th, last changed five days ago.
    let more = json!({"updated_at": at(11.0), "assignee_id": "u1", "points": 3.0});
    issue_with(&mut h, 10, 1.0, &[(10.0, 2)], more);
    // 11: exactly as old as the median; in Ready for Test since the 15th, the same column.
    issue_with(&mut h, 11, 1.0, &[(13.0, 2), (15.0, 5)], changed(15.0));
    // 12: 4 days 2 hours old (98 hours).
    issue_with(&mut h, 12, 1.0, &[(12.0 - 1.0 / 12.0, 2)], changed(12.0));
    // 13: back in To Do, which nobody left after a start; 14: in a status outside the board.
    issue_with(&mut h, 13, 1.0, &[(11.5, 2), (14.0, 1)], changed(14.0));
    issue_with(&mut h, 14, 1.0, &[(15.0, 2), (15.5, 4)], changed(15.5));
    // Not started; done; cancelled; a sub-task.
    issue(&mut h, 15, 1.0, &[]);
    issue(&mut h, 17, 1.0, &[(10.0, 2), (11.0, 9)]);
    let subtask = json!({"is_subtask": true});
    issue_with(&mut h, 18, 1.0, &[(10.0, 2)], subtask);
    h.refresh().await.unwrap();

    let rows = h
        .sql("select * from marts.aging_wip where board_id = 2 order by issue_id")
        .await;
    let ids: Vec<_> = rows
        .iter()
        .map(|row| row["issue_id"].as_i64().unwrap())
        .collect();
    assert_eq!(ids, [10, 11, 12, 13, 14]);
    let column = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    let near = |name: &str, expected: [f64; 5]| {
        for (found, expected) in column(name).iter().zip(expected) {
            let found = found.as_f64().unwrap();
            // The engine interpolates in millionths of the distance between neighbours.
            assert!(
                (found - expected).abs() < 1e-4,
                "{name}: {found} instead of {expected}"
            );
        }
    };
    near("age_hours", [144.0, 72.0, 98.0, 108.0, 24.0]);
    // 24, 48, 72, 96, 120: the place of a percentile is 4 × p, linear between neighbours. The cycle
    // times of the same five issues are the same.
    near("p50_hours", [72.0; 5]);
    near("p70_hours", [91.2; 5]);
    near("p85_hours", [105.6; 5]);
    near("p95_hours", [115.2; 5]);
    assert_eq!(
        json!(column("percentile_basis")),
        json!(["column", "column", "column", "cycle_time", "cycle_time"])
    );
    assert_eq!(json!(column("percentile_issues")), json!([5, 5, 5, 5, 5]));
    assert_eq!(
        json!(column("percentile_bucket")),
        json!([
            "above p95",
            "up to p50",
            "p70 to p85",
            "p85 to p95",
            "up to p50"
        ])
    );
    assert_eq!(
        json!(column("column_name")),
        json!(["Doing", "Doing", "Doing", "To Do", null])
    );
    assert_eq!(
        json!(column("is_stale")),
        json!([true, false, false, false, false])
    );
    assert_eq!(column("column_since")[1], "2026-01-13T00:00:00Z");
    assert_eq!(
        (
            &rows[0]["assignee_id"],
            &rows[0]["story_points"],
            &rows[1]["status"]
        ),
        (&json!("u1"), &json!(3.0), &json!("Ready for Test"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn created_resolved_and_the_age_of_what_is_open() {
    let mut h = site().await;
    // The beginning of a day is 23:00 UTC of the day before: 0.958333 of it.
    let midnight = |day: f64| day - 1.0 / 24.0;
    issue(&mut h, 1, midnight(2.0), &[(4.5, 3), (6.5, 2), (6.9, 3)]);
    issue(&mut h, 2, midnight(3.0), &[]);
    // Created done, in a status of the category that no column shows; moved between done statuses.
    issue(&mut h, 3, 5.5, &[(5.6, 9), (5.7, 3)]);
    // A sub-task; another project.
    let subtask = json!({"is_subtask": true});
    issue_with(&mut h, 4, 2.0, &[], subtask);
    issue_with(
        &mut h,
        5,
        15.5,
        &[],
        json!({"project_id": 200, "project_key": "B"}),
    );
    h.refresh().await.unwrap();
    let found = numbers(
        &h,
        "select created as a, resolved as b, reopened as c, open as d, round(average_age_hours, 6) as e
         from marts.created_vs_resolved_daily
         where project_key = 'A' and day < date '2026-01-09' order by day",
    )
    .await;
    let expected = json!([
        // 2nd: 1 is created; nothing was open when the day began.
        [1, 0, 0, 1, null],
        // 3rd: 2 is created, with the day; the age of 1 is a day.
        [1, 0, 0, 2, 24.0],
        // 4th: 1 is resolved. Ages when the day began: two days and one.
        [0, 1, 0, 1, 36.0],
        [1, 1, 0, 1, 48.0],
        // 6th: 1 is reopened and resolved again.
        [0, 1, 1, 1, 72.0],
        [0, 0, 0, 1, 96.0],
        [0, 0, 0, 1, 120.0],
    ]);
    assert_eq!(json!(found), expected);
    let days = numbers(
        &h,
        "select min(day) as a, max(day) as b, count(*) as c, max(project_id) as d
         from marts.created_vs_resolved_daily group by project_key order by project_key",
    )
    .await;
    // The data reaches to the 16th.
    let expected = json!([
        ["2026-01-02", "2026-01-16", 15, 100],
        ["2026-01-15", "2026-01-16", 2, 200]
    ]);
    assert_eq!(json!(days), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn estimates_are_those_at_the_start_of_work() {
    let mut h = site().await;
    // Two points and 1, 2, 3 days; five points and 3, 5 days.
    for (id, points, days) in [
        (1, 2.0, 1.0),
        (2, 2.0, 2.0),
        (3, 2.0, 3.0),
        (4, 5.0, 3.0),
        (5, 5.0, 5.0),
    ] {
        let more = json!({"points": points});
        issue_with(&mut h, id, 1.0, &[(2.0, 2), (2.0 + days, 3)], more);
    }
    // 5 was estimated anew before the start; 6 with 13 while in work, and with 5 when it started.
    h.points(5, 1.5, "1", "5");
    h.issue_with(6, 3, Some(13.0), &[], json!({"project_id": 100}));
    h.points(6, 1.5, "1", "5");
    h.points(6, 3.0, "5", "13");
    h.status(6, 2.0, 1, 2);
    h.status(6, 6.0, 2, 3);
    // Unestimated at its start; never started; not done.
    issue_with(
        &mut h,
        7,
        1.0,
        &[(2.0, 2), (3.0, 3)],
        json!({"points": 8.0}),
    );
    h.points(7, 2.5, "", "8");
    issue_with(&mut h, 8, 1.0, &[(3.0, 3)], json!({"points": 2.0}));
    issue_with(&mut h, 9, 1.0, &[(3.0, 2)], json!({"points": 2.0}));
    h.refresh().await.unwrap();
    let found = numbers(
        &h,
        "select start_points as a, issues as b, cycle_time_p25_hours as c, cycle_time_p50_hours as d,
            cycle_time_p75_hours as e, estimated_issues as f, unestimated_issues as g,
            round(correlation, 6) as h
         from marts.estimate_accuracy where board_id = 2 order by start_points",
    )
    .await;
    // 24, 48, 72 and 72, 96, 120 hours. In days from the mean, 1, 2, 3 and 3, 4, 5 are -2, -1, 0 and
    // 0, 1, 2; the estimates lie 1.5 below and above theirs: r = 1.5 × 6 / sqrt(10 × 13.5).
    let r = (9.0_f64 / 135.0_f64.sqrt() * 1e6).round() / 1e6;
    let expected = json!([
        [2.0, 3, 36.0, 48.0, 60.0, 6, 1, r],
        [5.0, 3, 84.0, 96.0, 108.0, 6, 1, r],
    ]);
    assert_eq!(json!(found), expected);
}
