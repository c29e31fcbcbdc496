//! Flow against a second computation of another kind: the records of a simulated site are replayed
//! forwards, issue by issue, in plain loops; the models replay them backwards, in sums over sets.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tests::{Product, large_site};

type Instant = DateTime<Utc>;

/// An issue and what happened to it, in order.
struct Issue {
    id: i64,
    project: i64,
    is_subtask: bool,
    /// When it entered which status; its creation first.
    statuses: Vec<(Instant, i64)>,
    /// From when to when it was flagged.
    flags: Vec<(Instant, Option<Instant>)>,
}

impl Issue {
    /// Its status before an instant.
    fn status_before(&self, at: Instant) -> Option<i64> {
        let before = self.statuses.iter().rev().find(|(from, _)| *from < at);
        before.map(|(_, status)| *status)
    }

    /// When its present stay in one of some statuses began.
    fn since(&self, inside: impl Fn(i64) -> bool) -> Option<Instant> {
        let mut since = None;
        for (at, status) in &self.statuses {
            since = inside(*status).then(|| since.unwrap_or(*at));
        }
        since
    }
}

fn int(row: &Value, column: &str) -> i64 {
    row[column].as_i64().unwrap()
}

fn instant(value: &Value) -> Option<Instant> {
    value.as_str().map(|text| text.parse().unwrap())
}

fn hours(from: Instant, to: Instant) -> f64 {
    (to - from).as_seconds_f64() / 3600.0
}

/// The issues of a site from its records; nothing of the models is asked.
fn replayed(product: &Product) -> Vec<Issue> {
    let mut changes: BTreeMap<(i64, String), Vec<Value>> = BTreeMap::new();
    for row in product.sql(
        "select issue_id, changed_at, field, from_value, to_value, to_string from jira.changelog_items
         where field in ('status', 'Flagged') order by changed_at, history_id, ordinal",
    ) {
        let field = row["field"].as_str().unwrap().to_string();
        changes.entry((int(&row, "issue_id"), field)).or_default().push(row);
    }
    let rows = product.sql("select * from jira.issues where deleted_at is null order by issue_id");
    let rows = rows.into_iter().map(|row| {
        let id = int(&row, "issue_id");
        let created = instant(&row["created_at"]).unwrap();
        let of = |field: &str| {
            let found = changes.get(&(id, field.to_string()));
            found.map_or(&[][..], Vec::as_slice)
        };
        let number = |value: &Value| value.as_str().unwrap().parse::<i64>().unwrap();
        let first = of("status")
            .first()
            .map(|change| number(&change["from_value"]));
        let mut statuses = vec![(created, first.unwrap_or_else(|| int(&row, "status_id")))];
        for change in of("status") {
            let at = instant(&change["changed_at"]).unwrap().max(created);
            if statuses.last().unwrap().0 == at {
                statuses.pop();
            }
            statuses.push((at, number(&change["to_value"])));
        }
        assert_eq!(
            statuses.last().unwrap().1,
            int(&row, "status_id"),
            "issue {id}"
        );
        let mut flags: Vec<(Instant, Option<Instant>)> = Vec::new();
        for change in of("Flagged") {
            let at = instant(&change["changed_at"]).unwrap().max(created);
            let set = !change["to_string"].as_str().unwrap_or_default().is_empty();
            match flags.last_mut() {
                Some((_, end)) if end.is_none() && !set => *end = Some(at),
                Some((_, None)) => {}
                _ if set => flags.push((at, None)),
                _ => {}
            }
        }
        Issue {
            id,
            project: int(&row, "project_id"),
            is_subtask: row["is_subtask"].as_bool().unwrap(),
            statuses,
            flags,
        }
    });
    rows.collect()
}

/// Category of each status; and whether work in it waits.
fn categories(product: &Product) -> BTreeMap<i64, (String, bool)> {
    let rows = product.sql("select status_id, name, category from jira.statuses");
    let rows = rows.iter().map(|row| {
        let category = row["category"].as_str().unwrap().to_string();
        (int(row, "status_id"), (category, row["name"] == "On Hold"))
    });
    rows.collect()
}

fn near(found: &Value, expected: Option<f64>, what: &str) {
    let same = match (found.as_f64(), expected) {
        (Some(found), Some(expected)) => (found - expected).abs() < 1e-4,
        (found, expected) => found == expected,
    };
    assert!(same, "{what}: {found} instead of {expected:?}");
}

/// Times of every issue; says how many were started.
fn issues_flow(product: &Product, issues: &[Issue], data_time: Instant) -> usize {
    let statuses = categories(product);
    let is = |status: i64, category: &str| statuses[&status].0 == category;
    let rows = product.sql("select * from marts.issue_flow order by issue_id");
    assert_eq!(rows.len(), issues.len());
    let mut started_issues = 0;
    for (issue, row) in issues.iter().zip(&rows) {
        assert_eq!(int(row, "issue_id"), issue.id);
        let first = |category: &str| {
            let mut entries = issue.statuses.iter();
            entries
                .find(|(_, status)| is(*status, category))
                .map(|(at, _)| *at)
        };
        let started = first("indeterminate");
        let done = issue.since(|status| is(status, "done"));
        let what = format!("issue {}", issue.id);
        assert_eq!(instant(&row["started_at"]), started, "{what}");
        assert_eq!(instant(&row["first_done_at"]), first("done"), "{what}");
        assert_eq!(instant(&row["done_at"]), done, "{what}");
        let pairs = issue.statuses.windows(2);
        let reopened = pairs.filter(|pair| is(pair[0].1, "done") && !is(pair[1].1, "done"));
        assert_eq!(
            int(row, "reopened_count"),
            reopened.count() as i64,
            "{what}"
        );
        let Some(started) = started else { continue };
        started_issues += 1;
        let end = done.unwrap_or(data_time);
        let mut borders = BTreeSet::from([started, end]);
        borders.extend(issue.statuses.iter().map(|(at, _)| *at));
        borders.extend(
            issue
                .flags
                .iter()
                .flat_map(|(from, to)| [Some(*from), *to])
                .flatten(),
        );
        borders.retain(|at| *at >= started && *at <= end);
        let borders: Vec<_> = borders.into_iter().collect();
        let (mut active, mut blocked) = (0.0, 0.0);
        for pair in borders.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let status = issue.status_before(to).unwrap();
            let mut flags = issue.flags.iter();
            if flags.any(|flag| flag.0 <= from && flag.1.is_none_or(|end| end > from)) {
                blocked += hours(from, to);
            } else if is(status, "indeterminate") && !statuses[&status].1 {
                active += hours(from, to);
            }
        }
        near(&row["active_hours"], Some(active), &what);
        near(&row["blocked_hours"], Some(blocked), &what);
        near(
            &row["waiting_hours"],
            Some(hours(started, end) - active),
            &what,
        );
        near(
            &row["cycle_time_hours"],
            done.map(|done| hours(started, done)),
            &what,
        );
    }
    started_issues
}

/// Columns of every board at the end of some days; says how many numbers were compared.
fn boards_flow(product: &Product, issues: &[Issue]) -> usize {
    let mut columns: BTreeMap<i64, BTreeMap<i64, i64>> = BTreeMap::new();
    for row in product.sql("select * from jira.board_columns where status_id is not null") {
        let board = columns.entry(int(&row, "board_id")).or_default();
        board.insert(int(&row, "status_id"), int(&row, "ordinal"));
    }
    let mut in_sprints: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for row in product.sql(
        "select distinct s.board_id, p.issue_id
         from (select issue_id, unnest(sprint_ids) as sprint_id from marts.issue_sprint_periods) as p
         join jira.sprints as s on s.sprint_id = p.sprint_id",
    ) {
        let board = in_sprints.entry(int(&row, "board_id")).or_default();
        board.insert(int(&row, "issue_id"));
    }
    let rows = product.sql(
        "select f.*, local_midnight(f.day + interval '1 day', s.time_zone) as ends_at
         from marts.cumulative_flow_daily as f join jira.sites as s on s.connection = f.connection
         where date_part('day', f.day) in (1, 4, 15)",
    );
    let projects = product.sql("select board_id, project_id from jira.boards");
    let mut compared = 0;
    for board in projects {
        let id = int(&board, "board_id");
        let sprints = in_sprints.remove(&id).unwrap_or_default();
        let mine = issues.iter().filter(|issue| {
            !issue.is_subtask
                && (issue.project == int(&board, "project_id") || sprints.contains(&issue.id))
        });
        let mine: Vec<_> = mine.collect();
        let columns = &columns[&id];
        let last = columns.values().max().unwrap();
        for row in rows.iter().filter(|row| int(row, "board_id") == id) {
            let (ends_at, ordinal) = (instant(&row["ends_at"]).unwrap(), int(row, "ordinal"));
            let (mut here, mut beyond, mut ever) = (0, 0, 0);
            for issue in &mine {
                let column = issue.status_before(ends_at);
                let column = column.and_then(|status| columns.get(&status));
                here += i64::from(column == Some(&ordinal));
                beyond += i64::from(column.is_some_and(|column| *column >= ordinal));
                let before = issue.statuses.iter().filter(|(at, _)| *at < ends_at);
                let reached = before.filter_map(|(_, status)| columns.get(status)).max();
                ever += i64::from(reached.is_some_and(|column| *column >= ordinal));
            }
            let found = ["issues", "cumulative_issues", "high_water_issues"];
            let found = found.map(|column| int(row, column));
            assert_eq!(found, [here, beyond, ever], "board {id}: {row}");
            compared += 3;
        }
        let in_last = |status: i64| columns.get(&status) == Some(last);
        let done = mine.iter().filter(|issue| issue.since(in_last).is_some());
        let throughput = product.value(&format!(
            "select cast(coalesce(sum(issues), 0) as bigint) as n from marts.throughput_weekly
             where board_id = {id}"
        ));
        assert_eq!(throughput, done.count(), "throughput of board {id}");
    }
    compared
}

/// What was open, and for how long; says how many days were compared.
fn projects_flow(product: &Product, issues: &[Issue]) -> usize {
    let statuses = categories(product);
    let is_done = |status: i64| statuses[&status].0 == "done";
    let rows = product.sql(
        "select c.*, local_midnight(c.day, s.time_zone) as begins_at,
            local_midnight(c.day + interval '1 day', s.time_zone) as ends_at
         from marts.created_vs_resolved_daily as c join jira.sites as s on s.connection = c.connection
         where date_part('day', c.day) in (1, 4, 15)",
    );
    for row in &rows {
        let mine = issues
            .iter()
            .filter(|issue| !issue.is_subtask && issue.project == int(row, "project_id"));
        let (begins_at, ends_at) = (
            instant(&row["begins_at"]).unwrap(),
            instant(&row["ends_at"]).unwrap(),
        );
        let (mut created, mut resolved, mut reopened, mut open) = (0, 0, 0, 0);
        let mut ages = Vec::new();
        for issue in mine {
            let mut was_done = false;
            for (n, (at, status)) in issue.statuses.iter().enumerate() {
                if *at >= begins_at && *at < ends_at {
                    created += i64::from(n == 0);
                    resolved += i64::from(is_done(*status) && !was_done);
                    reopened += i64::from(!is_done(*status) && was_done);
                }
                was_done = is_done(*status);
            }
            let not_done = |at| {
                issue
                    .status_before(at)
                    .is_some_and(|status| !is_done(status))
            };
            open += i64::from(not_done(ends_at));
            if not_done(begins_at) {
                ages.push(hours(issue.statuses[0].0, begins_at));
            }
        }
        let found = ["created", "resolved", "reopened", "open"].map(|column| int(row, column));
        assert_eq!(found, [created, resolved, reopened, open], "{row}");
        let mean = (!ages.is_empty()).then(|| ages.iter().sum::<f64>() / ages.len() as f64);
        near(&row["average_age_hours"], mean, &row.to_string());
    }
    rows.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flow_is_what_a_replay_forwards_gives() {
    let site = large_site(9).await;
    let product = Product::reading(&site);
    product.run(&["sync"]).ok();
    product.run(&["refresh"]).ok();
    let issues = replayed(&product);
    let data_time = product.value(
        "select max(at) as at from (
            select max(updated_at) as at from jira.issues where deleted_at is null
            union all select max(changed_at) as at from jira.changelog_items
            union all select max(activated_at) as at from jira.sprints
            union all select max(completed_at) as at from jira.sprints)",
    );
    let started = issues_flow(&product, &issues, instant(&data_time).unwrap());
    let flagged = issues
        .iter()
        .filter(|issue| !issue.flags.is_empty())
        .count();
    assert!(
        started > 500 && flagged > 10,
        "{started} started, {flagged} flagged"
    );
    let compared = boards_flow(&product, &issues);
    assert!(compared > 500, "{compared} numbers of boards");
    let days = projects_flow(&product, &issues);
    assert!(days > 50, "{days} days of projects");
}
