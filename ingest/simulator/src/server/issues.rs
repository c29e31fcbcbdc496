//! Single issues and bulk fetches.

use serde_json::{Value, json};

use crate::render::Head;
use crate::server::call::{Call, Refusal, Reply};
use crate::server::search::Wanted;

const NO_ISSUE: &str = "Issue does not exist or you do not have permission to see it.";

/// The issue that the path names, by id, key or former key.
pub(super) fn head(call: &Call) -> Result<Head, Refusal> {
    let found = call.shared.read(|source| source.head(call.path("issue")));
    found.ok_or_else(|| Refusal::not_found(NO_ISSUE))
}

pub(super) fn one(call: &Call) -> Reply {
    let head = head(call)?;
    let wanted = Wanted::of(call, &["*all"]);
    Ok(call.shared.read(|source| wanted.show(call, source, &head)))
}

/// `POST /issue/bulkfetch`: what is gone or hidden is left out without a word.
pub(super) fn bulk(call: &Call) -> Reply {
    let asked = call.list("issueIdsOrKeys");
    let most = call.shared.settings.limits.bulk_issues;
    if asked.is_empty() || asked.len() > most {
        return Err(Refusal::bad_request(format!(
            "The number of issues requested must be between 1 and {most}."
        )));
    }
    let wanted = Wanted::of(call, &["*navigable"]);
    let issues: Vec<Value> = call.shared.read(|source| {
        let mut heads: Vec<Head> = asked
            .iter()
            .filter_map(|issue| source.head(issue))
            .collect();
        heads.sort_by_key(|head| head.id);
        heads.dedup_by_key(|head| head.id);
        heads
            .iter()
            .map(|head| wanted.show(call, source, head))
            .collect()
    });
    Ok(json!({"expand": "names,schema", "issues": issues, "issueErrors": []}))
}

/// A bare list.
pub(super) fn remote_links(call: &Call) -> Reply {
    let head = head(call)?;
    let links = call
        .shared
        .read(|source| source.remote_links(head.id, &call.view));
    Ok(json!(links))
}

pub(super) fn comments(call: &Call) -> Reply {
    let head = head(call)?;
    let comments = call
        .shared
        .read(|source| source.comments(head.id, &call.view));
    let (start, size) = call.page(50, 100);
    let total = comments.len();
    let shown: Vec<Value> = comments.into_iter().skip(start).take(size).collect();
    Ok(json!({"startAt": start, "maxResults": size, "total": total, "comments": shown}))
}
