//! The report of a sprint as text for a terminal.

use std::fmt::Write;

use schemas::Row;
use serde_json::Value;
use serve::SprintReport;

use crate::output::clean;

/// Outcomes in the order the report lists them, with their headings.
const OUTCOMES: [(&str, &str); 4] = [
    ("completed", "Completed"),
    ("completed_outside", "Completed outside of this sprint"),
    ("not_completed", "Not completed"),
    ("removed", "Removed from the sprint"),
];

/// Widest title that is shown.
const TITLE: usize = 48;

/// The whole report.
pub(crate) fn text(report: &SprintReport) -> String {
    let sprint = &report.sprint;
    let mut out = String::new();
    heading(&mut out, report);
    figures(&mut out, sprint);
    for (outcome, heading) in OUTCOMES {
        let issues: Vec<&Row> = report
            .scope
            .iter()
            .filter(|row| field(row, "outcome") == outcome)
            .collect();
        if !issues.is_empty() {
            let _ = writeln!(out, "\n{heading} ({})", issues.len());
            issues.into_iter().for_each(|row| issue(&mut out, row));
        }
    }
    let _ = writeln!(
        out,
        "\n* added after the start   ↺ left and came back   → carried over"
    );
    let _ = writeln!(out, "sub-tasks are listed and counted in no total\n");
    out
}

fn heading(out: &mut String, report: &SprintReport) {
    let sprint = &report.sprint;
    let title = format!(
        "{} · {}",
        field(sprint, "sprint_name"),
        field(sprint, "board_name")
    );
    let _ = writeln!(out, "\n{title}\n{}", "─".repeat(title.chars().count()));
    let _ = writeln!(
        out,
        "{} → {}   {}   release {}",
        day(sprint, "started_at"),
        day(sprint, "ended_at"),
        field(sprint, "state"),
        report.release_id
    );
    let goal = field(sprint, "goal");
    if !goal.is_empty() {
        let _ = writeln!(out, "Goal: {goal}");
    }
}

fn figures(out: &mut String, sprint: &Row) {
    let _ = writeln!(out, "\n{:<28}{:>8}{:>10}", "", "issues", "points");
    for (label, name) in [
        ("Committed at the start", "committed"),
        ("Added after the start", "added"),
        ("Removed", "removed"),
        ("Completed", "completed"),
        ("Completed outside", "completed_outside"),
        ("Not completed", "not_completed"),
        ("Carried over", "carried_over"),
    ] {
        let issues = number(sprint, &format!("{name}_issues"), 0);
        let points = number(sprint, &format!("{name}_points"), 1);
        let _ = writeln!(out, "{label:<28}{issues:>8}{points:>10}");
    }
    let _ = writeln!(
        out,
        "{:<28}{:>18}",
        "Re-estimation, points",
        number(sprint, "estimate_change_points", 1)
    );
    let _ = writeln!(
        out,
        "{:<28}{:>18}",
        "Say/do",
        percent(sprint, "say_do_ratio")
    );
    let _ = writeln!(
        out,
        "{:<28}{:>18}",
        "Completion",
        percent(sprint, "completion_ratio")
    );
    let _ = writeln!(
        out,
        "{:<28}{:>18}",
        "Scope change",
        percent(sprint, "scope_change_ratio")
    );
    let cycle = format!(
        "{} / {}",
        number(sprint, "cycle_time_p50_hours", 0),
        number(sprint, "cycle_time_p85_hours", 0)
    );
    let _ = writeln!(out, "{:<28}{:>18}", "Cycle time p50/p85, hours", cycle);
    let _ = writeln!(
        out,
        "{:<28}{:>18}",
        "Re-opened issues",
        number(sprint, "reopened_issues", 0)
    );
    let _ = writeln!(
        out,
        "{:<28}{:>18}",
        "Issues without estimate",
        number(sprint, "unestimated_issues", 0)
    );
}

fn issue(out: &mut String, row: &Row) {
    let flag = |name: &str, mark: &str| match row.get(name) {
        Some(Value::Bool(true)) => mark.to_string(),
        _ => String::new(),
    };
    let marks = format!(
        "{}{}{}",
        flag("added_after_start", "*"),
        flag("re_entered", "↺"),
        flag("carried_over", "→")
    );
    let (start, end) = (number(row, "start_points", 1), number(row, "end_points", 1));
    let points = if start == end {
        end
    } else {
        format!("{start} → {end}")
    };
    let mut title: String = field(row, "summary").chars().take(TITLE).collect();
    if matches!(row.get("is_subtask"), Some(Value::Bool(true))) {
        title = format!("└ {title}");
    }
    let _ = writeln!(
        out,
        "  {:<10} {:<3} {:<50} {:<10} {points:>10}",
        field(row, "issue_key"),
        marks,
        title,
        field(row, "issue_type")
    );
}

/// A text of a row, safe to show; empty when null.
fn field(row: &Row, name: &str) -> String {
    row.get(name)
        .and_then(Value::as_str)
        .map(clean)
        .unwrap_or_default()
}

fn day(row: &Row, name: &str) -> String {
    let text = field(row, name);
    if text.is_empty() {
        "now".to_string()
    } else {
        text.chars().take(10).collect()
    }
}

/// A number with some decimals; a dash when unknown.
fn number(row: &Row, name: &str, decimals: usize) -> String {
    match row.get(name).and_then(Value::as_f64) {
        Some(value) => format!("{value:.decimals$}"),
        None => "–".to_string(),
    }
}

fn percent(row: &Row, name: &str) -> String {
    match row.get(name).and_then(Value::as_f64) {
        Some(value) => format!("{:.0} %", value * 100.0),
        None => "–".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_is_a_dash_and_hostile_text_is_tamed() {
        let row = |value: Value| value.as_object().unwrap().clone();
        let report = SprintReport {
            release_id: "r1".into(),
            sprint: row(
                json!({"sprint_name": "S\u{1b}[2J1", "board_name": "B", "say_do_ratio": null,
                "committed_issues": 2, "committed_points": 5.0}),
            ),
            scope: vec![row(
                json!({"issue_key": "A-1", "outcome": "removed", "summary": "x",
                "added_after_start": true, "start_points": 3.0, "end_points": 5.0}),
            )],
        };
        let text = text(&report);
        assert!(!text.contains('\u{1b}'));
        assert!(text.contains("Say/do") && text.contains('–'));
        assert!(text.contains("3.0 → 5.0") && text.contains("Removed from the sprint (1)"));
    }
}
