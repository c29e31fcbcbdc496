//! The models against an independent truth: what the simulated site itself noted at the moments
//! its sprints started and ended.

use std::collections::BTreeMap;
use tests::{Product, large_site};

use serde_json::Value;
use simulator::{Misreport, ReportList, Simulator};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_issue_of_every_sprint_has_the_outcome_the_site_noted() {
    let site = large_site(5).await;
    let product = Product::reading(&site);
    product.run(&["sync"]).ok();
    product.run(&["refresh"]).ok();
    let mut scope: BTreeMap<i64, BTreeMap<i64, Value>> = BTreeMap::new();
    for row in product.sql("select * from marts.sprint_scope") {
        let (sprint, issue) = (
            row["sprint_id"].as_i64().unwrap(),
            row["issue_id"].as_i64().unwrap(),
        );
        scope.entry(sprint).or_default().insert(issue, row);
    }
    let started = product.sql("select sprint_id from marts.sprints where started_at is not null");
    assert!(started.len() > 40, "{} sprints", started.len());
    let mut compared = 0;
    for sprint in started {
        let id = sprint["sprint_id"].as_i64().unwrap();
        let truth = site.edit(|world| world.sprint_truth(id as u64)).unwrap();
        let ours = scope.remove(&id).unwrap_or_default();
        let ids = |keys: Vec<i64>| keys;
        assert_eq!(
            ids(ours.keys().copied().collect()),
            ids(truth.issues.keys().map(|id| *id as i64).collect()),
            "issues of sprint {id}"
        );
        for (issue, noted) in &truth.issues {
            let row = &ours[&(*issue as i64)];
            let differs = row["outcome"] != noted.outcome.as_str();
            let history = if differs {
                history(&product, *issue)
            } else {
                Vec::new()
            };
            let what = format!("sprint {id} issue {issue}: {row}\n{noted:?}\n{history:?}");
            assert_eq!(row["committed"], noted.committed, "committed, {what}");
            assert_eq!(
                row["added_after_start"], noted.added_after_start,
                "added, {what}"
            );
            assert_eq!(row["outcome"], noted.outcome.as_str(), "outcome, {what}");
            assert_eq!(
                row["start_points"].as_f64(),
                noted.start_points,
                "start points, {what}"
            );
            assert_eq!(
                row["end_points"].as_f64(),
                noted.end_points,
                "end points, {what}"
            );
            assert_eq!(row["re_entered"], noted.re_entered, "re-entered, {what}");
            compared += 1;
        }
    }
    assert!(compared > 500, "{compared} issues compared");
    agrees_with_the_reports_of_the_site(&site, &product);
}

/// The site's own sprint reports say the same; where one is made wrong, it is found.
fn agrees_with_the_reports_of_the_site(site: &Simulator, product: &Product) {
    let rows = product.sql("select * from marts.sprint_reconciliation");
    let closed = product.sql("select sprint_id from marts.sprints where completed_at is not null");
    let reported: BTreeMap<i64, i64> = rows.iter().fold(BTreeMap::new(), |mut found, row| {
        *found.entry(row["sprint_id"].as_i64().unwrap()).or_default() += 1;
        found
    });
    assert_eq!(reported.len(), closed.len(), "every closed sprint");
    assert!(rows.len() > 500, "{} issues", rows.len());
    let different: Vec<_> = rows.iter().filter(|row| row["agrees"] != true).collect();
    assert!(different.is_empty(), "{different:#?}");
    // Four faults in the report of one sprint, and in no other.
    let of = |list: &str| {
        let row = rows.iter().rev().find(|row| {
            let alone = row["sprint_id"] == rows[0]["sprint_id"];
            alone && row["jira_list"] == list
        });
        row.unwrap()["issue_id"].as_u64().unwrap()
    };
    let sprint = rows[0]["sprint_id"].as_u64().unwrap();
    let own: Vec<u64> = rows
        .iter()
        .filter(|row| row["sprint_id"] == sprint)
        .map(|row| row["issue_id"].as_u64().unwrap())
        .collect();
    let first = of("completed");
    let second = *own.iter().find(|issue| **issue != first).unwrap();
    let third = *own
        .iter()
        .find(|issue| ![first, second].contains(issue))
        .unwrap();
    let stranger = rows.iter().find(|row| {
        row["jira_list"] == "completed" && !own.contains(&row["issue_id"].as_u64().unwrap())
    });
    let stranger = stranger.unwrap()["issue_id"].as_u64().unwrap();
    let list = match rows.iter().any(|row| {
        row["sprint_id"] == sprint && row["issue_id"] == third && row["jira_list"] == "removed"
    }) {
        true => ReportList::Completed,
        false => ReportList::Punted,
    };
    site.edit(|world| {
        world.misreport(sprint, Misreport::Missing { issue: first });
        let points = Some(987.0);
        world.misreport(
            sprint,
            Misreport::Estimate {
                issue: second,
                points,
            },
        );
        world.misreport(sprint, Misreport::List { issue: third, list });
        let list = ReportList::NotCompleted;
        world.misreport(
            sprint,
            Misreport::Extra {
                issue: stranger,
                list,
            },
        );
    });
    product
        .run(&["sync", "--stream", "sprint_reports", "--full"])
        .ok();
    product.run(&["refresh"]).ok();
    let found: BTreeMap<u64, String> = product
        .sql("select sprint_id, issue_id, reason from marts.sprint_reconciliation where not agrees")
        .into_iter()
        .map(|row| {
            assert_eq!(row["sprint_id"], sprint);
            let reason = row["reason"].as_str().unwrap().to_owned();
            (row["issue_id"].as_u64().unwrap(), reason)
        })
        .collect();
    let expected = BTreeMap::from([
        (first, "only in ours".to_owned()),
        (second, "estimate differs".to_owned()),
        (third, "list differs".to_owned()),
        (stranger, "only in Jira".to_owned()),
    ]);
    assert_eq!(found, expected);
}

/// What is known of an issue's sprints, for the message of a failing comparison.
fn history(product: &Product, issue: u64) -> Vec<Value> {
    product.sql(&format!(
        "select sprint_ids, from_at, to_at from marts.issue_sprint_periods where issue_id = {issue}"
    ))
}
