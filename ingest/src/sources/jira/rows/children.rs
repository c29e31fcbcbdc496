//! Rows of what belongs to an issue: links, comments, worklogs.

use schemas::Row;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::document;
use super::{Mapped, Refusal, at, id, parse, required, text, user};

/// What an issue carries of its comments: some, and how many there are.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Inline<'p> {
    #[serde(borrow)]
    comments: Vec<&'p RawValue>,
    total: Option<usize>,
}

#[derive(Debug, Deserialize)]
struct Outer<'p> {
    #[serde(borrow)]
    fields: Fields<'p>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields<'p> {
    issuelinks: Option<Vec<Value>>,
    subtasks: Option<Vec<Value>>,
    #[serde(borrow)]
    comment: Option<Inline<'p>>,
}

/// What an issue carries; `None` for a part that it doesn't carry.
#[derive(Debug, Default)]
pub(crate) struct Children<'p> {
    pub(crate) links: Option<Vec<Value>>,
    /// Ids of its sub-tasks.
    pub(crate) subtasks: Vec<i64>,
    pub(crate) comments: Option<Inline<'p>>,
}

impl<'p> Inline<'p> {
    /// Whether these are all comments.
    pub(crate) fn is_complete(&self) -> bool {
        self.total.is_none_or(|total| total <= self.comments.len())
    }

    pub(crate) fn payloads(&self) -> impl Iterator<Item = &'p str> {
        self.comments.iter().map(|comment| comment.get())
    }
}

/// What an issue carries beside its own fields; nothing of a payload that is no issue.
pub(crate) fn children(payload: &str) -> Children<'_> {
    match serde_json::from_str::<Outer<'_>>(payload) {
        Ok(outer) => Children {
            links: outer.fields.issuelinks,
            subtasks: outer
                .fields
                .subtasks
                .iter()
                .flatten()
                .filter_map(|subtask| id(at(subtask, "id")))
                .collect(),
            comments: outer.fields.comment,
        },
        Err(_) => Children::default(),
    }
}

/// A row of `jira.issue_links`, as one of its two issues shows it. Both show the same row.
pub(crate) fn link_row(connection: &str, issue_id: i64, link: &Value) -> Result<Mapped, Refusal> {
    let mut mapped = Mapped::new(connection);
    mapped.put("link_id", required(id(at(link, "id")), "id")?);
    mapped.put("link_type_id", id(at(link, "type.id")));
    mapped.put("link_type", text(at(link, "type.name")));
    let (source, target) = match (
        id(at(link, "outwardIssue.id")),
        id(at(link, "inwardIssue.id")),
    ) {
        (Some(other), _) => (issue_id, other),
        (None, Some(other)) => (other, issue_id),
        (None, None) => return Err("the other issue is missing".to_string()),
    };
    mapped.put("source_issue_id", source);
    mapped.put("target_issue_id", target);
    Ok(mapped)
}

/// A row of `jira.comments`.
pub(crate) fn comment_row(
    connection: &str,
    issue_id: i64,
    payload: &str,
) -> Result<Mapped, Refusal> {
    let comment = parse(payload)?;
    let mut mapped = Mapped::new(connection);
    mapped.put("comment_id", required(id(at(&comment, "id")), "id")?);
    mapped.put("issue_id", issue_id);
    mapped.put("author_id", user(at(&comment, "author")));
    mapped.put_instant("created_at", at(&comment, "created"));
    mapped.put_instant("updated_at", at(&comment, "updated"));
    mapped.put("is_public", at(&comment, "jsdPublic").as_bool());
    mapped.put("body", document::text(at(&comment, "body")));
    Ok(mapped)
}

/// A row of `jira.worklogs`.
pub(crate) fn worklog_row(connection: &str, payload: &str) -> Result<Mapped, Refusal> {
    let worklog = parse(payload)?;
    let mut mapped = Mapped::new(connection);
    mapped.put("worklog_id", required(id(at(&worklog, "id")), "id")?);
    mapped.put(
        "issue_id",
        required(id(at(&worklog, "issueId")), "issueId")?,
    );
    mapped.put("author_id", user(at(&worklog, "author")));
    mapped.put(
        "time_spent_seconds",
        at(&worklog, "timeSpentSeconds").as_i64(),
    );
    mapped.put_instant("started_at", at(&worklog, "started"));
    mapped.put_instant("created_at", at(&worklog, "created"));
    mapped.put_instant("updated_at", at(&worklog, "updated"));
    mapped.put("comment", document::text(at(&worklog, "comment")));
    Ok(mapped)
}

/// A row of `jira.remote_links`.
pub(crate) fn remote_link_row(
    connection: &str,
    issue_id: i64,
    payload: &str,
) -> Result<Mapped, Refusal> {
    let link = parse(payload)?;
    let mut mapped = Mapped::new(connection);
    mapped.put("remote_link_id", required(id(at(&link, "id")), "id")?);
    mapped.put("issue_id", issue_id);
    mapped.put("global_id", text(at(&link, "globalId")));
    mapped.put("relationship", text(at(&link, "relationship")));
    mapped.put("url", text(at(&link, "object.url")));
    mapped.put("title", text(at(&link, "object.title")));
    mapped.put("summary", text(at(&link, "object.summary")));
    mapped.put("is_resolved", at(&link, "object.status.resolved").as_bool());
    mapped.put("application_type", text(at(&link, "application.type")));
    mapped.put("application_name", text(at(&link, "application.name")));
    Ok(mapped)
}

/// Id of a row.
pub(crate) fn row_id(row: &Row, column: &str) -> Option<i64> {
    row.get(column)?.as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_ends_show_the_same_link() {
        let kind =
            json!({"id": "1", "name": "Blocks", "inward": "is blocked by", "outward": "blocks"});
        let from = json!({"id": "7", "type": kind, "outwardIssue": {"id": "20"}});
        let to = json!({"id": "7", "type": kind, "inwardIssue": {"id": "10"}});
        let row = link_row("acme", 10, &from).unwrap().row;
        assert_eq!(row, link_row("acme", 20, &to).unwrap().row);
        assert_eq!(
            (&row["source_issue_id"], &row["target_issue_id"]),
            (&json!(10), &json!(20))
        );
        assert!(link_row("acme", 10, &json!({"id": "7"})).is_err());
    }

    #[test]
    fn an_issue_says_whether_it_carries_all_comments() {
        let payload = |total: usize| {
            json!({"id": "1", "fields": {"comment": {"total": total, "comments": [{"id": "5"}]}}})
                .to_string()
        };
        let (one, two) = (payload(1), payload(2));
        assert!(children(&one).comments.unwrap().is_complete());
        assert!(!children(&two).comments.unwrap().is_complete());
        assert!(children(r#"{"fields":{}}"#).comments.is_none());
        assert!(children("[]").links.is_none());
    }

    #[test]
    fn a_remote_link() {
        let link = json!({"id": 10_042, "globalId": "g", "relationship": "mentioned on",
            "application": {}, "object": {"url": "https://x/1", "title": "T", "status": {"resolved": false}}});
        let row = remote_link_row("acme", 1, &link.to_string()).unwrap().row;
        let contract = schemas::contract(&"jira.remote_links".parse().unwrap()).unwrap();
        assert_eq!(contract.missing(&row), None);
        assert_eq!(
            (&row["remote_link_id"], &row["url"], &row["is_resolved"]),
            (&json!(10_042), &json!("https://x/1"), &json!(false))
        );
        assert!(!row.contains_key("application_name"));
        assert!(remote_link_row("acme", 1, "{}").is_err());
    }

    #[test]
    fn a_comment_and_a_worklog() {
        let comment = json!({"id": "5", "author": {"accountId": "u"}, "body": "text",
            "created": "2026-01-02T03:04:05.000+0100"});
        let row = comment_row("acme", 1, &comment.to_string()).unwrap().row;
        assert_eq!(
            (&row["body"], &row["author_id"]),
            (&json!("text"), &json!("u"))
        );
        assert_eq!(row["created_at"], json!("2026-01-02T02:04:05.000000Z"));
        let worklog = json!({"id": "8", "issueId": "1", "timeSpentSeconds": 3600});
        let row = worklog_row("acme", &worklog.to_string()).unwrap().row;
        assert_eq!(row["time_spent_seconds"], json!(3600));
        assert_eq!(
            worklog_row("acme", r#"{"id":"8"}"#),
            Err("issueId is missing".into())
        );
    }
}
