//! The models against an independent truth: what the simulated site itself noted at the moments
//! its sprints started and ended.

use std::collections::BTreeMap;
use tests::{Product, now};

use serde_json::Value;
use simulator::{Settings, Simulator, WorldSettings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_issue_of_every_sprint_has_the_outcome_the_site_noted() {
    let world = WorldSettings {
        seed: 5,
        now: now(),
        ..WorldSettings::default()
    };
    let site = Simulator::start(Settings {
        world,
        ..Settings::default()
    })
    .await
    .unwrap();
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
}

/// What is known of an issue's sprints, for the message of a failing comparison.
fn history(product: &Product, issue: u64) -> Vec<Value> {
    product.sql(&format!(
        "select sprint_ids, from_at, to_at from marts.issue_sprint_periods where issue_id = {issue}"
    ))
}
