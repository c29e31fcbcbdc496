//! Rows of Jira's own sprint report.

use std::collections::HashSet;

use schemas::Row;
use serde_json::Value;

use super::{Mapped, Refusal, at, id, parse, text};

/// Lists of the report, as it names them and as the contract does. Old versions name one of them in
/// another way.
const LISTS: [(&str, &str); 5] = [
    ("completedIssues", "completed"),
    ("issuesNotCompletedInCurrentSprint", "not_completed"),
    ("incompletedIssues", "not_completed"),
    ("puntedIssues", "removed"),
    ("issuesCompletedInAnotherSprint", "completed_outside"),
];

/// The rows of `jira.sprint_reports` that a report gives, and what of it could not be read.
pub(crate) fn sprint_report_rows(
    connection: &str,
    board_id: i64,
    sprint_id: i64,
    payload: &str,
) -> Result<(Vec<Row>, Vec<String>), Refusal> {
    let report = parse(payload)?;
    let contents = at(&report, "contents");
    if !LISTS.iter().any(|(list, _)| contents[*list].is_array()) {
        return Err("contents has none of the lists of a sprint report".to_string());
    }
    let added = &contents["issueKeysAddedDuringSprint"];
    let (mut rows, mut remarks, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (list, name) in LISTS {
        for line in contents[list].as_array().into_iter().flatten() {
            let Some(issue_id) = id(at(line, "id")) else {
                remarks.push(format!("{list}: a line has no id"));
                continue;
            };
            if !seen.insert(issue_id) {
                remarks.push(format!(
                    "{list}: issue {issue_id} stands in the report twice"
                ));
                continue;
            }
            let is_added = text(at(line, "key")).map(|key| added[&key].as_bool().unwrap_or(false));
            let mut mapped = Mapped::new(connection);
            mapped.put("sprint_id", sprint_id);
            mapped.put("issue_id", issue_id);
            mapped.put("board_id", board_id);
            mapped.put("list", name);
            mapped.put(
                "added_during_sprint",
                is_added.filter(|_| added.is_object()),
            );
            mapped.put("start_estimate", estimate(line, "estimateStatistic"));
            mapped.put("end_estimate", estimate(line, "currentEstimateStatistic"));
            let field = ["currentEstimateStatistic", "estimateStatistic"]
                .into_iter()
                .find_map(|part| text(at(line, &format!("{part}.statFieldId"))));
            mapped.put("estimate_field_id", field);
            rows.push(mapped.row);
        }
    }
    Ok((rows, remarks))
}

fn estimate(line: &Value, part: &str) -> Option<f64> {
    at(line, &format!("{part}.statFieldValue.value")).as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(id: i64, start: Option<f64>, end: Option<f64>) -> Value {
        let statistic = |value: Option<f64>| {
            let value = value.map_or_else(|| json!({}), |value| json!({"value": value}));
            json!({"statFieldId": "customfield_10016", "statFieldValue": value})
        };
        json!({"id": id, "key": format!("A-{id}"), "estimateStatistic": statistic(start),
            "currentEstimateStatistic": statistic(end)})
    }

    #[test]
    fn lines_of_all_lists() {
        let report = json!({"contents": {
            "completedIssues": [line(1, Some(3.0), Some(5.0)), {"key": "A-9"}],
            "issuesNotCompletedInCurrentSprint": [line(2, None, Some(0.0))],
            "puntedIssues": [line(3, None, None), line(1, None, None)],
            "issuesCompletedInAnotherSprint": [],
            "issueKeysAddedDuringSprint": {"A-2": true},
        }});
        let (rows, remarks) = sprint_report_rows("acme", 8, 12, &report.to_string()).unwrap();
        let contract = schemas::contract(&"jira.sprint_reports".parse().unwrap()).unwrap();
        assert!(rows.iter().all(|row| contract.missing(row).is_none()));
        let rows: Vec<_> = rows.into_iter().map(Value::Object).collect();
        let row = |issue: i64, list: &str, added: bool| {
            json!({"connection": "acme", "board_id": 8, "sprint_id": 12, "issue_id": issue,
                "list": list, "added_during_sprint": added, "estimate_field_id": "customfield_10016"})
        };
        let mut expected = [
            row(1, "completed", false),
            row(2, "not_completed", true),
            row(3, "removed", false),
        ];
        expected[0]["start_estimate"] = json!(3.0);
        expected[0]["end_estimate"] = json!(5.0);
        expected[1]["end_estimate"] = json!(0.0);
        assert_eq!(rows, expected);
        assert_eq!(remarks.len(), 2, "{remarks:?}");
        assert!(sprint_report_rows("acme", 8, 12, "{}").is_err());
        let empty = json!({"contents": {"completedIssues": []}});
        let read = sprint_report_rows("acme", 8, 12, &empty.to_string());
        assert_eq!(read, Ok((Vec::new(), Vec::new())));
    }
}
