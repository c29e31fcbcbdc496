//! Runs of jira-agile-metrics' calculators, and their inputs as histories of a tracker.

use std::collections::BTreeMap;

use schemas::Row;
use serde_json::{Value, json};

/// One run.
pub(crate) struct Case {
    pub(crate) connection: String,
    pub(crate) run: Value,
}

impl Case {
    pub(crate) fn calculator(&self) -> &str {
        self.run["calculator"].as_str().unwrap()
    }

    pub(crate) fn setting(&self, name: &str) -> &str {
        self.run["settings"][name].as_str().unwrap()
    }

    /// Columns of the cycle: name and statuses.
    fn cycle(&self) -> Vec<(String, Vec<String>)> {
        let texts = |list: &Value| {
            let list = list.as_array().unwrap().iter();
            list.map(|text| text.as_str().unwrap().to_string())
                .collect()
        };
        let cycle = self.run["settings"]["cycle"].as_array().unwrap().iter();
        cycle
            .map(|step| {
                (
                    step["name"].as_str().unwrap().to_string(),
                    texts(&step["statuses"]),
                )
            })
            .collect()
    }

    fn place(&self, column: &str) -> usize {
        let cycle = self.cycle();
        cycle.iter().position(|(name, _)| name == column).unwrap()
    }

    /// Rows of a result as objects; an input or the output.
    fn table(result: &Value) -> Vec<BTreeMap<String, Value>> {
        let columns = result["columns"].as_array().unwrap();
        let rows = result["rows"].as_array().unwrap().iter();
        rows.map(|row| {
            let cells = columns.iter().zip(row.as_array().unwrap());
            cells
                .map(|(name, cell)| (name.as_str().unwrap().to_string(), cell.clone()))
                .collect()
        })
        .collect()
    }

    pub(crate) fn output(&self) -> Vec<BTreeMap<String, Value>> {
        Self::table(&self.run["output"])
    }

    /// Days of the output's rows.
    pub(crate) fn days(&self) -> Vec<String> {
        let index = self.run["output"]["index"].as_array().unwrap().iter();
        index
            .map(|day| day.as_str().unwrap()[..10].to_string())
            .collect()
    }

    /// The day that the run took for today, when it needed one.
    pub(crate) fn today(&self) -> Option<String> {
        let run = &self.run;
        let given = [
            &run["args"][0],
            &run["kwargs"]["today"],
            &run["kwargs"]["now"],
        ];
        let day = given.into_iter().find_map(Value::as_str)?;
        Some(day[..10].to_string())
    }
}

/// The beginning of the day of a text that begins with one.
fn instant(text: &str) -> String {
    format!("{}T00:00:00Z", &text[..10])
}

/// What goes into the lake.
#[derive(Default)]
pub(crate) struct Tables(pub(crate) BTreeMap<&'static str, Vec<Row>>);

impl Tables {
    fn add(&mut self, connection: &str, table: &'static str, value: Value) {
        let mut row = value.as_object().unwrap().clone();
        row.insert("connection".into(), connection.into());
        self.0.entry(table).or_default().push(row);
    }

    /// Statuses, whose category follows from the columns that the run calls committed and done, and two
    /// boards: 1 with all columns, 2 with one for everything from done on.
    fn site(&mut self, case: &Case) -> BTreeMap<String, i64> {
        let on = &case.connection;
        let (committed, done) = (
            case.place(case.setting("committed_column")),
            case.place(case.setting("done_column")),
        );
        let cycle = case.cycle();
        let last = cycle.len() - 1;
        let mut statuses = BTreeMap::new();
        for board in [1, 2] {
            self.add(
                on,
                "boards",
                json!({"board_id": board, "name": "B", "type": "kanban",
                "project_id": 1, "has_configuration": true}),
            );
        }
        for (place, (column, names)) in cycle.iter().enumerate() {
            let category = match place {
                _ if place >= done => "done",
                _ if place >= committed => "indeterminate",
                _ => "new",
            };
            for name in names {
                let id = i64::try_from(statuses.len()).unwrap() + 1;
                statuses.insert(name.to_lowercase(), id);
                self.add(
                    on,
                    "statuses",
                    json!({"status_id": id, "name": name, "category": category}),
                );
                for (board, ordinal, is_last) in [
                    (1, place, place == last),
                    (2, place.min(done), place >= done),
                ] {
                    let column = if board == 2 {
                        &cycle[ordinal].0
                    } else {
                        column
                    };
                    self.add(on, "board_columns", json!({"board_id": board, "ordinal": ordinal,
                        "status_id": id, "status_key": id.to_string(), "name": column, "is_last": is_last}));
                }
            }
        }
        statuses
    }

    /// An issue with the changes of its status and its flag: (instant, field, from, to).
    fn issue(
        &mut self,
        case: &Case,
        id: usize,
        key: &str,
        created: &str,
        status: i64,
        changes: &[(String, &str, String, String)],
    ) {
        let on = &case.connection;
        let last = changes.iter().map(|change| change.0.clone()).max();
        let updated = case.today().map(|day| instant(&day)).or(last);
        self.add(
            on,
            "issues",
            json!({"issue_id": id, "issue_key": key, "project_id": 1,
            "project_key": "A", "issue_type": "Story", "is_subtask": false, "status_id": status,
            "created_at": created, "updated_at": updated.unwrap_or_else(|| created.to_string())}),
        );
        for (n, (at, field, from, to)) in changes.iter().enumerate() {
            self.add(
                on,
                "changelog_items",
                json!({"history_id": id * 100 + n, "ordinal": 0,
                "issue_id": id, "changed_at": at, "field": field, "from_value": from,
                "from_string": from, "to_value": to, "to_string": to}),
            );
        }
    }

    /// Issues as a tracker has them, or else the table of the days on which each column was entered.
    pub(crate) fn history(&mut self, case: &Case) {
        let statuses = self.site(case);
        let id = |name: &str| statuses[&name.to_lowercase()];
        if let Some(issues) = case.run["input_issues"].as_array() {
            for (n, issue) in issues.iter().enumerate() {
                let mut changes = Vec::new();
                for entry in issue["changelog"].as_array().unwrap() {
                    for item in entry["items"].as_array().unwrap() {
                        let at = instant(entry["created"].as_str().unwrap());
                        let text = |side: &str| item[side].as_str().unwrap_or_default().to_string();
                        match item["field"].as_str().unwrap() {
                            "status" => {
                                let (from, to) = (id(&text("from")), id(&text("to")));
                                changes.push((at, "status", from.to_string(), to.to_string()));
                            }
                            "Flagged" => changes.push((at, "Flagged", text("from"), text("to"))),
                            _ => {}
                        }
                    }
                }
                let fields = &issue["fields"];
                let created = instant(fields["created"].as_str().unwrap());
                let status = id(fields["status"]["name"].as_str().unwrap());
                let key = issue["key"].as_str().unwrap();
                self.issue(case, n + 1, key, &created, status, &changes);
            }
            return;
        }
        let cycle = case.cycle();
        let input = &case.run["input_results"]["CycleTimeCalculator"];
        let rows = if input.is_null() {
            Vec::new()
        } else {
            Case::table(input)
        };
        for (n, row) in rows.iter().enumerate() {
            let entered: Vec<_> = cycle
                .iter()
                .filter_map(|(name, names)| Some((row[name].as_str()?, id(&names[0]))))
                .collect();
            let moves = entered.windows(2).map(|pair| {
                let (from, to) = (pair[0].1.to_string(), pair[1].1.to_string());
                (instant(pair[1].0), "status", from, to)
            });
            let moves: Vec<_> = moves.collect();
            let status = entered.last().unwrap().1;
            let key = row["key"].as_str().unwrap();
            self.issue(case, n + 1, key, &instant(entered[0].0), status, &moves);
        }
    }
}
