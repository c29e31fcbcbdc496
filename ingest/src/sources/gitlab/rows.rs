//! GitLab's records → rows.

use serde_json::Value;

use crate::sources::git::{Mapped, Refusal, Whole, at, id, put_message, sha, text};
use crate::sources::time;

pub(super) fn repository(row: &mut Mapped, record: &Value) -> Result<(), Refusal> {
    row.require("repository_id", id(at(record, "id")))?;
    row.require("full_name", text(at(record, "path_with_namespace")))?;
    row.put("name", text(at(record, "path")));
    row.put("web_url", text(at(record, "web_url")));
    row.put("default_branch", text(at(record, "default_branch")));
    let visibility = at(record, "visibility").as_str();
    row.put("is_private", visibility.map(|word| word != "public"));
    row.put("is_archived", at(record, "archived").as_bool());
    let is_fork = record
        .get("forked_from_project")
        .is_some_and(|from| !from.is_null());
    row.put("is_fork", is_fork);
    row.put_instant("created_at", at(record, "created_at"));
    Ok(())
}

/// Whether a name is a path of two parts or more and nothing else.
pub(super) fn is_path(name: &str) -> bool {
    let is_part = |part: &str| {
        let is_plain = |one: char| one.is_ascii_alphanumeric() || "._-".contains(one);
        !part.is_empty() && part != "." && part != ".." && part.chars().all(is_plain)
    };
    name.contains('/') && name.split('/').all(is_part)
}

pub(super) fn pull_request(row: &mut Mapped, whole: &Whole) -> Result<(), Refusal> {
    let record = &whole.record;
    row.require("pull_request_id", id(at(record, "id")))?;
    row.require("number", id(at(record, "iid")))?;
    row.put("title", text(at(record, "title")));
    let state = match at(record, "state").as_str() {
        Some("opened" | "locked") => Some("open"),
        Some("merged") => Some("merged"),
        Some("closed") => Some("closed"),
        _ => None,
    };
    row.require("state", state)?;
    row.put("is_draft", at(record, "draft").as_bool());
    let author = id(at(record, "author.id"));
    row.put("author_id", author);
    row.put("author_name", text(at(record, "author.username")));
    row.put("head_repository_id", id(at(record, "source_project_id")));
    row.put("head_branch", text(at(record, "source_branch")));
    row.put("base_branch", text(at(record, "target_branch")));
    row.put("head_sha", sha(at(record, "sha")));
    let is_merged = state == Some("merged");
    if is_merged {
        // A fast-forward has neither: the branch's own commit is on the base branch then.
        let merged_by = ["merge_commit_sha", "squash_commit_sha", "sha"];
        let merged_by = merged_by.iter().find_map(|name| sha(at(record, name)));
        row.put("merge_commit_sha", merged_by);
    }
    row.require_instant("created_at", at(record, "created_at"))?;
    row.require_instant("updated_at", at(record, "updated_at"))?;
    row.put_instant("first_review_at", first_review(whole.part("notes"), author));
    row.put_instant("merged_at", at(record, "merged_at"));
    let closed_at = if is_merged { "merged_at" } else { "closed_at" };
    row.put_instant("closed_at", at(record, closed_at));
    let merged_by = ["merge_user.id", "merged_by.id"];
    row.put(
        "merged_by_id",
        merged_by.iter().find_map(|name| id(at(record, name))),
    );
    Ok(())
}

/// When somebody else than the author commented or approved first.
fn first_review(notes: &[Value], author: Option<i64>) -> &Value {
    let is_review = |note: &&Value| {
        let is_system = at(note, "system").as_bool() == Some(true);
        let body = at(note, "body").as_str().unwrap_or_default();
        !is_system || body.starts_with("approved this merge request")
    };
    let by_others = notes
        .iter()
        .filter(|note| author.is_none() || id(at(note, "author.id")) != author)
        .filter(is_review)
        .map(|note| at(note, "created_at"))
        .filter_map(|at| Some((time::instant(at).ok()??, at)));
    by_others
        .min_by_key(|(instant, _)| *instant)
        .map_or(&Value::Null, |(_, at)| at)
}

pub(super) fn commit(row: &mut Mapped, record: &Value) -> Result<(), Refusal> {
    row.require("sha", sha(at(record, "id")))?;
    row.put("author_name", text(at(record, "author_name")));
    row.put("author_email", text(at(record, "author_email")));
    row.put_instant("authored_at", at(record, "authored_date"));
    row.require_instant("committed_at", at(record, "committed_date"))?;
    put_message(row, at(record, "message"));
    if let Some(parents) = at(record, "parent_ids").as_array() {
        let parents: Vec<String> = parents.iter().filter_map(sha).collect();
        row.put("parent_shas", parents);
    }
    Ok(())
}

pub(super) fn deployment(row: &mut Mapped, whole: &Whole) -> Result<(), Refusal> {
    let record = &whole.record;
    row.require("deployment_id", id(at(record, "id")))?;
    row.require("sha", sha(at(record, "sha")))?;
    row.put("ref", text(at(record, "ref")));
    row.require("environment", text(at(record, "environment.name")))?;
    let tier = at(record, "environment.tier").as_str();
    row.put("is_production", tier.map(|tier| tier == "production"));
    let status = match at(record, "status").as_str() {
        Some("created" | "blocked") => Some("pending"),
        Some("running") => Some("running"),
        Some("success") => Some("success"),
        Some("failed") => Some("failure"),
        Some("canceled" | "skipped") => Some("canceled"),
        _ => None,
    };
    row.require("status", status)?;
    let finished = at(record, "deployable.finished_at");
    let has_ended = !matches!(status, Some("pending" | "running"));
    let status_at = match finished {
        Value::String(_) if has_ended => finished,
        _ => at(record, "updated_at"),
    };
    row.put_instant("status_at", status_at);
    row.put("creator_id", id(at(record, "user.id")));
    row.require_instant("created_at", at(record, "created_at"))?;
    row.put_instant("updated_at", at(record, "updated_at"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merge_request(more: Value) -> Value {
        let mut record = json!({"id": 5, "iid": 1, "state": "merged", "author": {"id": 7},
            "created_at": "2026-03-01T10:00:00.000Z", "updated_at": "2026-03-01T11:00:00.000Z",
            "merged_at": "2026-03-01T11:00:00.000Z", "sha": "a".repeat(40)});
        let (record_map, more) = (record.as_object_mut().unwrap(), more.as_object().cloned());
        record_map.extend(more.unwrap());
        record
    }

    fn mapped(record: Value, parts: Vec<(String, Value)>) -> Result<Mapped, Refusal> {
        let whole = Whole {
            repository_id: 1,
            record,
            parts,
        };
        let mut row = Mapped::default();
        pull_request(&mut row, &whole)?;
        Ok(row)
    }

    #[test]
    fn what_merged_it_is_found_for_every_way_of_merging() {
        let (merge, squash) = ("b".repeat(40), "c".repeat(40));
        for (more, expected) in [
            (
                json!({"merge_commit_sha": merge, "squash_commit_sha": squash}),
                merge.clone(),
            ),
            (
                json!({"merge_commit_sha": null, "squash_commit_sha": squash}),
                squash.clone(),
            ),
            (json!({"merge_commit_sha": null}), "a".repeat(40)),
        ] {
            let row = mapped(merge_request(more), Vec::new()).unwrap().row;
            assert_eq!(row["merge_commit_sha"], json!(expected));
            assert_eq!(row["closed_at"], row["merged_at"]);
        }
        let open = merge_request(json!({"state": "locked", "merged_at": null}));
        let row = mapped(open, Vec::new()).unwrap().row;
        assert!(!row.contains_key("merge_commit_sha") && row["state"] == json!("open"));
        let odd = merge_request(json!({"state": "dissolved"}));
        assert_eq!(mapped(odd, Vec::new()), Err("state is missing".to_string()));
    }

    #[test]
    fn a_review_is_a_comment_or_an_approval_of_somebody_else() {
        let note = |user: i64, system: bool, body: &str, hour: u8| {
            json!({"author": {"id": user}, "system": system, "body": body,
                "created_at": format!("2026-03-01T{hour:02}:00:00.000Z")})
        };
        let notes = [
            note(7, false, "ready", 10),
            note(8, true, "added 1 commit", 11),
            note(8, true, "approved this merge request", 12),
            note(9, false, "nice", 13),
        ];
        assert_eq!(first_review(&notes, Some(7)), "2026-03-01T12:00:00.000Z");
        assert_eq!(first_review(&notes[..2], Some(7)), &json!(null));
    }

    #[test]
    fn names_that_lead_elsewhere_are_no_names() {
        assert!(is_path("group/sub.group/project_1"));
        for wrong in ["a", "a/../b", "a//b", "a/b?x", "a/%2e", "/a", ""] {
            assert!(!is_path(wrong), "{wrong}");
        }
    }
}
