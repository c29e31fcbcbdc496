//! Issue search: token pages on Cloud, `startAt` pages on Data Center.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use chrono::TimeDelta;
use serde_json::{Map, Value, json};

use crate::jql::{Query, SortValue, parse};
use crate::render::{Head, Source};
use crate::server::call::{Call, Refusal, Reply, object};
use crate::server::lock;
use crate::server::token::{Token, hash};

const UNBOUNDED: &str =
    "Unbounded JQL queries are not allowed here. Please add a search restriction to your query.";
const REMOVED: &str = "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. A full migration guideline is available at https://developer.atlassian.com/changelog/#CHANGE-2046";
const BAD_TOKEN: &str = "The provided next page token is invalid or expired.";
const DEFAULT_PAGE: usize = 50;

/// Which fields of an issue are asked for.
pub(super) struct Wanted {
    names: Vec<String>,
    pub(super) changelog: bool,
}

impl Wanted {
    /// From `fields` and `expand`; `default` when no fields are named.
    pub(super) fn of(call: &Call, default: &[&str]) -> Self {
        let mut names = call.list("fields");
        if names.is_empty() {
            names = default.iter().map(|name| (*name).to_owned()).collect();
        }
        Self {
            names,
            changelog: call.list("expand").iter().any(|part| part == "changelog"),
        }
    }

    /// Nothing but id and key.
    fn light(&self) -> bool {
        !self.changelog
            && self
                .names
                .iter()
                .all(|name| ["id", "key"].contains(&name.as_str()))
    }

    fn takes(&self, name: &str) -> bool {
        let listed = |wanted: &str| self.names.iter().any(|listed| listed == wanted);
        if self
            .names
            .iter()
            .any(|listed| listed.strip_prefix('-') == Some(name))
        {
            return false;
        }
        let only_without = self.names.iter().all(|listed| listed.starts_with('-'));
        only_without || listed("*all") || listed("*navigable") || listed(name)
    }

    /// The issue in the platform API's shape.
    pub(super) fn show(&self, call: &Call, source: &dyn Source, head: &Head) -> Value {
        if self.light() && !self.names.iter().any(|name| name == "key") {
            return json!({"id": head.id.to_string()});
        }
        let mut shown = json!({
            "expand": "operations,versionedRepresentations,editmeta,changelog,renderedFields",
            "id": head.id.to_string(),
            "self": call.view.link(format!("issue/{}", head.id)),
            "key": head.key,
        });
        if !self.light() {
            let all = source.issue_fields(head.id, &call.view);
            let fields: Map<String, Value> = all
                .into_iter()
                .filter(|(name, _)| self.takes(name))
                .collect();
            shown["fields"] = Value::Object(fields);
        }
        if self.changelog {
            let limits = &call.shared.settings.limits;
            let cap = if call.view.cloud() {
                limits.expanded_histories
            } else if call.path("issue").is_empty() {
                limits.data_center_searched_histories
            } else {
                limits.data_center_histories
            };
            shown["changelog"] = expanded(call, source, head.id, cap);
        }
        shown
    }
}

/// `expand=changelog`: newest first; Data Center shows them all, unless it is told otherwise.
fn expanded(call: &Call, source: &dyn Source, issue: u64, cap: usize) -> Value {
    let histories = source.histories(issue, &call.view);
    let total = histories.len();
    let shown: Vec<Value> = histories
        .into_iter()
        .rev()
        .take(cap)
        .map(|entry| {
            let created = json!(call.view.time(entry.created));
            entry.show(created)
        })
        .collect();
    object([
        ("startAt", json!(0)),
        ("maxResults", json!(shown.len())),
        ("total", json!(total)),
        ("histories", Value::Array(shown)),
    ])
}

/// `GET|POST /search/jql`.
pub(super) fn by_token(call: &Call) -> Reply {
    let jql = call.text("jql").unwrap_or_default();
    let wanted = Wanted::of(call, &["id"]);
    let limits = &call.shared.settings.limits;
    let cap = if wanted.light() {
        limits.search_light
    } else {
        limits.search_full
    };
    let found = found_lately(call, &jql)?;
    let (heads, next) = token_page(call, &jql, (&found.0, &found.1), cap)?;
    let issues: Vec<Value> = call.shared.read(|source| {
        heads
            .iter()
            .map(|head| wanted.show(call, source, head))
            .collect()
    });
    let mut page = object([
        ("issues", Value::Array(issues)),
        ("isLast", json!(next.is_none())),
    ]);
    if let Some(next) = next {
        page["nextPageToken"] = json!(next);
    }
    if call.list("expand").iter().any(|part| part == "names") {
        page["names"] = names(call);
    }
    Ok(page)
}

fn names(call: &Call) -> Value {
    let fields = call
        .shared
        .read(|source| source.list(crate::render::Listing::Fields, &call.view));
    fields
        .iter()
        .filter_map(|field| Some((field["id"].as_str()?.to_owned(), field["name"].clone())))
        .collect::<Map<_, _>>()
        .into()
}

/// The issues of a query, in order, as the index shows them now.
pub(super) fn found(call: &Call, jql: &str, bounded: bool) -> Result<(Query, Vec<Head>), Refusal> {
    let mut query = parse(jql).map_err(Refusal::bad_request)?;
    if bounded && query.filter.is_none() {
        return Err(Refusal::bad_request(UNBOUNDED));
    }
    let delay = TimeDelta::from_std(call.shared.settings.index_delay).unwrap_or_default();
    let (now, heads) = call.shared.read(|source| {
        let now = source.now();
        (now, source.heads(now - delay))
    });
    if !call.view.cloud() {
        let strict = call
            .text("validateQuery")
            .is_none_or(|text| text != "false");
        query = query
            .of_data_center(&heads, strict)
            .map_err(Refusal::bad_request)?;
    }
    let heads = query
        .run(heads, call.shared.zone, now)
        .map_err(Refusal::bad_request)?;
    Ok((query, heads))
}

/// The issues of a query as they were found last, while nothing has been edited since: a page then
/// costs what it shows, and not a look at all issues.
fn found_lately(call: &Call, jql: &str) -> Result<Arc<(Query, Vec<Head>)>, Refusal> {
    let shared = &call.shared;
    let revision = shared.revision.load(Ordering::Acquire);
    // A relative time, or an index that lags, finds others as time goes by.
    let lasts = shared.settings.index_delay.is_zero() && !jql.contains(['(', '-']);
    let mut lately = lock(&shared.lately);
    if let Some(last) = lately.as_ref()
        && lasts
        && last.revision == revision
        && last.jql == jql
    {
        return Ok(Arc::clone(&last.found));
    }
    let found = Arc::new(found(call, jql, true)?);
    *lately = Some(Lately {
        revision,
        jql: jql.to_owned(),
        found: Arc::clone(&found),
    });
    Ok(found)
}

/// What a search found last.
#[derive(Debug)]
pub(super) struct Lately {
    revision: u64,
    jql: String,
    found: Arc<(Query, Vec<Head>)>,
}

/// Cuts a page after the row that the call's token names, and writes the next token.
pub(super) fn token_page<'h>(
    call: &Call,
    question: &str,
    (query, heads): (&Query, &'h [Head]),
    cap: usize,
) -> Result<(&'h [Head], Option<String>), Refusal> {
    let size = call
        .number("maxResults")
        .unwrap_or(DEFAULT_PAGE)
        .min(cap.max(1));
    let order = query.total_order();
    let values =
        |head: &Head| -> Vec<SortValue> { order.iter().map(|(by, _)| by.value(head)).collect() };
    let asked = hash(&format!("{}?{question}", call.path("id")));
    let now = call.shared.now();
    let mut rest = heads;
    if let Some(token) = call.text("nextPageToken") {
        let life = TimeDelta::from_std(call.shared.settings.limits.token_life).unwrap_or_default();
        let token = Token::accept(&token, asked, now, life)
            .ok_or_else(|| Refusal::bad_request(BAD_TOKEN))?;
        let passed = rest.partition_point(|head| {
            !crate::jql::compare_values(&order, &values(head), &token.after).is_gt()
        });
        rest = &rest[passed..];
    }
    let more = rest.len() > size;
    rest = &rest[..size.min(rest.len())];
    let next = rest.last().filter(|_| more).map(|last| {
        Token {
            asked,
            issued: now,
            after: values(last),
        }
        .write()
    });
    Ok((rest, next))
}

/// `POST /search/approximate-count`.
pub(super) fn count(call: &Call) -> Reply {
    let jql = call.text("jql").unwrap_or_default();
    let (_, heads) = found(call, &jql, true)?;
    Ok(json!({"count": heads.len()}))
}

/// The search that Cloud no longer has.
pub(super) fn removed(_: &Call) -> Reply {
    Err(Refusal::new(StatusCode::GONE, REMOVED))
}

/// `GET|POST /search` of Data Center.
pub(super) fn by_start(call: &Call) -> Reply {
    let jql = call.text("jql").unwrap_or_default();
    let wanted = Wanted::of(call, &["*navigable"]);
    let (start, size) = call.page(DEFAULT_PAGE, call.shared.settings.limits.data_center_search);
    let (_, heads) = found(call, &jql, false)?;
    let total = heads.len();
    let issues: Vec<Value> = call.shared.read(|source| {
        heads
            .iter()
            .skip(start)
            .take(size)
            .map(|head| wanted.show(call, source, head))
            .collect()
    });
    Ok(
        json!({"expand": "schema,names", "startAt": start, "maxResults": size, "total": total, "issues": issues}),
    )
}
