//! Burndown of sprint 10 (5th to 15th) and velocity over several sprints.

use serde_json::{Value, json};

use crate::history::{History, at};

/// What these tests look at.
const MODELS: [&str; 2] = ["sprint_burndown_daily", "velocity"];

fn berlin(h: &mut History) {
    let site = json!({"time_zone": "Europe/Berlin"});
    h.add("sites", site);
}

/// Fails unless the rows have these values, column by column.
fn same(rows: &[schemas::Row], columns: &[&str], expected: Value) {
    let shown: Vec<Vec<&Value>> = rows
        .iter()
        .map(|row| columns.iter().map(|column| &row[*column]).collect())
        .collect();
    assert_eq!(json!(shown), expected, "{columns:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_scope_moves_the_line_once() {
    let mut h = History::of(&MODELS).await;
    berlin(&mut h);
    // 1: committed, re-estimated while open, completed, re-estimated when done.
    h.issue(1, 3, Some(6.0), &[10]);
    h.points(1, 7.0, "3", "5");
    h.status(1, 9.0, 1, 3);
    h.points(1, 12.0, "5", "6");
    // 2: added half an hour before midnight UTC, which is the next day in Berlin; re-opened; not done.
    h.issue(2, 1, Some(2.0), &[10]);
    h.sprints(2, 6.0 + 23.5 / 24.0, "", "10");
    h.status(2, 8.0, 1, 3);
    h.status(2, 10.0, 3, 1);
    // 3: taken out.
    h.issue(3, 1, Some(4.0), &[]);
    h.sprints(3, 11.0, "10", "");
    // 4: done before the start: in no line; re-opened and done again: from then on it counts.
    h.issue(4, 3, Some(1.0), &[10]);
    h.status(4, 4.0, 1, 3);
    h.status(4, 13.0, 3, 1);
    h.status(4, 14.0, 1, 3);
    // 5: unestimated, moved on by the completion itself.
    h.issue(5, 1, None, &[11]);
    h.sprints(5, 15.0, "10", "11");
    // 6: a sub-task.
    h.issue_with(
        6,
        3,
        Some(9.0),
        &[10],
        json!({"is_subtask": true, "parent_id": 1}),
    );
    h.refresh().await.unwrap();

    let events = h
        .sql("select * from marts.sprint_burndown where sprint_id = 10 order by ordinal")
        .await;
    same(
        &events,
        &[
            "event",
            "issue_id",
            "remaining_points",
            "remaining_issues",
            "completed_points",
            "scope_points",
        ],
        json!([
            ["sprint_started", null, 7.0, 3, 0.0, 7.0],
            ["added", 2, 9.0, 4, 0.0, 9.0],
            ["estimate_changed", 1, 11.0, 4, 0.0, 11.0],
            ["completed", 2, 9.0, 3, 2.0, 11.0],
            ["completed", 1, 4.0, 2, 7.0, 11.0],
            ["reopened", 2, 6.0, 3, 5.0, 11.0],
            ["removed", 3, 2.0, 2, 5.0, 7.0],
            ["estimate_changed", 1, 2.0, 2, 6.0, 8.0],
            ["reopened", 4, 3.0, 3, 6.0, 9.0],
            ["completed", 4, 2.0, 2, 7.0, 9.0],
            ["sprint_completed", null, 2.0, 2, 7.0, 9.0],
        ]),
    );
    assert_eq!(events[0]["ideal_points"], 7.0);
    assert_eq!(events[10]["ideal_points"], 0.0);

    let days = h
        .sql("select * from marts.sprint_burndown_daily where sprint_id = 10 order by day")
        .await;
    same(
        &days,
        &[
            "day",
            "event",
            "issue_id",
            "remaining_points",
            "completed_points",
        ],
        json!([
            ["2026-01-05", "sprint_started", null, 7.0, 0.0],
            ["2026-01-06", null, null, 7.0, 0.0],
            ["2026-01-07", "estimate_changed", 1, 11.0, 0.0],
            ["2026-01-08", "completed", 2, 9.0, 2.0],
            ["2026-01-09", "completed", 1, 4.0, 7.0],
            ["2026-01-10", "reopened", 2, 6.0, 5.0],
            ["2026-01-11", "removed", 3, 2.0, 5.0],
            ["2026-01-12", "estimate_changed", 1, 2.0, 6.0],
            ["2026-01-13", "reopened", 4, 3.0, 6.0],
            ["2026-01-14", "completed", 4, 2.0, 7.0],
            ["2026-01-15", "sprint_completed", null, 2.0, 7.0],
        ]),
    );
    let ideal = |day: usize| days[day]["ideal_points"].as_f64().unwrap();
    // From Monday at 1 o'clock in Berlin to the second Thursday at 1: eight working days. The first day ends
    // after 23/24 of one; the weekend of the 10th and 11th is flat.
    assert!((ideal(0) - 7.0 * (1.0 - 23.0 / 24.0 / 8.0)).abs() < 1e-9);
    assert!((ideal(4) - 7.0 * (1.0 - (4.0 + 23.0 / 24.0) / 8.0)).abs() < 1e-9);
    assert_eq!((ideal(5), ideal(6)), (ideal(4), ideal(4)));
    assert!((ideal(7) - 7.0 * (1.0 - (5.0 + 23.0 / 24.0) / 8.0)).abs() < 1e-9);
    assert_eq!(ideal(10), 0.0);

    // The active sprint 11 has a line up to the day of the newest change, the 20th.
    let active = h
        .sql(
            "select min(day) as first, max(day) as last, count(*) as n
             from marts.sprint_burndown_daily where sprint_id = 11",
        )
        .await
        .remove(0);
    assert_eq!(
        json!(active),
        json!({"first": "2026-01-16", "last": "2026-01-20", "n": 5})
    );
    let ends = h
        .sql("select count(*) as n from marts.sprint_burndown where sprint_id = 11 and event = 'sprint_completed'")
        .await;
    assert_eq!(ends[0]["n"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_sprint_has_a_flat_line_and_no_velocity_is_invented() {
    let mut h = History::of(&MODELS).await;
    h.refresh().await.unwrap();
    let events = h
        .sql("select * from marts.sprint_burndown where sprint_id = 10 order by ordinal")
        .await;
    same(
        &events,
        &["event", "remaining_points", "scope_points", "ideal_points"],
        json!([
            ["sprint_started", 0.0, 0.0, 0.0],
            ["sprint_completed", 0.0, 0.0, 0.0]
        ]),
    );
    let velocity = h.sql("select * from marts.velocity").await;
    same(
        &velocity,
        &[
            "sprint_id",
            "ordinal",
            "completed_points",
            "stddev_6",
            "say_do_ratio",
        ],
        json!([[10, 1, 0.0, null, null]]),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn velocity_runs_over_closed_sprints_of_a_board_in_order_of_completion() {
    let mut h = History::of(&MODELS).await;
    // Sprints 1 to 3 before sprint 10 and one without a duration; sprint 11 is active.
    h.sprint(1, 1, 1.0, Some(2.0));
    h.sprint(2, 1, 2.0, Some(3.0));
    h.sprint(3, 1, 3.0, Some(4.0));
    h.sprint(4, 1, 4.0, Some(4.0));
    let done = [
        (1, 1, 1.5, 8.0),
        (2, 2, 2.5, 2.0),
        (3, 3, 3.5, 5.0),
        (10, 10, 6.0, 1.0),
    ];
    for (issue, sprint, day, points) in done {
        let created = json!({"created_at": at(0.5)});
        h.issue_with(issue, 3, Some(points), &[sprint], created);
        h.status(issue, day, 1, 3);
    }
    h.refresh().await.unwrap();
    let rows = h.sql("select * from marts.velocity order by ordinal").await;
    same(
        &rows,
        &[
            "sprint_id",
            "ordinal",
            "committed_points",
            "completed_points",
            "mean_3",
            "mean_6",
            "say_do_ratio",
        ],
        json!([
            [1, 1, 8.0, 8.0, 8.0, 8.0, 1.0],
            [2, 2, 2.0, 2.0, 5.0, 5.0, 1.0],
            [3, 3, 5.0, 5.0, 5.0, 5.0, 1.0],
            [10, 4, 1.0, 1.0, 8.0 / 3.0, 4.0, 1.0],
        ]),
    );
    let deviation = rows[3]["stddev_6"].as_f64().unwrap();
    // Of 8, 2, 5 and 1: squares 16 + 4 + 1 + 9 over 3.
    assert!((deviation - 10f64.sqrt()).abs() < 1e-9, "{deviation}");
}

/// Weekends are flat, and a day is a day however many hours it has.
#[tokio::test(flavor = "multi_thread")]
async fn the_ideal_line_falls_on_working_days_of_the_site() {
    let mut h = History::of(&MODELS).await;
    berlin(&mut h);
    // Clocks go forward on Sunday, 29 March 2026; day 1 is the 1st of January, so the 27th of March is 86.
    // Sprint 30: Friday the 27th at 12:00 in Berlin (UTC+1) to Tuesday the 31st at 12:00 (UTC+2).
    // Working days: half of Friday, Monday, half of Tuesday: two.
    let noon = 11.0 / 24.0;
    h.sprint(30, 1, 86.0 + noon, Some(90.0 + 10.0 / 24.0));
    h.issue_with(1, 1, Some(8.0), &[30], json!({"updated_at": at(91.0)}));
    // Sprint 31: planned for a Saturday and Sunday only; calendar time.
    h.sprint(31, 1, 87.0, Some(88.0 + 20.0 / 24.0));
    h.issue(2, 1, Some(4.0), &[31]);
    // Sprint 32: begins on a Saturday, ends on Tuesday at midnight in Berlin: Monday only.
    h.sprint(32, 1, 87.0, Some(89.0 + 22.0 / 24.0));
    h.issue(3, 1, Some(4.0), &[32]);
    h.sprints(3, 88.5, "32", "");
    h.sprints(3, 89.0 + 10.0 / 24.0, "", "32");
    h.refresh().await.unwrap();
    let daily = async |sprint: i64| {
        let sql = format!(
            "select day, ideal_points from marts.sprint_burndown_daily
             where sprint_id = {sprint} order by day"
        );
        h.sql(&sql).await
    };
    same(
        &daily(30).await,
        &["day", "ideal_points"],
        json!([
            ["2026-03-27", 6.0],
            ["2026-03-28", 6.0],
            ["2026-03-29", 6.0],
            ["2026-03-30", 2.0],
            ["2026-03-31", 0.0],
        ]),
    );
    // From Saturday 1:00 in Berlin for 44 hours, of which Saturday has 23.
    let weekend = daily(31).await;
    let ideal = |day: usize| weekend[day]["ideal_points"].as_f64().unwrap();
    assert!((ideal(0) - 4.0 * (1.0 - 23.0 / 44.0)).abs() < 1e-9);
    assert_eq!(ideal(1), 0.0);
    // Event by event: Sunday is as the start; Monday at noon (10:00 UTC) half of its day has passed.
    let events = h
        .sql("select event, ideal_points from marts.sprint_burndown where sprint_id = 32 order by ordinal")
        .await;
    same(
        &events,
        &["event", "ideal_points"],
        json!([
            ["sprint_started", 4.0],
            ["removed", 4.0],
            ["added", 2.0],
            ["sprint_completed", 0.0],
        ]),
    );
}
