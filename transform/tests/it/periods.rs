//! Interval tables: gap-free and without overlap, whatever the history.

use proptest::prelude::*;
use serde_json::json;

use crate::history::History;

/// A change: issue, day in hundredths, new status, new sprint.
type Change = (i64, u32, i64, Option<i64>);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let sprint = prop_oneof![Just(None), Just(Some(10)), Just(Some(11))];
    proptest::collection::vec((1_i64..4, 50_u32..2000, 1_i64..5, sprint), 0..25)
}

#[test]
fn intervals_never_overlap_and_leave_no_gap() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = crate::histories_to_try(4, 12);
    let outcome = runner.run(&changes(), |mut changes| {
        changes.sort_by_key(|change| change.1);
        runtime.block_on(check(&changes));
        Ok(())
    });
    outcome.unwrap();
}

async fn check(changes: &[Change]) {
    let mut h = History::new().await;
    for issue in 1..4 {
        let (mut status, mut sprint) = (1, None);
        for (_, day, to_status, to_sprint) in changes.iter().filter(|change| change.0 == issue) {
            let day = f64::from(*day) / 100.0;
            let text =
                |sprint: Option<i64>| sprint.map_or_else(String::new, |id: i64| id.to_string());
            h.status(issue, day, status, *to_status);
            h.sprints(issue, day, &text(sprint), &text(*to_sprint));
            (status, sprint) = (*to_status, *to_sprint);
        }
        let sprints: Vec<i64> = sprint.into_iter().collect();
        h.issue_with(issue, status, Some(1.0), &sprints, json!({}));
    }
    // The refresh itself refuses gaps and overlaps; count what it looked at.
    let report = h.refresh().await.unwrap();
    assert!(report.checks_passed > 40);
    for table in ["status", "sprint", "points", "assignee", "parent"] {
        let open = format!(
            "select count(*) as n, count(distinct issue_id) as issues from marts.issue_{table}_periods where to_at is null"
        );
        let row = h.sql(&open).await.remove(0);
        assert_eq!(
            (&row["n"], &row["issues"]),
            (&json!(3), &json!(3)),
            "{table}"
        );
    }
}
