//! The seeds of dbt_jira, and what that package makes of them: who was in which sprint on which day.
//! It works by days, up to the planned end, and goes by the resolution of today.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{Row, TableName};
use serde_json::{Value, json};
use tests::{Product, test_data};
use warehouse::{Commit, Config, Warehouse};

use crate::{differ_in, ours};

/// Rows of a CSV file by column; `None` without the recordings.
fn read(file: &str) -> Option<Vec<BTreeMap<String, String>>> {
    let path = test_data()?.join("dbt_jira").join(file);
    let mut reader = csv::Reader::from_path(path).unwrap();
    Some(reader.deserialize().map(Result::unwrap).collect())
}

fn instant(text: &str) -> Value {
    match text {
        "" => Value::Null,
        text => json!(format!("{}Z", text.replace(' ', "T"))),
    }
}

/// Columns of a table of theirs.
fn theirs(file: &str, columns: &[&str]) -> BTreeSet<Vec<String>> {
    let rows = read(&format!("expected_v1.9.0_own_seeds/{file}")).unwrap();
    let rows = rows.into_iter();
    rows.map(|row| columns.iter().map(|name| row[*name].clone()).collect())
        .collect()
}

/// Their seeds as our tables.
fn tables() -> Option<BTreeMap<&'static str, Vec<Value>>> {
    let mut tables: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let mut add = |table: &'static str, row: Value| tables.entry(table).or_default().push(row);
    let id = |text: &str| text.parse::<i64>().unwrap();
    let category = |status: &BTreeMap<String, String>| match status["status_category_id"].as_str() {
        "2" => "new",
        "4" => "indeterminate",
        _ => "done",
    };
    for status in read("seeds/status.csv")? {
        add(
            "statuses",
            json!({"status_id": id(&status["id"]), "name": status["name"], "category": category(&status)}),
        );
    }
    let fields = read("seeds/field.csv")?;
    let sprint = fields.iter().find(|field| field["name"] == "Sprint")?;
    let sprint = &sprint["id"];
    add(
        "fields",
        json!({"field_id": sprint, "name": "Sprint", "is_custom": true, "role": "sprint"}),
    );
    for row in read("seeds/sprint.csv")? {
        let completed = instant(&row["complete_date"]);
        add(
            "sprints",
            json!({"sprint_id": id(&row["id"]), "board_id": id(&row["board_id"]), "name": row["name"],
                "state": if completed.is_null() { "active" } else { "closed" },
                "start_at": instant(&row["start_date"]), "end_at": instant(&row["end_date"]),
                "completed_at": completed}),
        );
    }
    // A value of theirs is one sprint of the list.
    let mut lists: BTreeMap<i64, (String, Vec<i64>)> = BTreeMap::new();
    for row in read("seeds/issue_multiselect_history.csv")? {
        if &row["field_id"] == sprint {
            let list = lists.entry(id(&row["issue_id"])).or_default();
            list.0.clone_from(&row["time"]);
            list.1.push(id(&row["value"]));
        }
    }
    for (issue, (time, sprints)) in &lists {
        let list: Vec<_> = sprints.iter().map(ToString::to_string).collect();
        add(
            "changelog_items",
            json!({"history_id": issue, "ordinal": 0, "issue_id": issue, "changed_at": instant(time),
                "field": "Sprint", "field_id": sprint, "from_value": "", "to_value": list.join(", ")}),
        );
    }
    for row in read("seeds/issue.csv")? {
        let issue = id(&row["id"]);
        let sprints = lists.get(&issue).map_or(&[][..], |list| &list.1);
        let updated = Some(&row["updated"]).filter(|at| !at.is_empty());
        let updated = updated.unwrap_or(&row["created"]);
        add(
            "issues",
            json!({"issue_id": issue, "issue_key": row["key"], "project_id": id(&row["project"]),
                "project_key": row["key"].split('-').next(), "issue_type": row["issue_type"],
                "is_subtask": false, "status_id": id(&row["status"]),
                "created_at": instant(&row["created"]), "updated_at": instant(updated),
                "resolved_at": instant(&row["resolved"]), "sprint_ids": sprints}),
        );
    }
    Some(tables)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sprints_hold_the_same_issues() {
    let Some(tables) = test_data().and_then(|_| tables()) else {
        println!("skipped: SPRINT_REPORTS_TEST_DATA names no folder with recorded payloads");
        return;
    };
    let product = Product::new();
    let path = product.path().join("data").display().to_string();
    std::fs::create_dir_all(&path).unwrap();
    let config = Config {
        store_url: format!("file:{path}/lake"),
        metadata_url: format!("sqlite:{path}/meta.db"),
        ..Config::default()
    };
    let lake = Warehouse::open(&config).await.unwrap();
    for (table, rows) in tables {
        let rows = rows.into_iter().map(|row| {
            let mut row: Row = row.as_object().unwrap().clone();
            row.insert("connection".into(), "seeds".into());
            row
        });
        let table = TableName::new("jira", table);
        let commit = Commit::default();
        let tables = lake.tables();
        tables
            .upsert(&table, rows.collect(), &commit)
            .await
            .unwrap();
    }
    drop(lake);
    product.run(&["refresh"]).ok();

    let columns = ["sprint_id", "issue_id"];
    let members = ours(&product, "select * from marts.sprint_scope", &columns);
    let daily = "jira__daily_sprint_issue_history.csv";
    assert_eq!(members.len(), 3);
    differ_in(&members, &theirs(daily, &columns), &[], &[]);

    // Committed: what was there on the day of the start; nothing where it came a week later. They write
    // nothing for 0.
    let committed = ours(
        &product,
        "select sprint_id, case when baseline_issues > 0 then baseline_issues end as issues
         from marts.baseline_comparison",
        &["sprint_id", "issues"],
    );
    let enhanced = "jira__sprint_enhanced.csv";
    let columns = ["sprint_id", "issues_committed"];
    differ_in(&committed, &theirs(enhanced, &columns), &[], &[]);

    // Resolved in the sprint: by today's resolution, which here is older than every sprint, of an issue
    // that is in progress; ours goes by the status.
    let completed = ours(
        &product,
        "select sprint_id, completed_issues + completed_outside_issues as issues from marts.sprint_metrics",
        &["sprint_id", "issues"],
    );
    let columns = ["sprint_id", "resolved_sprint_issues"];
    differ_in(
        &completed,
        &theirs(enhanced, &columns),
        &[&["1", "0"], &["3", "0"], &["4", "0"]],
        &[&["1", "1"], &["3", "1"], &["4", "1"]],
    );

    // Days: theirs run to the planned end, also of a sprint that was completed before it; ours to the
    // completion, and of a sprint that is still active to the data time.
    let days = ours(
        &product,
        "select * from marts.sprint_burndown_daily where remaining_issues > 0",
        &["sprint_id", "day"],
    );
    differ_in(
        &days,
        &theirs(daily, &["sprint_id", "date_day"]),
        &[
            &["3", "2020-11-27"],
            &["3", "2020-11-28"],
            &["4", "2020-11-27"],
            &["4", "2020-11-28"],
        ],
        &[
            &["1", "2020-11-11"],
            &["1", "2020-11-12"],
            &["1", "2020-11-13"],
            &["1", "2020-11-14"],
            &["1", "2020-11-15"],
            &["1", "2020-11-16"],
            &["1", "2020-11-17"],
        ],
    );
}
