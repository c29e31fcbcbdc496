//! Runs of jira-agile-metrics: the input of each becomes a site of its own in one lake, and what our
//! marts say of it is compared with what that tool answered. Its policy is "wipe": a move back undoes
//! what came after. It counts in days, so every instant is taken as the beginning of its day.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use schemas::TableName;
use serde_json::{Value, json};
use tests::{Product, test_data};
use warehouse::{Commit, Config, Warehouse};

use crate::flow_cases::{Case, Tables};

/// Calculators whose results our marts don't express, with the reason.
const NOT_COMPARABLE: [(&str, usize, &str); 5] = [
    (
        "BurnupForecastCalculator",
        4,
        "simulates; three of the runs are not seeded",
    ),
    ("DebtCalculator", 5, "no mart of technical debt"),
    ("DefectsCalculator", 7, "no mart of defects by environment"),
    ("WasteCalculator", 6, "no mart of withdrawn work"),
    (
        "ImpedimentsCalculator",
        11,
        "lists flags by the status its input states, which contradicts the input's own dates",
    ),
];

/// Our marts, by connection.
struct Ours {
    issues: BTreeMap<String, Vec<Value>>,
    cumulative: BTreeMap<String, BTreeMap<(String, String), f64>>,
    weeks: BTreeMap<String, BTreeMap<String, f64>>,
    aging: BTreeMap<String, Vec<Value>>,
    percentiles: BTreeMap<String, Vec<Value>>,
}

impl Ours {
    fn read(product: &Product) -> Self {
        let by_connection = |sql: &str| {
            let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            for row in product.sql(sql) {
                let connection = row["connection"].as_str().unwrap().to_string();
                rows.entry(connection).or_default().push(row);
            }
            rows
        };
        let text = |row: &Value, column: &str| row[column].as_str().unwrap().to_string();
        let cumulative = by_connection(
            "select connection, day, column_name, cumulative_issues
             from marts.cumulative_flow_daily where board_id = 1",
        );
        let weeks = by_connection(
            "select connection, week, issues from marts.throughput_weekly where board_id = 1",
        );
        Self {
            issues: by_connection("select * from marts.issue_flow order by issue_id"),
            cumulative: cumulative
                .into_iter()
                .map(|(connection, rows)| {
                    let rows = rows.iter().map(|row| {
                        let place = (text(row, "day"), text(row, "column_name"));
                        (place, row["cumulative_issues"].as_f64().unwrap())
                    });
                    (connection, rows.collect())
                })
                .collect(),
            weeks: weeks
                .into_iter()
                .map(|(connection, rows)| {
                    let rows = rows.iter();
                    let rows = rows.map(|row| (text(row, "week"), row["issues"].as_f64().unwrap()));
                    (connection, rows.collect())
                })
                .collect(),
            aging: by_connection(
                "select * from marts.aging_wip where board_id = 2 order by issue_id",
            ),
            percentiles: by_connection(
                "select connection,
                    percentile_cont(0.1) within group (order by cycle_time_wipe_hours) as p10,
                    percentile_cont(0.5) within group (order by cycle_time_wipe_hours) as p50,
                    percentile_cont(0.9) within group (order by cycle_time_wipe_hours) as p90
                 from marts.issue_flow group by connection",
            ),
        }
    }

    fn issues(&self, case: &Case) -> &[Value] {
        self.issues.get(&case.connection).map_or(&[], Vec::as_slice)
    }

    /// Issues at or beyond a column at the end of a day; none before the first day.
    fn at_or_beyond(&self, case: &Case, day: &str, column: &str) -> f64 {
        let days = self.cumulative.get(&case.connection);
        let place = (day.to_string(), column.to_string());
        let count = days.and_then(|days| days.get(&place));
        count.copied().unwrap_or_default()
    }
}

/// Days of an hours column; null stays null.
fn days(hours: &Value) -> Value {
    hours
        .as_f64()
        .map_or(Value::Null, |hours| json!(hours / 24.0))
}

fn date(instant: &Value) -> Value {
    instant
        .as_str()
        .map_or(Value::Null, |text| json!(text[..10]))
}

/// Compares a run; says how many values were compared.
fn compare(case: &Case, ours: &Ours) -> usize {
    let name = &case.connection;
    let (committed, done) = (
        case.setting("committed_column"),
        case.setting("done_column"),
    );
    match case.calculator() {
        "CycleTimeCalculator" | "ScatterplotCalculator" => {
            let scatter = case.calculator() == "ScatterplotCalculator";
            // Without a day given for today, a flag that is still set ran up to the day of the recording.
            let flagged = |row: &BTreeMap<String, Value>| {
                let flags = row.get("impediments").and_then(Value::as_array);
                flags.is_some_and(|flags| flags.iter().any(|flag| flag["end"].is_null()))
            };
            let clock: Vec<_> = case
                .output()
                .iter()
                .map(|row| case.today().is_none() && flagged(row))
                .collect();
            let theirs = case.output().into_iter().zip(&clock).map(|(row, clock)| {
                let (cycle, completed) = if scatter {
                    (row["cycle_time"].clone(), &row["completed_date"])
                } else {
                    let days = row["cycle_time"].get("timedelta_days").cloned();
                    (days.unwrap_or_default(), &row["completed_timestamp"])
                };
                let blocked = (!clock).then(|| row["blocked_days"].as_f64().unwrap());
                json!([row["key"], cycle, date(completed), blocked])
            });
            let rows = ours.issues(case).iter();
            let rows = rows.filter(|row| !scatter || !row["done_at"].is_null());
            let ours = rows.enumerate().map(|(n, row)| {
                let blocked = row["blocked_hours"].as_f64().unwrap_or_default() / 24.0;
                let blocked = (!clock.get(n).unwrap_or(&false)).then_some(blocked);
                let cycle = days(&row["cycle_time_wipe_hours"]);
                json!([row["issue_key"], cycle, date(&row["done_at"]), blocked])
            });
            let (ours, theirs): (Vec<_>, Vec<_>) = (ours.collect(), theirs.collect());
            assert_eq!(ours, theirs, "{name}");
            theirs.len() * 3
        }
        "CFDCalculator" | "BurnupCalculator" => {
            let mut compared = 0;
            for (day, row) in case.days().iter().zip(case.output()) {
                for (column, count) in row {
                    let found = ours.at_or_beyond(case, day, &column);
                    assert_eq!(Some(found), count.as_f64(), "{name}: {column} on {day}");
                    compared += 1;
                }
            }
            compared
        }
        "WIPChartCalculator" => {
            let rows = case.days().into_iter().zip(case.output());
            let rows = rows.map(|(day, row)| {
                let found =
                    ours.at_or_beyond(case, &day, committed) - ours.at_or_beyond(case, &day, done);
                assert_eq!(Some(found), row["wip"].as_f64(), "{name} on {day}");
            });
            rows.count()
        }
        "NetFlowChartCalculator" => {
            let rows = case.days().into_iter().zip(case.output());
            let rows = rows.map(|(day, row)| {
                let before = day.parse::<NaiveDate>().unwrap().pred_opt().unwrap();
                let more = |column: &str| {
                    ours.at_or_beyond(case, &day, column)
                        - ours.at_or_beyond(case, &before.to_string(), column)
                };
                assert_eq!(
                    Some(more(committed)),
                    row["arrivals"].as_f64(),
                    "{name} on {day}"
                );
                assert_eq!(
                    Some(more(done)),
                    row["departures"].as_f64(),
                    "{name} on {day}"
                );
            });
            rows.count() * 2
        }
        "ThroughputCalculator" => {
            // Theirs is per day.
            let mut weeks: BTreeMap<String, f64> = BTreeMap::new();
            for (day, row) in case.days().iter().zip(case.output()) {
                let week = day.parse::<NaiveDate>().unwrap().week(chrono::Weekday::Mon);
                let week = week.first_day().to_string();
                *weeks.entry(week).or_default() += row["count"].as_f64().unwrap();
            }
            for (week, count) in &weeks {
                assert_eq!(ours.weeks[name].get(week), Some(count), "{name}: {week}");
            }
            weeks.len()
        }
        "PercentilesCalculator" => {
            assert_eq!(
                case.run["output"]["index"],
                json!([0.1, 0.5, 0.9]),
                "{name}"
            );
            let theirs = case.run["output"]["values"].as_array().unwrap();
            let rows = ours.percentiles.get(name).map_or(&[][..], Vec::as_slice);
            for (column, value) in ["p10", "p50", "p90"].iter().zip(theirs) {
                let theirs = value.get("timedelta_days").cloned().unwrap_or_default();
                let ours = rows.first().map_or(Value::Null, |row| days(&row[*column]));
                assert_eq!(ours, theirs, "{name}: {column}");
            }
            theirs.len()
        }
        "HistogramCalculator" => {
            let bins = case.run["output"]["index"].as_array().unwrap();
            let values = case.run["output"]["values"].as_array().unwrap();
            for (n, (bin, count)) in bins.iter().zip(values).enumerate() {
                let (low, high) = bin.as_str().unwrap().split_once(" to ").unwrap();
                let (low, high): (f64, f64) = (low.parse().unwrap(), high.parse().unwrap());
                let last = n + 1 == bins.len();
                let inside = |row: &&Value| {
                    let hours = row["cycle_time_wipe_hours"].as_f64();
                    hours.is_some_and(|hours| {
                        let days = hours / 24.0;
                        days >= low && (days < high || (last && days <= high))
                    })
                };
                let found = ours.issues(case).iter().filter(inside).count();
                assert_eq!(json!(found), *count, "{name}: {bin}");
            }
            bins.len()
        }
        "AgeingWIPChartCalculator" => {
            let theirs = case.output().into_iter();
            let theirs = theirs.map(|row| json!([row["key"], row["status"], row["age"].as_f64()]));
            let rows = ours.aging.get(name).map_or(&[][..], Vec::as_slice).iter();
            let rows = rows.map(|row| {
                json!([
                    row["issue_key"],
                    row["column_name"],
                    days(&row["age_hours"])
                ])
            });
            let (ours, theirs): (Vec<_>, Vec<_>) = (rows.collect(), theirs.collect());
            assert_eq!(ours, theirs, "{name}");
            theirs.len() * 2
        }
        other => panic!("{name}: {other} is neither compared nor listed as not comparable"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flow_is_what_another_tool_answered() {
    let Some(folder) = test_data().map(|folder| folder.join("flow-cases")) else {
        println!("skipped: SPRINT_REPORTS_TEST_DATA names no folder with recorded payloads");
        return;
    };
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy();
        let connection = name.replace("_test.py__test", "").replace('_', "-");
        let run = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        cases.push(Case { connection, run });
    }
    assert_eq!(cases.len(), 84);
    for (calculator, runs, reason) in NOT_COMPARABLE {
        let found = cases.iter().filter(|case| case.calculator() == calculator);
        assert_eq!(found.count(), runs, "{calculator}: {reason}");
        println!("not compared: {runs} runs of {calculator}: {reason}");
    }
    cases.retain(|case| {
        let mut listed = NOT_COMPARABLE.iter();
        !listed.any(|(calculator, _, _)| case.calculator() == *calculator)
    });

    let mut tables = Tables::default();
    for case in &cases {
        tables.history(case);
    }
    let product = Product::new();
    let path = product.path().join("data").display().to_string();
    std::fs::create_dir_all(&path).unwrap();
    let config = Config {
        store_url: format!("file:{path}/lake"),
        metadata_url: format!("sqlite:{path}/meta.db"),
        ..Config::default()
    };
    let lake = Warehouse::open(&config).await.unwrap();
    for (table, rows) in tables.0 {
        let table = TableName::new("jira", table);
        let commit = Commit::default();
        lake.tables().upsert(&table, rows, &commit).await.unwrap();
    }
    drop(lake);
    product.run(&["refresh"]).ok();
    let ours = Ours::read(&product);

    let mut compared: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for case in &cases {
        let values = compare(case, &ours);
        let entry = compared.entry(case.calculator()).or_default();
        *entry = (entry.0 + 1, entry.1 + values);
    }
    println!("runs and values compared: {compared:?}");
    assert_eq!(cases.len(), 84 - 33);
    // Each of these has a run with something in it.
    assert!(
        compared.values().all(|(_, values)| *values > 0),
        "{compared:?}"
    );
}
