//! Changelogs, of one issue or of many.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::jql::SortValue;
use crate::render::Entry;
use crate::server::call::{Call, Refusal, Reply, object, paged};
use crate::server::issues::head;
use crate::server::token::{Token, hash};

/// `GET /issue/{}/changelog`: oldest first.
pub(super) fn of_issue(call: &Call) -> Reply {
    let head = head(call)?;
    let histories = call
        .shared
        .read(|source| source.histories(head.id, &call.view));
    let show = |entry: Entry| {
        let created = json!(call.view.time(entry.created));
        entry.show(created)
    };
    let shown = histories.into_iter().map(show).collect();
    let most = call.shared.settings.limits.issue_changelog;
    Ok(paged(call, shown, most, most))
}

/// `POST /changelog/bulkfetch`: histories in the order of time, so that those of one issue may be
/// spread over pages; `created` is a number of milliseconds.
pub(super) fn bulk(call: &Call) -> Reply {
    let limits = &call.shared.settings.limits;
    let asked = call.list("issueIdsOrKeys");
    if asked.is_empty() || asked.len() > limits.bulk_changelog_issues {
        return Err(Refusal::bad_request(format!(
            "The number of issues requested must be between 1 and {}.",
            limits.bulk_changelog_issues
        )));
    }
    let fields = call.list("fieldIds");
    if fields.len() > 10 {
        return Err(Refusal::bad_request(
            "The number of field ids must not exceed 10.",
        ));
    }
    let size = call
        .number("maxResults")
        .unwrap_or(1000)
        .clamp(1, limits.bulk_changelog_histories);
    let question = hash(&format!("{asked:?}{fields:?}"));
    let now = call.shared.now();
    let after = match call.text("nextPageToken") {
        None => None,
        Some(token) => {
            let life = TimeDelta::from_std(limits.token_life).unwrap_or_default();
            let token = Token::accept(&token, question, now, life).ok_or_else(|| {
                Refusal::bad_request("The provided next page token is invalid or expired.")
            })?;
            token.after.first().map(|value| (value.1, value.0.clone()))
        }
    };
    let mut rows = rows(call, &asked, &fields);
    if let Some((at, rest)) = after {
        let (issue, id) = rest.split_once('/').unwrap_or_default();
        let place = (
            at,
            issue.parse().unwrap_or_default(),
            id.parse().unwrap_or_default(),
        );
        rows.retain(|row| place_of(row) > place);
    }
    let more = rows.len() > size;
    rows.truncate(size);
    let next = rows.last().filter(|_| more).map(|last| {
        let (at, issue, id) = place_of(last);
        let after = vec![SortValue(format!("{issue}/{id}"), at)];
        Token {
            asked: question,
            issued: now,
            after,
        }
        .write()
    });
    let mut page = object([("issueChangeLogs", Value::Array(grouped(rows)))]);
    if let Some(next) = next {
        page["nextPageToken"] = json!(next);
    }
    Ok(page)
}

type Row = (DateTime<Utc>, u64, Entry);

fn place_of(row: &Row) -> (i64, u64, u64) {
    (row.0.timestamp_millis(), row.1, row.2.id)
}

fn rows(call: &Call, asked: &[String], fields: &[String]) -> Vec<Row> {
    let mut rows: Vec<Row> = call.shared.read(|source| {
        let mut issues: Vec<u64> = asked
            .iter()
            .filter_map(|issue| source.head(issue))
            .map(|head| head.id)
            .collect();
        issues.sort_unstable();
        issues.dedup();
        let histories = issues.into_iter().flat_map(|issue| {
            source
                .histories(issue, &call.view)
                .into_iter()
                .map(move |entry| (entry.created, issue, entry))
        });
        histories.collect()
    });
    if !fields.is_empty() {
        let listed = |item: &Value| fields.iter().any(|field| item["fieldId"] == **field);
        for (_, _, entry) in &mut rows {
            entry.items.retain(listed);
        }
        rows.retain(|(_, _, entry)| !entry.items.is_empty());
    }
    rows.sort_by_key(place_of);
    rows
}

/// Histories by issue, issues in the order of their first history on the page.
fn grouped(rows: Vec<Row>) -> Vec<Value> {
    let mut places: HashMap<u64, usize> = HashMap::new();
    let mut groups: Vec<(u64, Vec<Value>)> = Vec::new();
    for (created, issue, entry) in rows {
        let place = *places.entry(issue).or_insert_with(|| {
            groups.push((issue, Vec::new()));
            groups.len() - 1
        });
        groups[place]
            .1
            .push(entry.show(json!(created.timestamp_millis())));
    }
    let show = |(issue, histories): (u64, Vec<Value>)| {
        object([
            ("issueId", json!(issue.to_string())),
            ("changeHistories", Value::Array(histories)),
        ])
    };
    groups.into_iter().map(show).collect()
}
