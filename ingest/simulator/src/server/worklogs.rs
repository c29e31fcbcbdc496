//! Worklogs: of an issue, updated, deleted, by id.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::server::call::{Call, Refusal, Reply};
use crate::server::issues::head;

pub(super) fn of_issue(call: &Call) -> Reply {
    let head = head(call)?;
    let after = call
        .text("startedAfter")
        .and_then(|text| text.parse::<i64>().ok());
    let (start, size) = call.page(5000, 5000);
    let mut entries = call.shared.read(|source| source.worklogs(&call.view));
    entries.retain(|entry| {
        let started = entry.updated.timestamp_millis();
        entry.issue == head.id && after.is_none_or(|after| started > after)
    });
    let total = entries.len();
    let shown: Vec<Value> = entries
        .into_iter()
        .skip(start)
        .take(size)
        .map(|entry| entry.body)
        .collect();
    Ok(json!({"startAt": start, "maxResults": size, "total": total, "worklogs": shown}))
}

pub(super) fn updated(call: &Call) -> Reply {
    let entries = call.shared.read(|source| source.worklogs(&call.view));
    changes(
        call,
        "updated",
        entries
            .into_iter()
            .map(|entry| (entry.id, entry.updated))
            .collect(),
    )
}

pub(super) fn deleted(call: &Call) -> Reply {
    changes(
        call,
        "deleted",
        call.shared.read(|source| source.deleted_worklogs()),
    )
}

/// Rows since an instant, that instant included, the last minute left out.
fn changes(call: &Call, which: &str, mut rows: Vec<(u64, DateTime<Utc>)>) -> Reply {
    let since = call
        .text("since")
        .and_then(|text| text.parse::<i64>().ok())
        .unwrap_or(0);
    let horizon = (call.shared.now() - TimeDelta::minutes(1)).timestamp_millis();
    rows.retain(|(_, at)| (since..horizon).contains(&at.timestamp_millis()));
    rows.sort_by_key(|(id, at)| (*at, *id));
    let size = call.shared.settings.limits.worklogs;
    let last = rows.len() <= size;
    rows.truncate(size);
    let until = rows.last().map_or(since, |(_, at)| at.timestamp_millis());
    let link = |since: i64| call.view.link(format!("worklog/{which}?since={since}"));
    let values: Vec<Value> = rows
        .iter()
        .map(|(id, at)| json!({"worklogId": id, "updatedTime": at.timestamp_millis(), "properties": []}))
        .collect();
    let mut page = json!({
        "values": values,
        "since": since,
        "until": until,
        "self": link(since),
        "lastPage": last,
    });
    if !last {
        page["nextPage"] = json!(link(until));
    }
    Ok(page)
}

/// `POST /worklog/list`
pub(super) fn by_id(call: &Call) -> Reply {
    let ids = call.list("ids");
    if ids.len() > 1000 {
        return Err(Refusal::bad_request(
            "The number of worklog ids must not exceed 1000.",
        ));
    }
    let entries = call.shared.read(|source| source.worklogs(&call.view));
    let found = entries
        .into_iter()
        .filter(|entry| ids.contains(&entry.id.to_string()));
    Ok(found.map(|entry| entry.body).collect())
}
