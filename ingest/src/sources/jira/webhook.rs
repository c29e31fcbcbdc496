//! Webhooks: what an event tells to read again. A body is a hint, never a record: nothing of it gets into
//! a table, and what it names is asked for.

use serde_json::Value;

use super::streams::{BOARDS, COMPONENTS, FIELDS, ISSUE_TYPES, PROJECTS, SPRINTS, USERS, VERSIONS};
use super::{rows, time};
use crate::inbox::Refusal;

/// Raised when more bodies are understood, so that refused ones are read again.
pub(crate) const READER: i64 = 1;

/// What an event tells to read again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hints {
    pub(crate) issues: Vec<IssueHint>,
    pub(crate) worklogs: Vec<WorklogHint>,
    /// Listings, by stream.
    pub(crate) listings: Vec<&'static str>,
}

/// An issue that was written or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IssueHint {
    pub(crate) issue_id: i64,
    pub(crate) change: Change,
    /// Its last change as the event knows it, in microseconds: what is read must be as new.
    pub(crate) updated_us: Option<i64>,
}

/// A worklog that was written or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorklogHint {
    pub(crate) worklog_id: i64,
    pub(crate) change: Change,
    /// When, in milliseconds.
    pub(crate) at_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Created,
    Updated,
    Deleted,
}

/// An event whose kind is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Understood {
    pub(crate) kind: String,
    pub(crate) hints: Hints,
}

/// Reads the body of an event.
pub(crate) fn understand(body: &[u8]) -> Result<Understood, Refusal> {
    if body.is_empty() {
        let reason = "the body is empty; let the webhook send its body (not \"Exclude body\")";
        return Err(Refusal::of(reason));
    }
    let event: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::of(format!("the body is not JSON: {error}")))?;
    let kind = match event.get("webhookEvent").and_then(Value::as_str) {
        Some(kind) => kind.to_string(),
        None => return Err(Refusal::of("webhookEvent is missing")),
    };
    match hints(&kind, &event) {
        Ok(hints) => Ok(Understood { kind, hints }),
        Err(reason) => Err(Refusal {
            kind: Some(kind),
            reason,
        }),
    }
}

fn hints(kind: &str, event: &Value) -> Result<Hints, String> {
    let listings = |streams: &[&'static str]| {
        Ok(Hints {
            listings: streams.to_vec(),
            ..Hints::default()
        })
    };
    // Some kinds are written with the product's name and some without.
    match kind.strip_prefix("jira:").unwrap_or(kind) {
        "issue_created" => one_issue(event, Change::Created),
        "issue_updated" => one_issue(event, Change::Updated),
        "issue_deleted" => one_issue(event, Change::Deleted),
        "comment_created" | "comment_updated" | "comment_deleted" => of_comment(event),
        "worklog_created" => of_worklog(event, Change::Created),
        "worklog_updated" => of_worklog(event, Change::Updated),
        "worklog_deleted" => of_worklog(event, Change::Deleted),
        "issuelink_created" | "issuelink_deleted" => of_link(event),
        // Where it names no issue, the event of the issue that follows does.
        "attachment_created" | "attachment_deleted" => {
            let issue = issue_id(event).map(|id| written(id, None));
            Ok(Hints {
                issues: issue.into_iter().collect(),
                ..Hints::default()
            })
        }
        "sprint_created" | "sprint_updated" | "sprint_started" | "sprint_closed"
        | "sprint_deleted" => listings(&[SPRINTS]),
        // The parts that fields play depend on the boards.
        "board_created" | "board_updated" | "board_deleted" | "board_configuration_changed" => {
            listings(&[BOARDS, FIELDS, SPRINTS])
        }
        "version_created" | "version_updated" | "version_released" | "version_unreleased"
        | "version_moved" | "version_merged" | "version_deleted" => listings(&[VERSIONS]),
        "project_created"
        | "project_updated"
        | "project_deleted"
        | "project_soft_deleted"
        | "project_restored_deleted"
        | "project_archived"
        | "project_restored_archived" => listings(&[PROJECTS, VERSIONS, COMPONENTS]),
        "user_created" | "user_updated" | "user_deleted" => listings(&[USERS]),
        "issuetype_created" | "issuetype_updated" | "issuetype_deleted" => listings(&[ISSUE_TYPES]),
        // Known, and of nothing that is read.
        "issue_property_set"
        | "issue_property_deleted"
        | "entity_property_set"
        | "entity_property_deleted"
        | "filter_created"
        | "filter_updated"
        | "filter_deleted"
        | "jira_expression_evaluation_failed"
        | "app_access_to_objects_blocked"
        | "app_access_to_objects_in_container_blocked" => Ok(Hints::default()),
        other if other.starts_with("option_") && other.ends_with("_changed") => {
            Ok(Hints::default())
        }
        _ => Err("this version does not know this kind of event".to_string()),
    }
}

fn one_issue(event: &Value, change: Change) -> Result<Hints, String> {
    let issue_id = issue_id(event).ok_or("issue.id is missing")?;
    let updated = event.pointer("/issue/fields/updated");
    let issue = IssueHint {
        issue_id,
        change,
        updated_us: updated
            .and_then(|updated| time::instant(updated).ok()?)
            .map(|at| at.timestamp_micros()),
    };
    Ok(Hints {
        issues: vec![issue],
        ..Hints::default()
    })
}

/// The comments of an issue are read with it. Servers name it in the comment's address only.
fn of_comment(event: &Value) -> Result<Hints, String> {
    let address = event.pointer("/comment/self").and_then(Value::as_str);
    let addressed = || {
        let (_, path) = address?.split_once("/issue/")?;
        path.split('/').next()?.parse().ok()
    };
    let issue_id = issue_id(event).or_else(addressed);
    let issue_id = issue_id.ok_or("neither issue.id nor comment.self names the issue")?;
    Ok(Hints {
        issues: vec![written(issue_id, None)],
        ..Hints::default()
    })
}

/// A worklog, or all that an older server's event shows, and the issue whose time it counts in.
fn of_worklog(event: &Value, change: Change) -> Result<Hints, String> {
    let at_ms = event
        .get("timestamp")
        .and_then(|at| time::instant(at).ok()?)
        .map(|at| at.timestamp_millis());
    let hint = |worklog: &Value, change| {
        Some(WorklogHint {
            worklog_id: rows::id(worklog.get("id")?)?,
            change,
            at_ms,
        })
    };
    let worklog = event.get("worklog").unwrap_or(&Value::Null);
    let shown = event.pointer("/issue/fields/worklog/worklogs");
    let shown = shown.and_then(Value::as_array).into_iter().flatten();
    let mut worklogs: Vec<WorklogHint> =
        shown.filter_map(|one| hint(one, Change::Updated)).collect();
    worklogs.extend(hint(worklog, change));
    let issue_id = worklog
        .get("issueId")
        .and_then(rows::id)
        .or(issue_id(event));
    if worklogs.is_empty() && issue_id.is_none() {
        return Err("neither worklog.id nor an issue is named".to_string());
    }
    Ok(Hints {
        issues: issue_id.map(|id| written(id, None)).into_iter().collect(),
        worklogs,
        ..Hints::default()
    })
}

/// Both ends show the link.
fn of_link(event: &Value) -> Result<Hints, String> {
    let end = |name: &str| {
        event
            .pointer(&format!("/issueLink/{name}"))
            .and_then(rows::id)
    };
    let ends = [end("sourceIssueId"), end("destinationIssueId")];
    let issues: Vec<IssueHint> = ends
        .into_iter()
        .flatten()
        .map(|id| written(id, None))
        .collect();
    match issues.len() {
        2 => Ok(Hints {
            issues,
            ..Hints::default()
        }),
        _ => Err("issueLink does not name both issues".to_string()),
    }
}

fn written(issue_id: i64, updated_us: Option<i64>) -> IssueHint {
    IssueHint {
        issue_id,
        change: Change::Updated,
        updated_us,
    }
}

fn issue_id(event: &Value) -> Option<i64> {
    rows::id(event.pointer("/issue/id")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(event: Value) -> Hints {
        understand(event.to_string().as_bytes()).unwrap().hints
    }

    fn refused(body: &str) -> String {
        understand(body.as_bytes()).unwrap_err().reason
    }

    fn ids(hints: &Hints) -> Vec<i64> {
        hints.issues.iter().map(|issue| issue.issue_id).collect()
    }

    #[test]
    fn events_of_issues_name_the_issue_and_the_state_it_has_reached() {
        for (kind, change) in [
            ("jira:issue_created", Change::Created),
            ("jira:issue_updated", Change::Updated),
            ("jira:issue_deleted", Change::Deleted),
        ] {
            let fields = json!({"updated": "2019-08-14T11:07:58.354+0800", "customfield_1":
                ["com.atlassian.greenhopper.service.sprint.Sprint@1f[id=1,name=a,b]"]});
            let hints = read(json!({"timestamp": 1, "webhookEvent": kind,
                "issue": {"id": "10300", "key": "TES-4", "fields": fields}}));
            let expected = IssueHint {
                issue_id: 10_300,
                change,
                updated_us: Some(1_565_752_078_354_000),
            };
            assert_eq!(hints.issues, [expected], "{kind}");
        }
        // Ids may be numbers; what can't be read of the instant is not waited for.
        let odd = json!({"webhookEvent": "jira:issue_updated",
            "issue": {"id": 7, "fields": {"updated": "soon"}}});
        assert_eq!(read(odd).issues, [written(7, None)]);
    }

    #[test]
    fn comments_worklogs_links_and_attachments_name_their_issues() {
        let cloud = json!({"webhookEvent": "comment_created", "comment": {"id": "1"}, "issue": {"id": "5"}});
        assert_eq!(ids(&read(cloud)), [5]);
        let server = json!({"webhookEvent": "comment_deleted",
            "comment": {"self": "http://jira:8080/rest/api/2/issue/10013/comment/10082", "id": "10082"}});
        assert_eq!(ids(&read(server)), [10_013]);
        let worklog = json!({"webhookEvent": "worklog_deleted", "timestamp": 1_565_752_078_354_i64,
            "worklog": {"id": "9", "issueId": "5"}});
        let hints = read(worklog);
        let expected = WorklogHint {
            worklog_id: 9,
            change: Change::Deleted,
            at_ms: Some(1_565_752_078_354),
        };
        assert_eq!((ids(&hints), hints.worklogs), (vec![5], vec![expected]));
        let older = json!({"webhookEvent": "jira:worklog_updated", "issue": {"id": "5",
            "fields": {"worklog": {"worklogs": [{"id": "1"}, {"id": "2"}, {}]}}}});
        let hints = read(older);
        assert_eq!((ids(&hints), hints.worklogs.len()), (vec![5], 2));
        let link = json!({"webhookEvent": "issuelink_created",
            "issueLink": {"id": 1, "sourceIssueId": 5, "destinationIssueId": 6}});
        assert_eq!(ids(&read(link)), [5, 6]);
        let nameless = json!({"webhookEvent": "attachment_created", "attachment": {"id": "1"}});
        assert_eq!(read(nameless), Hints::default());
        let named = json!({"webhookEvent": "attachment_deleted", "issue": {"id": "5"}});
        assert_eq!(ids(&read(named)), [5]);
    }

    #[test]
    fn other_kinds_name_listings_or_nothing() {
        for (kinds, expected) in [
            (
                "sprint_created sprint_updated sprint_started sprint_closed sprint_deleted",
                &[SPRINTS][..],
            ),
            (
                "board_created board_updated board_deleted board_configuration_changed",
                &[BOARDS, FIELDS, SPRINTS],
            ),
            (
                "jira:version_created jira:version_updated jira:version_released \
                 jira:version_unreleased jira:version_moved jira:version_merged jira:version_deleted",
                &[VERSIONS],
            ),
            (
                "project_created project_updated project_deleted project_soft_deleted \
                 project_restored_deleted project_archived project_restored_archived",
                &[PROJECTS, VERSIONS, COMPONENTS],
            ),
            ("user_created user_updated user_deleted", &[USERS]),
            (
                "issuetype_created issuetype_updated issuetype_deleted",
                &[ISSUE_TYPES],
            ),
            (
                "issue_property_set issue_property_deleted entity_property_set \
                 entity_property_deleted filter_created filter_updated filter_deleted \
                 option_voting_changed option_watching_changed option_unassigned_issues_changed \
                 option_subtasks_changed option_attachments_changed option_issuelinks_changed \
                 option_timetracking_changed option_timetracking_provider_changed \
                 jira_expression_evaluation_failed app_access_to_objects_blocked \
                 app_access_to_objects_in_container_blocked",
                &[],
            ),
        ] {
            for kind in kinds.split_whitespace() {
                let hints = read(json!({"webhookEvent": kind}));
                assert_eq!(hints.listings, expected, "{kind}");
                assert!(
                    hints.issues.is_empty() && hints.worklogs.is_empty(),
                    "{kind}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_with_the_reason() {
        assert!(refused("").starts_with("the body is empty"));
        assert!(refused("Hello World!").starts_with("the body is not JSON"));
        assert!(refused(&"[".repeat(100_000)).starts_with("the body is not JSON"));
        assert!(understand(b"\xff\xfe{}").is_err());
        for body in ["[]", "null", "{}", r#"{"webhookEvent":7}"#] {
            assert_eq!(refused(body), "webhookEvent is missing", "{body}");
        }
        for (body, reason) in [
            (
                r#"{"webhookEvent":"jira:issue_updated"}"#,
                "issue.id is missing",
            ),
            (
                r#"{"webhookEvent":"jira:issue_updated","issue":{"id":"x"}}"#,
                "issue.id is missing",
            ),
            (
                r#"{"webhookEvent":"comment_created","comment":{"self":"http://x/issue/A-1/comment/1"}}"#,
                "neither issue.id nor comment.self names the issue",
            ),
            (
                r#"{"webhookEvent":"issuelink_created","issueLink":{"sourceIssueId":5}}"#,
                "issueLink does not name both issues",
            ),
            (
                r#"{"webhookEvent":"worklog_created"}"#,
                "neither worklog.id nor an issue is named",
            ),
            (
                r#"{"webhookEvent":"issue_teleported"}"#,
                "this version does not know this kind of event",
            ),
        ] {
            assert_eq!(refused(body), reason);
        }
        let kind = understand(br#"{"webhookEvent":"x"}"#).unwrap_err().kind;
        assert_eq!(kind.as_deref(), Some("x"));
    }

    /// Whatever the bytes, there is an answer and no panic.
    #[test]
    fn any_bytes_have_an_answer() {
        use proptest::prelude::*;
        let body = json!({"webhookEvent": "jira:issue_updated", "timestamp": 1,
            "issue": {"id": "1", "fields": {"updated": "2019-08-14T11:07:58.354+0800"}},
            "comment": {"self": "http://x/rest/api/2/issue/1/comment/2"}})
        .to_string();
        proptest!(|(at in 0..body.len(), byte: u8, cut in 0..body.len(), noise: Vec<u8>)| {
            let mut bytes = body.clone().into_bytes();
            bytes[at] = byte;
            drop(understand(&bytes));
            drop(understand(&bytes[..cut]));
            drop(understand(&noise));
        });
    }
}
