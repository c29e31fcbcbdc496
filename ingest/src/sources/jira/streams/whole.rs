//! Whole issues by id: their fields, all their history entries and comments.

use std::collections::HashSet;

use futures::future::BoxFuture;
use futures::stream::{Stream, try_unfold};
use futures::{StreamExt, TryStreamExt};

use super::super::api::{Api, Ask, BULK_ISSUES, Handed, History, Offered};
use super::super::jql::Search;
use super::super::rows;
use super::batch::Batch;
use super::children;
use super::fetch::received;
use crate::Result;
use crate::land::Received;

/// Pause before asking again for issues that the site could not hand out.
const WITHHELD_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// Issues that a site could not hand out, with its reason.
pub(crate) type Withheld = Vec<(i64, String)>;

/// What the site handed out of the issues that it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    pub(crate) issues: Vec<Received>,
    /// History entries that came with them.
    histories: Vec<Received>,
    /// Named by the site as those that it can't hand out now.
    withheld: Withheld,
    /// Those that make every request for them fail.
    spoiled: Withheld,
}

/// What a site handed out of some issues.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    pub(crate) batch: Batch,
    pub(crate) withheld: Withheld,
    /// Issues that it left out without a word: deleted in between, or out of sight.
    pub(crate) unseen: Vec<i64>,
}

/// Reads whole issues.
pub(crate) async fn whole(api: &Api<'_>, ids: &[i64]) -> Result<Whole> {
    if ids.is_empty() {
        return Ok(Whole::default());
    }
    let mut fetched = issues(api, ids).await?;
    if !fetched.withheld.is_empty() {
        tokio::time::sleep(WITHHELD_PAUSE).await;
        let again = std::mem::take(&mut fetched.withheld);
        let again: Vec<i64> = again.into_iter().map(|(id, _)| id).collect();
        fetched.extend(issues(api, &again).await?);
    }
    let given = fetched.issues.iter();
    let given: Vec<i64> = given.filter_map(|issue| issue.key.parse().ok()).collect();
    // After the issues: a change in between is then in the history and not in the issue, and the
    // next run reads both again; the other way round it would be lost.
    let changelogs = api.changelogs(&given).await?;
    let more = changelogs.answers.iter().flatten().map(history);
    fetched.histories.extend(more);
    // An issue without its history would be counted wrongly: it waits as a whole.
    let unread = changelogs.spoiled.iter().map(|(id, _)| id.to_string());
    let unread: HashSet<String> = unread.collect();
    fetched.issues.retain(|issue| !unread.contains(&issue.key));
    fetched.spoiled.extend(changelogs.spoiled);
    let known = fetched.missing().map(|(id, _)| *id);
    let came = fetched.issues.iter();
    let known: HashSet<i64> = known
        .chain(came.filter_map(|issue| issue.key.parse().ok()))
        .collect();
    let comments = further_comments(api, &fetched.issues).await?;
    fetched.issues.extend(comments);
    let withheld = fetched.missing().cloned().collect();
    Ok(Whole {
        batch: Batch {
            issues: fetched.issues,
            histories: fetched.histories,
            remote_links: Vec::new(),
        },
        withheld,
        unseen: ids
            .iter()
            .copied()
            .filter(|id| !known.contains(id))
            .collect(),
    })
}

/// Reads the fields of issues, several calls at a time.
pub(crate) async fn issues(api: &Api<'_>, ids: &[i64]) -> Result<Fetched> {
    let calls: Vec<BoxFuture<'_, Result<Handed>>> = ids
        .chunks(BULK_ISSUES)
        .map(|part| Box::pin(api.issues(part)) as BoxFuture<'_, Result<Handed>>)
        .collect();
    let answers: Vec<Handed> = futures::stream::iter(calls)
        .buffered(in_flight(api))
        .try_collect()
        .await?;
    let mut fetched = Fetched::default();
    for handed in answers {
        fetched.extend(Fetched::of(&handed));
    }
    Ok(fetched)
}

impl Fetched {
    fn of(handed: &Handed) -> Self {
        let issues = handed.issues.iter().map(|payload| {
            let record = received(payload);
            Received {
                source_updated: rows::updated(&record.payload),
                ..record
            }
        });
        Self {
            issues: issues.collect(),
            histories: handed.histories.iter().map(history).collect(),
            withheld: handed.withheld.clone(),
            spoiled: handed.spoiled.clone(),
        }
    }

    /// Issues that exist and did not come, with why.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &(i64, String)> {
        self.withheld.iter().chain(&self.spoiled)
    }

    fn extend(&mut self, more: Fetched) {
        self.issues.extend(more.issues);
        self.histories.extend(more.histories);
        self.withheld.extend(more.withheld);
        self.spoiled.extend(more.spoiled);
    }
}

/// Ids that a search finds, in batches; the last one is marked, and may be empty.
pub(crate) fn batches<'s>(
    api: &'s Api<'_>,
    search: Search,
    size: usize,
) -> impl Stream<Item = Result<(Vec<i64>, bool)>> + 's {
    let begun = (api.pages(search, Ask::Ids), Vec::new());
    try_unfold(Some(begun), move |begun| async move {
        let Some((mut pages, mut waiting)) = begun else {
            return Ok(None);
        };
        while waiting.len() <= size {
            let Some(page) = pages.next().await? else {
                return Ok(Some(((waiting, true), None)));
            };
            waiting.extend(page.found.iter().map(|one| one.issue_id));
        }
        let rest = waiting.split_off(size);
        Ok(Some(((waiting, false), Some((pages, rest)))))
    })
}

/// All comments of the issues that carry only some of them.
async fn further_comments(api: &Api<'_>, issues: &[Received]) -> Result<Vec<Received>> {
    let more = issues.iter().filter_map(|issue| {
        let inline = rows::children(&issue.payload).comments?;
        let id = issue.key.parse::<i64>().ok();
        id.filter(|_| !inline.is_complete())
    });
    let asks: Vec<BoxFuture<'_, Result<Option<Received>>>> = more
        .map(|id| {
            Box::pin(async move {
                // An issue that went in between shows nothing; what it carried stays.
                match api.comments(id).await? {
                    Offered::Yes(comments) => Ok(Some(children::all_comments(id, &comments))),
                    Offered::No(_) => Ok(None),
                }
            }) as BoxFuture<'_, Result<Option<Received>>>
        })
        .collect();
    let found: Vec<Option<Received>> = futures::stream::iter(asks)
        .buffered(in_flight(api))
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

fn history(history: &History) -> Received {
    let record = received(&history.payload);
    Received {
        key: format!("{}/{}", history.issue_id, record.key),
        ..record
    }
}

fn in_flight(api: &Api<'_>) -> usize {
    api.client().limits().in_flight.max(1)
}
