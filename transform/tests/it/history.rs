//! A small site whose history a test writes down: board 1 (columns To Do, Doing, Done), sprints, issues.
//! Instants are days of January 2026 with an hour: `at(5.5)` is the 5th at noon.

use schemas::{Row, TableName};
use serde_json::{Value, json};
use transform::{Progress, Project, RefreshOptions};
use warehouse::{Commit, Config, QueryOptions, Warehouse};

/// Statuses: 1 To Do, 2 Doing, 3 Done, 4 Parked (mapped by no column).
const STATUSES: [(i64, &str, &str); 4] = [
    (1, "To Do", "new"),
    (2, "Doing", "indeterminate"),
    (3, "Done", "done"),
    (4, "Parked", "new"),
];

pub(crate) struct Silent;

impl Progress for Silent {
    fn building(&self, _: &str, _: usize, _: usize) {}
    fn testing(&self) {}
    fn finished(&self, _: usize, _: usize, _: usize) {}
}

pub(crate) fn at(day: f64) -> String {
    let start = "2026-01-01T00:00:00Z"
        .parse::<chrono::DateTime<chrono::Utc>>()
        .unwrap();
    let instant = start + chrono::TimeDelta::milliseconds(((day - 1.0) * 86_400_000.0) as i64);
    instant.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn row(value: Value) -> Row {
    let mut row = value.as_object().unwrap().clone();
    row.entry("connection").or_insert("acme".into());
    row
}

pub(crate) struct History {
    _folder: tempfile::TempDir,
    pub(crate) lake: Warehouse,
    rows: Vec<(&'static str, Row)>,
    history_id: i64,
    models: &'static [&'static str],
}

/// Models of most histories.
const SPRINTS: [&str; 6] = [
    "sprint_metrics",
    "velocity",
    "sprints",
    "sprint_burndown_daily",
    "issue_assignee_periods",
    "issue_parent_periods",
];

impl History {
    /// Sprint 10 runs from the 5th to the 15th, sprint 11 from the 16th and is active.
    pub(crate) async fn new() -> Self {
        Self::of(&SPRINTS).await
    }

    /// The same, for the models named and all that they read.
    pub(crate) async fn of(models: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let config = Config {
            store_url: format!("file:{path}/lake"),
            metadata_url: format!("sqlite:{path}/meta.db"),
            ..Config::default()
        };
        let lake = Warehouse::open(&config).await.unwrap();
        let mut history = Self {
            _folder: folder,
            lake,
            rows: Vec::new(),
            history_id: 0,
            models,
        };
        for (id, name, category) in STATUSES {
            history.add(
                "statuses",
                json!({"status_id": id, "name": name, "category": category}),
            );
        }
        let sprint =
            json!({"field_id": "cf_s", "name": "Sprint", "is_custom": true, "role": "sprint"});
        history.add("fields", sprint);
        history.add(
            "boards",
            json!({"board_id": 1, "name": "B", "type": "scrum", "has_configuration": true,
            "estimation_type": "field", "estimation_field_id": "cf_p"}),
        );
        for (ordinal, status) in [(0, 1), (1, 2), (2, 3)] {
            history.add(
                "board_columns",
                json!({"board_id": 1, "ordinal": ordinal, "status_id": status,
                "status_key": status.to_string(), "name": "C", "is_last": ordinal == 2}),
            );
        }
        history.sprint(10, 1, 5.0, Some(15.0));
        history.sprint(11, 1, 16.0, None);
        history
    }

    /// A row of a table of `jira` or, named with its schema, of another one; of connection acme unless it says so.
    pub(crate) fn add(&mut self, table: &'static str, value: Value) {
        self.rows.push((table, row(value)));
    }

    pub(crate) fn sprint(&mut self, id: i64, board: i64, from: f64, to: Option<f64>) {
        let state = if to.is_some() { "closed" } else { "active" };
        self.add("sprints", json!({"sprint_id": id, "board_id": board, "name": format!("S{id}"),
            "state": state, "start_at": at(from), "activated_at": at(from), "end_at": at(to.unwrap_or(30.0)),
            "completed_at": to.map(at)}));
    }

    /// An issue created on the 1st with its present status, points and sprints.
    pub(crate) fn issue(&mut self, id: i64, status: i64, points: Option<f64>, sprints: &[i64]) {
        self.issue_with(id, status, points, sprints, json!({}));
    }

    pub(crate) fn issue_with(
        &mut self,
        id: i64,
        status: i64,
        points: Option<f64>,
        sprints: &[i64],
        more: Value,
    ) {
        let mut issue = json!({"issue_id": id, "issue_key": format!("A-{id}"), "project_key": "A",
            "issue_type": "Story", "is_subtask": false, "status_id": status, "created_at": at(1.0),
            "updated_at": at(20.0), "story_points": points, "story_points_field_id": "cf_p",
            "sprint_ids": sprints});
        issue
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.add("issues", issue);
    }

    pub(crate) fn status(&mut self, issue: i64, day: f64, from: i64, to: i64) {
        self.change(
            issue,
            day,
            "status",
            &from.to_string(),
            &to.to_string(),
            None,
        );
    }

    pub(crate) fn sprints(&mut self, issue: i64, day: f64, from: &str, to: &str) {
        self.change(issue, day, "cf_s", from, to, None);
    }

    pub(crate) fn points(&mut self, issue: i64, day: f64, from: &str, to: &str) {
        self.change(issue, day, "cf_p", "", "", Some((from, to)));
    }

    pub(crate) fn change(
        &mut self,
        issue: i64,
        day: f64,
        field: &str,
        from: &str,
        to: &str,
        shown: Option<(&str, &str)>,
    ) {
        self.history_id += 1;
        let (from_string, to_string) = shown.unwrap_or((from, to));
        self.add("changelog_items", json!({"history_id": self.history_id, "ordinal": 0, "issue_id": issue,
            "changed_at": at(day), "field": field, "field_id": field, "from_value": from, "to_value": to,
            "from_string": from_string, "to_string": to_string}));
    }

    /// Writes what was added.
    pub(crate) async fn write(&mut self) {
        let mut tables: std::collections::BTreeMap<&str, Vec<Row>> =
            std::collections::BTreeMap::new();
        for (table, row) in self.rows.drain(..) {
            tables.entry(table).or_default().push(row);
        }
        for (table, rows) in tables {
            let (schema, table) = table.split_once('.').unwrap_or(("jira", table));
            let table = TableName::new(schema, table);
            self.lake
                .tables()
                .upsert(&table, rows, &Commit::default())
                .await
                .unwrap();
        }
    }

    /// Writes what was added and refreshes.
    pub(crate) async fn refresh(&mut self) -> Result<transform::RefreshReport, transform::Error> {
        self.write().await;
        let project = Project::embedded().unwrap().part(self.models).unwrap();
        transform::refresh(&self.lake, &project, &RefreshOptions::default(), &Silent).await
    }

    pub(crate) async fn sql(&self, sql: &str) -> Vec<Row> {
        let stream = self
            .lake
            .query()
            .run(sql, &QueryOptions::default())
            .await
            .unwrap();
        stream.into_rows().await.unwrap()
    }

    /// The rows of a statement, each as the values of these columns.
    pub(crate) async fn shown(&self, columns: &[&str], sql: &str) -> Value {
        let rows = self.sql(sql).await;
        let shown: Vec<Vec<&Value>> = rows
            .iter()
            .map(|row| columns.iter().map(|column| &row[*column]).collect())
            .collect();
        json!(shown)
    }

    /// The row of an issue in sprint 10; `None` when it was not in scope.
    pub(crate) async fn scope(&self, issue: i64) -> Option<Row> {
        let sql =
            format!("select * from marts.sprint_scope where sprint_id = 10 and issue_id = {issue}");
        self.sql(&sql).await.pop()
    }
}
