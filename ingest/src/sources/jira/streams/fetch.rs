//! Full listings of a site.

use std::collections::HashSet;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::api::{Api, Offered};
use super::super::rows;
use super::{
    BOARDS, COMPONENTS, FIELDS, ISSUE_TYPES, LINK_TYPES, PRIORITIES, PROJECTS, RESOLUTIONS,
    SPRINTS, STATUSES, VERSIONS,
};
use crate::land::Received;
use crate::{Note, Result};

/// Suffix of the key under which a board's configuration is landed.
pub(crate) const CONFIGURATION: &str = "/configuration";

/// Suffix of the key under which is landed what a board can do.
pub(crate) const FEATURES: &str = "/features";

/// A question about one parent.
type Ask<'a> = BoxFuture<'a, Result<Offered<Vec<Box<RawValue>>>>>;

/// A full listing, and what is worth knowing about it.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// `None` when the site doesn't offer it.
    pub(crate) records: Option<Vec<Received>>,
    pub(crate) notes: Vec<Note>,
}

/// Reads the listing of a reference stream. `parents` are the boards whose sprints, or the projects
/// whose versions and components are read.
pub(crate) async fn fetch(api: &Api<'_>, stream: &'static str, parents: &[i64]) -> Result<Listing> {
    match stream {
        PROJECTS => Ok(plain(stream, api.projects().await?)),
        STATUSES => Ok(plain(stream, api.statuses().await?)),
        BOARDS => fetch_boards(api).await,
        FIELDS => fetch_fields(api).await,
        ISSUE_TYPES => Ok(plain(stream, api.issue_types().await?)),
        PRIORITIES => Ok(plain(stream, api.priorities().await?)),
        RESOLUTIONS => Ok(plain(stream, api.resolutions().await?)),
        LINK_TYPES => Ok(plain(stream, api.link_types().await?)),
        SPRINTS => {
            let asks = parents.iter().map(|id| api.board_sprints(*id).boxed());
            of_each(api, stream, "board", parents, asks.collect()).await
        }
        VERSIONS => {
            let asks = parents.iter().map(|id| api.versions(*id).boxed());
            of_each(api, stream, "project", parents, asks.collect()).await
        }
        COMPONENTS => {
            let asks = parents.iter().map(|id| api.components(*id).boxed());
            of_each(api, stream, "project", parents, asks.collect()).await
        }
        _ => Ok(plain(stream, api.users().await?)),
    }
}

/// What boards call it to have sprints: sites, and the specification.
const SPRINT_FEATURES: [&str; 2] = ["jsw.agility.sprints", "SPRINTS"];

/// Ids of listed boards or projects, in their order, without boards that say they have no sprints.
pub(crate) fn ids(records: &[Received]) -> Vec<i64> {
    let without: HashSet<&str> = records
        .iter()
        .filter_map(|record| {
            let board = record.key.strip_suffix(FEATURES)?;
            says_no_sprints(&record.payload).then_some(board)
        })
        .collect();
    let mut ids: Vec<i64> = records
        .iter()
        .filter(|record| !without.contains(record.key.as_str()))
        .filter_map(|record| record.key.parse().ok())
        .collect();
    ids.sort_unstable();
    ids
}

/// Whether a board says that it has no sprints.
fn says_no_sprints(features: &str) -> bool {
    let features = rows::board_features("", 0, features).unwrap_or_default();
    features.iter().any(|row| {
        let name = row.get("feature").and_then(Value::as_str);
        let is_off = row.get("is_enabled").and_then(Value::as_bool) == Some(false);
        is_off && name.is_some_and(|name| SPRINT_FEATURES.contains(&name))
    })
}

async fn fetch_boards(api: &Api<'_>) -> Result<Listing> {
    let mut listing = plain(BOARDS, api.boards().await?);
    let Some(boards) = listing.records.take() else {
        return Ok(listing);
    };
    let ids = ids(&boards);
    let asks = ids.iter().map(|id| api.board_configuration(*id).boxed());
    let configurations = each(api, asks.collect()).await?;
    let simple: Vec<i64> = boards
        .iter()
        .filter(|board| is_simple(&board.payload))
        .filter_map(|board| board.key.parse().ok())
        .collect();
    let asks = simple.iter().map(|id| api.board_features(*id).boxed());
    let features = each(api, asks.collect()).await?;
    let mut records = boards;
    for (id, features) in simple.iter().zip(features) {
        match features {
            Offered::Yes(payload) => {
                records.push(Received::new(format!("{id}{FEATURES}"), payload.get()));
            }
            Offered::No(reason) => listing.notes.push(Note {
                stream: BOARDS,
                text: format!("board {id} doesn't say what it can do: {reason}"),
            }),
        }
    }
    for (id, configuration) in ids.iter().zip(configurations) {
        match configuration {
            Offered::Yes(payload) => {
                records.push(Received::new(format!("{id}{CONFIGURATION}"), payload.get()));
            }
            Offered::No(reason) => listing.notes.push(Note {
                stream: BOARDS,
                text: format!("board {id} shows no configuration: {reason}"),
            }),
        }
    }
    listing.records = Some(records);
    Ok(listing)
}

/// Whether a board is of a team-managed project. The kind of the others says what they can do.
fn is_simple(board: &str) -> bool {
    #[derive(Deserialize)]
    struct Kind {
        r#type: String,
    }
    serde_json::from_str::<Kind>(board).is_ok_and(|board| board.r#type == "simple")
}

/// The union of both listings: one leaves out fields of team-managed projects, the other fields
/// that are on no screen.
async fn fetch_fields(api: &Api<'_>) -> Result<Listing> {
    let mut listing = plain(FIELDS, api.fields().await?);
    match api.searched_fields().await? {
        Offered::Yes(more) => {
            let more = more.iter().map(|payload| received(payload));
            let records = listing.records.get_or_insert_default();
            records.extend(more);
            unique(records);
        }
        Offered::No(reason) => listing.notes.push(Note {
            stream: FIELDS,
            text: format!("the field search is not offered: {reason}"),
        }),
    }
    Ok(listing)
}

/// What each parent lists, keyed `parent/own`.
async fn of_each<'a>(
    api: &Api<'_>,
    stream: &'static str,
    kind: &str,
    parents: &[i64],
    asks: Vec<Ask<'a>>,
) -> Result<Listing> {
    let mut listing = Listing::default();
    let mut records = Vec::new();
    let answers = each(api, asks).await?;
    for (parent, answer) in parents.iter().zip(answers) {
        match answer {
            Offered::Yes(children) => records.extend(children.iter().map(|payload| {
                let record = received(payload);
                Received {
                    key: format!("{parent}/{}", record.key),
                    ..record
                }
            })),
            Offered::No(reason) => listing.notes.push(Note {
                stream,
                text: format!("{kind} {parent} has no {stream}: {reason}"),
            }),
        }
    }
    unique(&mut records);
    listing.records = Some(records);
    Ok(listing)
}

/// Asks for something of each, several at a time, in their order.
async fn each<'a, T: Send + 'a>(
    api: &Api<'_>,
    asks: Vec<BoxFuture<'a, Result<Offered<T>>>>,
) -> Result<Vec<Offered<T>>> {
    let in_flight = api.client().limits().in_flight.max(1);
    futures::stream::iter(asks)
        .buffered(in_flight)
        .try_collect()
        .await
}

fn plain(stream: &'static str, offered: Offered<Vec<Box<RawValue>>>) -> Listing {
    match offered {
        Offered::Yes(payloads) => {
            let mut records = payloads.iter().map(|payload| received(payload)).collect();
            unique(&mut records);
            Listing {
                records: Some(records),
                notes: Vec::new(),
            }
        }
        Offered::No(reason) => {
            let text = format!("the site does not offer {stream}: {reason}");
            Listing {
                records: None,
                notes: vec![Note { stream, text }],
            }
        }
    }
}

/// A record with the key it carries. The text is kept as it is.
pub(crate) fn received(payload: &RawValue) -> Received {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Ids {
        id: Value,
        account_id: Value,
        key: Value,
        name: Value,
    }
    let ids: Ids = serde_json::from_str(payload.get()).unwrap_or_default();
    let key = [ids.id, ids.account_id, ids.key, ids.name]
        .iter()
        .find_map(|value| match value {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            value => rows::id(value).map(|id| id.to_string()),
        });
    let payload = payload.get();
    Received::new(
        key.unwrap_or_else(|| Received::fallback_key(payload)),
        payload,
    )
}

/// Drops records whose key came before: lists shift while their pages are read.
fn unique(records: &mut Vec<Received>) {
    let mut seen = HashSet::new();
    records.retain(|record| seen.insert(record.key.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(payload: &str) -> String {
        received(&RawValue::from_string(payload.to_string()).unwrap()).key
    }

    #[test]
    fn records_are_keyed_by_what_identifies_them() {
        assert_eq!(key(r#"{"id":8,"name":"B"}"#), "8");
        assert_eq!(key(r#"{"id":"10007","key":"CC"}"#), "10007");
        assert_eq!(key(r#"{"accountId":"557058:x","name":"n"}"#), "557058:x");
        assert_eq!(key(r#"{"key":"JIRAUSER1"}"#), "JIRAUSER1");
        assert!(key("[]").starts_with('?'));
        assert!(key(r#"{"id":null}"#).starts_with('?'));
    }

    #[test]
    fn a_board_is_left_out_only_if_it_says_no() {
        let features = |board: &str, state: &str| {
            let payload =
                format!(r#"{{"features":[{{"boardFeature":"SPRINTS","state":"{state}"}}]}}"#);
            Received::new(format!("{board}{FEATURES}"), payload)
        };
        let records = [
            Received::new("9", "{}"),
            Received::new("8", "{}"),
            Received::new("7", "{}"),
            Received::new("6", "{}"),
            features("8", "DISABLED"),
            features("7", "ENABLED"),
            Received::new("6/features", "[]"),
        ];
        assert_eq!(ids(&records), [6, 7, 9]);
    }

    #[test]
    fn a_record_that_comes_twice_is_one() {
        let mut records = vec![
            Received::new("1", "a"),
            Received::new("2", "b"),
            Received::new("1", "c"),
        ];
        unique(&mut records);
        assert_eq!(records, [Received::new("1", "a"), Received::new("2", "b")]);
    }
}
