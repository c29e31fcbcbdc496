//! The full listings of a run, asked for side by side: most of a small sync is waiting for answers.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use super::super::api::Api;
use super::fetch::{self, Listing};
use super::{BOARDS, COMPONENTS, PROJECTS, SPRINTS, VERSIONS};
use crate::Result;
use crate::http::{Counters, counted};

/// A listing as it came, and what it took.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) listing: Result<Listing>,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) spent: Counters,
}

/// What is stored of the parents, for a site that doesn't offer their listing now.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) boards: Vec<i64>,
    pub(crate) projects: Vec<i64>,
}

/// Reads the listings of some streams. Sprints wait for the boards, versions and components for the
/// projects; nothing else waits.
pub(crate) async fn all(
    api: &Api<'_>,
    streams: &[&'static str],
    stored: &Stored,
) -> HashMap<&'static str, Fetched> {
    const RELATED: [&str; 5] = [BOARDS, SPRINTS, PROJECTS, VERSIONS, COMPONENTS];
    let of_boards = family(api, BOARDS, &[SPRINTS], streams, &stored.boards);
    let children = &[VERSIONS, COMPONENTS];
    let of_projects = family(api, PROJECTS, children, streams, &stored.projects);
    let mut asks: Vec<BoxFuture<'_, Vec<(&'static str, Fetched)>>> =
        vec![of_boards.boxed(), of_projects.boxed()];
    for stream in streams.iter().filter(|stream| !RELATED.contains(stream)) {
        asks.push(async move { vec![(*stream, one(api, stream, &[]).await)] }.boxed());
    }
    join_all(asks).await.into_iter().flatten().collect()
}

/// A listing, then those that are asked for one by one of what it names.
async fn family(
    api: &Api<'_>,
    parent: &'static str,
    children: &[&'static str],
    streams: &[&'static str],
    stored: &[i64],
) -> Vec<(&'static str, Fetched)> {
    let mut found = Vec::new();
    let mut ids = stored.to_vec();
    if streams.contains(&parent) {
        let fetched = one(api, parent, &[]).await;
        match &fetched.listing {
            Ok(Listing {
                records: Some(records),
                ..
            }) => ids = fetch::ids(records),
            Ok(_) => {}
            // The run ends with this error.
            Err(_) => return vec![(parent, fetched)],
        }
        found.push((parent, fetched));
    }
    let children = children.iter().filter(|child| streams.contains(child));
    let asks = children.map(|child| {
        let ids = &ids;
        async move { (*child, one(api, child, ids).await) }
    });
    found.extend(join_all(asks).await);
    found
}

async fn one(api: &Api<'_>, stream: &'static str, parents: &[i64]) -> Fetched {
    let started_at = Utc::now();
    let (listing, spent) = counted(fetch::fetch(api, stream, parents)).await;
    Fetched {
        listing,
        started_at,
        spent,
    }
}
