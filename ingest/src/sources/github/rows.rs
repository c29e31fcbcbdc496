//! GitHub's records → rows.

use serde_json::Value;

use crate::sources::git::{Mapped, Refusal, Whole, at, id, put_message, sha, text};
use crate::sources::time;

pub(super) fn repository(row: &mut Mapped, record: &Value) -> Result<(), Refusal> {
    row.require("repository_id", id(at(record, "id")))?;
    let full_name = text(at(record, "full_name"));
    // The name becomes a part of addresses.
    let full_name = full_name.filter(|name| is_full_name(name));
    row.require("full_name", full_name)?;
    row.put("name", text(at(record, "name")));
    row.put("web_url", text(at(record, "html_url")));
    row.put("default_branch", text(at(record, "default_branch")));
    row.put("is_private", at(record, "private").as_bool());
    row.put("is_archived", at(record, "archived").as_bool());
    row.put("is_fork", at(record, "fork").as_bool());
    row.put_instant("created_at", at(record, "created_at"));
    Ok(())
}

/// Whether a name is `owner/name` and nothing else.
pub(super) fn is_full_name(name: &str) -> bool {
    let is_part = |part: &str| {
        let is_plain = |one: char| one.is_ascii_alphanumeric() || "._-".contains(one);
        !part.is_empty() && part != "." && part != ".." && part.chars().all(is_plain)
    };
    let parts = name.split_once('/');
    parts.is_some_and(|(owner, own)| is_part(owner) && is_part(own))
}

pub(super) fn pull_request(row: &mut Mapped, whole: &Whole) -> Result<(), Refusal> {
    let record = &whole.record;
    row.require("pull_request_id", id(at(record, "id")))?;
    row.require("number", id(at(record, "number")))?;
    row.put("title", text(at(record, "title")));
    let is_merged = !at(record, "merged_at").is_null();
    let state = match at(record, "state").as_str() {
        Some("open") => Some("open"),
        Some("closed") if is_merged => Some("merged"),
        Some("closed") => Some("closed"),
        _ => None,
    };
    row.require("state", state)?;
    row.put("is_draft", at(record, "draft").as_bool());
    let author = id(at(record, "user.id"));
    row.put("author_id", author);
    row.put("author_name", text(at(record, "user.login")));
    row.put("head_repository_id", id(at(record, "head.repo.id")));
    row.put("head_branch", text(at(record, "head.ref")));
    row.put("base_branch", text(at(record, "base.ref")));
    row.put("head_sha", sha(at(record, "head.sha")));
    if is_merged {
        // Of an open one it is the commit of a trial merge.
        row.put("merge_commit_sha", sha(at(record, "merge_commit_sha")));
    }
    row.require_instant("created_at", at(record, "created_at"))?;
    row.require_instant("updated_at", at(record, "updated_at"))?;
    row.put_instant(
        "first_review_at",
        first_review(whole.part("reviews"), author),
    );
    row.put_instant("merged_at", at(record, "merged_at"));
    row.put_instant("closed_at", at(record, "closed_at"));
    row.put("merged_by_id", id(at(record, "merged_by.id")));
    row.put("additions", at(record, "additions").as_i64());
    row.put("deletions", at(record, "deletions").as_i64());
    row.put("changed_files", at(record, "changed_files").as_i64());
    row.put("commit_count", at(record, "commits").as_i64());
    Ok(())
}

/// When somebody else than the author reviewed first.
fn first_review(reviews: &[Value], author: Option<i64>) -> &Value {
    let by_others = reviews
        .iter()
        .filter(|review| author.is_none() || id(at(review, "user.id")) != author)
        .map(|review| at(review, "submitted_at"))
        .filter_map(|at| Some((time::instant(at).ok()??, at)));
    by_others
        .min_by_key(|(instant, _)| *instant)
        .map_or(&Value::Null, |(_, at)| at)
}

pub(super) fn commit(row: &mut Mapped, record: &Value) -> Result<(), Refusal> {
    row.require("sha", sha(at(record, "sha")))?;
    row.put("author_id", id(at(record, "author.id")));
    row.put("author_name", text(at(record, "commit.author.name")));
    row.put("author_email", text(at(record, "commit.author.email")));
    row.put_instant("authored_at", at(record, "commit.author.date"));
    row.require_instant("committed_at", at(record, "commit.committer.date"))?;
    put_message(row, at(record, "commit.message"));
    if let Some(parents) = at(record, "parents").as_array() {
        let parents: Vec<String> = parents
            .iter()
            .filter_map(|parent| sha(at(parent, "sha")))
            .collect();
        row.put("parent_shas", parents);
    }
    Ok(())
}

pub(super) fn deployment(row: &mut Mapped, whole: &Whole) -> Result<(), Refusal> {
    let record = &whole.record;
    row.require("deployment_id", id(at(record, "id")))?;
    row.require("sha", sha(at(record, "sha")))?;
    row.put("ref", text(at(record, "ref")));
    row.require("environment", text(at(record, "environment")))?;
    row.put(
        "is_production",
        at(record, "production_environment").as_bool(),
    );
    row.put("creator_id", id(at(record, "creator.id")));
    row.require_instant("created_at", at(record, "created_at"))?;
    let (status, status_at) = status(whole.part("statuses"));
    row.put("status", status);
    row.put_instant("status_at", status_at);
    Ok(())
}

/// The first status by which it ended, else the latest: a later one (the next deployment makes this one
/// inactive) does not change how it went.
fn status(statuses: &[Value]) -> (&'static str, &Value) {
    let mut told: Vec<_> = statuses
        .iter()
        .filter_map(|status| {
            let word = word(at(status, "state").as_str()?)?;
            let at_ = at(status, "created_at");
            let instant = time::instant(at_).ok()??;
            Some((instant, id(at(status, "id")), word, at_))
        })
        .collect();
    told.sort_by_key(|(instant, own, _, _)| (*instant, *own));
    let ended = told
        .iter()
        .find(|(_, _, word, _)| !matches!(*word, "pending" | "running"));
    match ended.or(told.last()) {
        Some((_, _, word, at_)) => (word, at_),
        None => ("pending", &Value::Null),
    }
}

fn word(state: &str) -> Option<&'static str> {
    Some(match state {
        "pending" | "queued" | "waiting" => "pending",
        "in_progress" => "running",
        "success" => "success",
        "failure" | "error" => "failure",
        "inactive" => "inactive",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_that_lead_elsewhere_are_no_names() {
        assert!(is_full_name("octo-org/Hello.World_2"));
        for wrong in [
            "a", "a/b/c", "../b", "a/..", "a/b?x", "a/b#x", "a/%2e", "a//b", "/b", "",
        ] {
            assert!(!is_full_name(wrong), "{wrong}");
        }
        let record = json!({"id": 1, "full_name": "../../user"});
        let mut row = Mapped::default();
        assert_eq!(
            repository(&mut row, &record),
            Err("full_name is missing".to_string())
        );
    }

    #[test]
    fn how_a_deployment_went_is_what_it_reached_first() {
        let at = |minute: u8| json!(format!("2026-03-01T12:{minute:02}:00Z"));
        let statuses = |states: &[(&str, u8)]| -> Vec<Value> {
            let one =
                |(state, minute): &(&str, u8)| json!({"state": state, "created_at": at(*minute)});
            states.iter().map(one).collect()
        };
        for (states, expected) in [
            (&[][..], ("pending", None)),
            (&[("queued", 1)], ("pending", Some(1))),
            (&[("in_progress", 2), ("queued", 1)], ("running", Some(2))),
            (
                &[("inactive", 9), ("success", 3), ("in_progress", 2)],
                ("success", Some(3)),
            ),
            (&[("success", 5), ("error", 4)], ("failure", Some(4))),
            (&[("inactive", 4), ("queued", 1)], ("inactive", Some(4))),
            (&[("novel", 4), ("queued", 1)], ("pending", Some(1))),
        ] {
            let told = statuses(states);
            let (word, when) = status(&told);
            assert_eq!(word, expected.0, "{states:?}");
            assert_eq!(when, &expected.1.map_or(json!(null), at), "{states:?}");
        }
    }

    #[test]
    fn a_review_is_one_of_somebody_else() {
        let review = |user: i64, at: &str| json!({"user": {"id": user}, "submitted_at": at});
        let reviews = [
            review(7, "2026-03-01T10:00:00Z"),
            review(8, "2026-03-01T12:00:00Z"),
            review(9, "2026-03-01T11:00:00Z"),
            json!({"user": null, "state": "PENDING"}),
        ];
        assert_eq!(first_review(&reviews, Some(7)), "2026-03-01T11:00:00Z");
        assert_eq!(first_review(&reviews[..1], Some(7)), &json!(null));
        assert_eq!(first_review(&reviews, None), "2026-03-01T10:00:00Z");
    }

    #[test]
    fn a_trial_merge_is_no_merge() {
        let record = json!({"id": 5, "number": 1, "state": "open", "merged_at": null, "user": null,
            "merge_commit_sha": "a".repeat(40), "head": {"repo": null, "ref": "x"},
            "created_at": "2026-03-01T10:00:00Z", "updated_at": "2026-03-01T10:00:00Z"});
        let whole = Whole {
            repository_id: 1,
            record,
            parts: Vec::new(),
        };
        let mut row = Mapped::default();
        pull_request(&mut row, &whole).unwrap();
        assert!(!row.row.contains_key("merge_commit_sha"));
        assert_eq!(row.row["state"], json!("open"));
        assert!(!row.row.contains_key("author_id"));
    }
}
