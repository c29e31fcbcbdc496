//! Boards, sprints and the frozen sprint report.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::render::{View, utc};
use crate::world::model::{Board, Sprint};
use crate::world::{ReportIssue, World};

impl World {
    pub(super) fn render_board(&self, board: &Board, view: &View) -> Value {
        let project = board.projects.first().and_then(|id| self.project(*id));
        let mut shown = json!({
            "id": board.id,
            "self": agile(view, &format!("board/{}", board.id)),
            "name": board.name,
            "type": board.kind(),
            "isPrivate": false,
        });
        if let Some(project) = project {
            shown["location"] = json!({
                "projectId": project.id,
                "displayName": format!("{} ({})", project.name, project.key),
                "projectName": project.name,
                "projectKey": project.key,
                "projectTypeKey": "software",
                "avatarURI": format!("{}/secure/projectavatar?avatarId={}", view.base, project.id),
                "name": format!("{} ({})", project.name, project.key),
            });
        }
        shown
    }

    pub(super) fn render_configuration(&self, board: &Board, view: &View) -> Value {
        let columns: Vec<Value> = board
            .columns
            .iter()
            .map(|column| {
                let statuses = column.statuses.iter().map(
                    |id| json!({"id": id.to_string(), "self": view.link(format!("status/{id}"))}),
                );
                json!({"name": column.name, "statuses": statuses.collect::<Vec<_>>()})
            })
            .collect();
        let estimation = match &board.estimate_field {
            Some(field) => {
                let name = if *field == self.site.fields.estimate {
                    "Story point estimate"
                } else {
                    "Story Points"
                };
                json!({"type": "field", "field": {"fieldId": field, "displayName": name}})
            }
            None => json!({"type": "none"}),
        };
        let rank = self
            .site
            .fields
            .rank
            .trim_start_matches("customfield_")
            .parse::<u64>();
        let mut shown = json!({
            "id": board.id,
            "name": board.name,
            "type": board.kind(),
            "self": agile(view, &format!("board/{}/configuration", board.id)),
            "filter": {"id": board.filter_id.to_string(),
                "self": view.link(format!("filter/{}", board.filter_id))},
            "columnConfig": {"columns": columns, "constraintType": "none"},
            "estimation": estimation,
            "ranking": {"rankCustomFieldId": rank.unwrap_or_default()},
        });
        if !board.scrum {
            let query = "fixVersion in unreleasedVersions() OR fixVersion is EMPTY";
            shown["subQuery"] = json!({"query": query});
        }
        shown
    }

    pub(super) fn render_sprint(&self, sprint: &Sprint, view: &View) -> Value {
        let mut shown = json!({
            "id": sprint.id,
            "self": agile(view, &format!("sprint/{}", sprint.id)),
            "state": super::issue::state(sprint.state),
            "name": sprint.name,
            "createdDate": utc(sprint.created),
            "originBoardId": sprint.board,
            "goal": sprint.goal,
        });
        let dates = [
            ("startDate", sprint.start),
            ("endDate", sprint.end),
            ("activatedDate", sprint.activated),
            ("completeDate", sprint.completed),
        ];
        for (name, at) in dates {
            if let Some(at) = at {
                shown[name] = json!(utc(at));
            }
        }
        shown
    }

    /// The sprint report in the shape of the internal chart resource.
    pub(super) fn render_report(
        &self,
        board: &Board,
        sprint: &Sprint,
        view: &View,
    ) -> Option<Value> {
        let report = self.served_report(sprint.id)?;
        let field = board.estimate_field.clone().unwrap_or_default();
        let list = |issues: &[ReportIssue]| -> Vec<Value> {
            issues
                .iter()
                .filter_map(|line| self.render_report_line(line, board, &field))
                .collect()
        };
        let sum = |points: f64| json!({"value": points, "text": format!("{points:.1}")});
        let start =
            |issues: &[ReportIssue]| sum(issues.iter().filter_map(|line| line.start_points).sum());
        let end =
            |issues: &[ReportIssue]| sum(issues.iter().filter_map(|line| line.end_points).sum());
        let all: Vec<ReportIssue> = report
            .completed
            .iter()
            .chain(&report.not_completed)
            .chain(&report.completed_elsewhere)
            .cloned()
            .collect();
        let added: serde_json::Map<String, Value> = report
            .added
            .iter()
            .filter_map(|id| Some((self.issue(*id)?.key.clone(), json!(true))))
            .collect();
        let locale = |at: Option<DateTime<Utc>>| {
            at.map_or_else(
                || "None".to_owned(),
                |at| {
                    at.with_timezone(&view.zone)
                        .format("%d/%b/%y %-I:%M %p")
                        .to_string()
                },
            )
        };
        Some(json!({
            "contents": {
                "completedIssues": list(&report.completed),
                "issuesNotCompletedInCurrentSprint": list(&report.not_completed),
                "puntedIssues": list(&report.punted),
                "issuesCompletedInAnotherSprint": list(&report.completed_elsewhere),
                "completedIssuesInitialEstimateSum": start(&report.completed),
                "completedIssuesEstimateSum": end(&report.completed),
                "issuesNotCompletedInitialEstimateSum": start(&report.not_completed),
                "issuesNotCompletedEstimateSum": end(&report.not_completed),
                "allIssuesEstimateSum": end(&all),
                "puntedIssuesInitialEstimateSum": start(&report.punted),
                "puntedIssuesEstimateSum": end(&report.punted),
                "issuesCompletedInAnotherSprintInitialEstimateSum": start(&report.completed_elsewhere),
                "issuesCompletedInAnotherSprintEstimateSum": end(&report.completed_elsewhere),
                "issueKeysAddedDuringSprint": added,
            },
            "sprint": {
                "id": sprint.id,
                "sequence": sprint.id,
                "name": sprint.name,
                "state": super::issue::state(sprint.state).to_uppercase(),
                "linkedPagesCount": 0,
                "startDate": locale(sprint.start),
                "endDate": locale(sprint.end),
                "completeDate": locale(sprint.completed),
                "isoStartDate": sprint.start.map(|at| view.time(at)),
                "isoEndDate": sprint.end.map(|at| view.time(at)),
                "isoCompleteDate": sprint.completed.map(|at| view.time(at)),
                "canUpdateSprint": true,
                "daysRemaining": 0,
            },
            "lastUserToClose": "",
            "supportsPages": false,
        }))
    }

    fn render_report_line(&self, line: &ReportIssue, board: &Board, field: &str) -> Option<Value> {
        let issue = self.issue(line.id)?;
        let statistic = |points: Option<f64>| {
            let value = points.map_or_else(|| json!({}), |points| json!({"value": points}));
            json!({"statFieldId": field, "statFieldValue": value})
        };
        Some(json!({
            "id": issue.id,
            "key": issue.key,
            "hidden": false,
            "typeName": super::reference::type_name(issue.kind),
            "summary": issue.summary,
            "done": board.is_done(issue.status),
            "statusId": issue.status.to_string(),
            "statusName": self.site.status(issue.status).map(|status| status.name.clone()),
            "flagged": issue.flagged,
            "projectId": issue.project,
            "estimateStatisticRequired": line.end_points.is_none(),
            "estimateStatistic": statistic(line.start_points),
            "currentEstimateStatistic": statistic(line.end_points),
        }))
    }
}

fn agile(view: &View, path: &str) -> String {
    format!("{}/rest/agile/1.0/{path}", view.base)
}
