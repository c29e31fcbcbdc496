//! Whole issues, their history entries and their comments.
//!
//! Cloud hands out issues and history entries by two bulk calls that read the database. Data Center
//! has neither: there a search by id shows issues with all their history entries, and whatever the
//! search doesn't show is asked for one by one, which reads the database as well.

use std::collections::{BTreeMap, HashSet};

use futures::FutureExt;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::super::bisect::{Served, in_halves};
use super::super::rows;
use super::{Api, Deployment, MOST_RESTARTS, Offered, is_expired, offered};
use crate::http::{NextOffset, Patience, Tokens};
use crate::{Error, Result};

/// Most issues of one bulk fetch.
pub(crate) const BULK_ISSUES: usize = 100;
/// Most issues whose changelogs are asked for at once.
const BULK_CHANGELOGS: usize = 1000;
/// History entries of one page.
const HISTORIES: u32 = 5000;
/// Comments of one page.
const COMMENTS: u32 = 100;

/// A history entry of an issue.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) issue_id: i64,
    pub(crate) payload: Box<RawValue>,
}

/// What was handed out of the issues that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    pub(crate) issues: Vec<Box<RawValue>>,
    /// History entries that came with the issues; [`Api::changelogs`] gives the others.
    pub(crate) histories: Vec<History>,
    /// Ids that the site could not hand out now, with its reason. Ids that are neither here nor
    /// among the issues are deleted or out of sight.
    pub(crate) withheld: Vec<(i64, String)>,
    /// Ids that make every request for them fail, with how.
    pub(crate) spoiled: Vec<(i64, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IssuesPage {
    issues: Vec<Box<RawValue>>,
    #[serde(default)]
    issue_errors: Vec<Value>,
    /// Told by Data Center only.
    total: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangelogPage {
    issue_change_logs: Vec<IssueChangelog>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IssueChangelog {
    issue_id: Value,
    #[serde(default)]
    change_histories: Vec<Box<RawValue>>,
}

/// History entries inside an issue, and how many there are.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Inside {
    total: usize,
    histories: Vec<Box<RawValue>>,
}

/// An issue of Data Center, taken apart.
struct Whole {
    issue_id: i64,
    /// The issue without its history entries.
    issue: Box<RawValue>,
    histories: Vec<Box<RawValue>>,
    /// How many history entries the site says there are.
    total: usize,
}

impl Handed {
    fn extend(&mut self, more: Handed) {
        self.issues.extend(more.issues);
        self.histories.extend(more.histories);
        self.withheld.extend(more.withheld);
        self.spoiled.extend(more.spoiled);
    }

    fn take(&mut self, whole: Whole) {
        let Whole {
            issue_id,
            issue,
            histories,
            ..
        } = whole;
        self.issues.push(issue);
        let histories = histories.into_iter();
        self.histories
            .extend(histories.map(|payload| History { issue_id, payload }));
    }
}

impl Whole {
    /// Takes an issue apart; `None` for what has no id.
    fn of(payload: &RawValue) -> Option<Self> {
        let mut parts: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(payload.get()).ok()?;
        let id: Value = serde_json::from_str(parts.get("id")?.get()).ok()?;
        let inside = parts.remove("changelog");
        let inside: Inside = inside
            .and_then(|inside| serde_json::from_str(inside.get()).ok())
            .unwrap_or_default();
        Some(Self {
            issue_id: rows::id(&id)?,
            issue: to_raw_value(&parts).ok()?,
            total: inside.total,
            histories: inside.histories,
        })
    }

    fn is_complete(&self) -> bool {
        self.histories.len() >= self.total
    }
}

impl Api<'_> {
    /// Whole issues, at most [`BULK_ISSUES`].
    pub(crate) async fn issues(&self, ids: &[i64]) -> Result<Handed> {
        let served = in_halves(ids, |part, patience| match self.deployment {
            Deployment::Cloud => self.fetched_in_bulk(part, patience).boxed(),
            Deployment::DataCenter => self.searched_by_id(part, patience).boxed(),
        });
        let Served { answers, spoiled } = served.await?;
        let mut handed = Handed {
            spoiled,
            ..Handed::default()
        };
        for answer in answers {
            handed.extend(answer);
        }
        Ok(handed)
    }

    async fn fetched_in_bulk(&self, ids: &[i64], patience: Patience) -> Result<Handed> {
        let asked: Vec<_> = ids.iter().map(i64::to_string).collect();
        let body = json!({"issueIdsOrKeys": asked, "fields": ["*all"]});
        let path = "rest/api/3/issue/bulkfetch";
        let page: IssuesPage = self.client.post_as(path, &body, patience).await?;
        let withheld = page.issue_errors.iter().filter_map(|error| {
            let reason = error.get("errorMessage").and_then(Value::as_str);
            Some((
                rows::id(error.get("id")?)?,
                reason.unwrap_or("no reason given").to_string(),
            ))
        });
        Ok(Handed {
            withheld: withheld.collect(),
            issues: page.issues,
            ..Handed::default()
        })
    }

    async fn searched_by_id(&self, ids: &[i64], patience: Patience) -> Result<Handed> {
        let mut handed = Handed::default();
        let mut rest = ids.to_vec();
        // A site may show fewer on a page than it was asked for.
        while !rest.is_empty() {
            let asked: Vec<_> = rest.iter().map(i64::to_string).collect();
            let body = json!({
                "jql": format!("id in ({})", asked.join(", ")),
                "fields": ["*all"],
                "expand": ["changelog"],
                "maxResults": rest.len(),
                // An id that is gone is no reason to refuse the others.
                "validateQuery": false,
            });
            let path = "rest/api/2/search";
            let page: IssuesPage = self.client.post_as(path, &body, patience).await?;
            let shown = page.issues.len();
            let mut seen = HashSet::new();
            for whole in page.issues.iter().filter_map(|issue| Whole::of(issue)) {
                if rest.contains(&whole.issue_id) && seen.insert(whole.issue_id) {
                    self.complete(whole, &mut handed).await?;
                }
            }
            rest.retain(|id| !seen.contains(id));
            if seen.is_empty() || page.total.is_none_or(|total| total <= shown) {
                break;
            }
        }
        for id in rest {
            if let Offered::Yes(Some(whole)) = self.one(id).await? {
                self.complete(whole, &mut handed).await?;
            }
        }
        Ok(handed)
    }

    /// Hands out an issue with all its history entries. A part of them is none.
    async fn complete(&self, mut whole: Whole, handed: &mut Handed) -> Result<()> {
        if !whole.is_complete()
            && let Offered::Yes(Some(again)) = self.one(whole.issue_id).await?
        {
            whole = again;
        }
        if whole.is_complete() {
            handed.take(whole);
            return Ok(());
        }
        let reason = format!(
            "the site shows {} of its {} history entries",
            whole.histories.len(),
            whole.total
        );
        handed.withheld.push((whole.issue_id, reason));
        Ok(())
    }

    /// One issue of Data Center.
    async fn one(&self, issue_id: i64) -> Result<Offered<Option<Whole>>> {
        let path = format!("rest/api/2/issue/{issue_id}");
        let query = [
            ("fields", "*all".to_string()),
            ("expand", "changelog".to_string()),
        ];
        let answer: Result<Box<RawValue>> = self.client.get(&path, &query, Patience::Patient).await;
        offered(answer.map(|issue| Whole::of(&issue)))
    }

    /// The history entries of issues that did not come with them.
    pub(crate) async fn changelogs(&self, ids: &[i64]) -> Result<Served<Vec<History>>> {
        let mut all = Served::default();
        if self.deployment == Deployment::DataCenter {
            return Ok(all);
        }
        for part in ids.chunks(BULK_CHANGELOGS) {
            let served = in_halves(part, |part, patience| {
                self.fetched_changelogs(part, patience).boxed()
            });
            all.extend(served.await?);
        }
        Ok(all)
    }

    /// The site spreads the entries of one issue over pages.
    async fn fetched_changelogs(&self, ids: &[i64], patience: Patience) -> Result<Vec<History>> {
        let path = "rest/api/3/changelog/bulkfetch";
        let mut histories = Vec::new();
        let asked: Vec<_> = ids.iter().map(i64::to_string).collect();
        let first = json!({"issueIdsOrKeys": asked, "maxResults": HISTORIES});
        let (mut body, mut seen, mut restarts) = (first.clone(), Tokens::default(), 0);
        loop {
            let has_token = body.get("nextPageToken").is_some();
            let page: ChangelogPage = match self.client.post_as(path, &body, patience).await {
                Err(error) if is_expired(&error, has_token) && restarts < MOST_RESTARTS => {
                    restarts += 1;
                    (body, seen) = (first.clone(), Tokens::default());
                    histories.clear();
                    continue;
                }
                page => page?,
            };
            for changelog in page.issue_change_logs {
                let Some(issue_id) = rows::id(&changelog.issue_id) else {
                    continue;
                };
                let entries = changelog.change_histories.into_iter();
                histories.extend(entries.map(|payload| History { issue_id, payload }));
            }
            let Some(next) = page.next_page_token else {
                return Ok(histories);
            };
            if !seen.is_new(&next) {
                return Err(Error::RepeatedPage {
                    call: self.call("POST", path),
                });
            }
            body["nextPageToken"] = next.into();
        }
    }

    /// All remote links of an issue; the endpoint gives a bare array.
    pub(crate) async fn remote_links(&self, issue_id: i64) -> Result<Offered<Vec<Box<RawValue>>>> {
        let path = self.at(&format!("issue/{issue_id}/remotelink"));
        match self.get(&path).await {
            // More than the site is willing to list.
            Err(Error::Refused {
                status: 413,
                message,
                ..
            }) => Ok(Offered::No(format!("{message} (413)"))),
            answer => offered(answer),
        }
    }

    /// All comments of an issue.
    pub(crate) async fn comments(&self, issue_id: i64) -> Result<Offered<Vec<Box<RawValue>>>> {
        #[derive(Deserialize)]
        struct Page {
            comments: Vec<Box<RawValue>>,
            total: Option<u64>,
        }
        let path = self.at(&format!("issue/{issue_id}/comment"));
        let mut comments = Vec::new();
        let mut start = 0;
        loop {
            let query = [
                ("startAt", start.to_string()),
                ("maxResults", COMMENTS.to_string()),
            ];
            let answer = self.client.get(&path, &query, Patience::Patient).await;
            let page: Page = match offered(answer)? {
                Offered::Yes(page) => page,
                Offered::No(reason) => return Ok(Offered::No(reason)),
            };
            let position = NextOffset {
                start,
                got: page.comments.len() as u64,
                is_last: None,
                total: page.total,
            };
            comments.extend(page.comments);
            match position.next() {
                Some(next) => start = next,
                None => return Ok(Offered::Yes(comments)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(payload: &str) -> Option<Whole> {
        Whole::of(&RawValue::from_string(payload.to_string()).unwrap())
    }

    #[test]
    fn an_issue_is_taken_apart_without_touching_its_parts() {
        let payload = r#"{"key":"EE-1","id":"7","fields":{"a": 1.50},
            "changelog":{"total":2,"histories":[{"id":"1"},{"id":"2"}]}}"#;
        let found = whole(payload).unwrap();
        assert_eq!(
            found.issue.get(),
            r#"{"fields":{"a": 1.50},"id":"7","key":"EE-1"}"#
        );
        assert_eq!((found.issue_id, found.histories.len()), (7, 2));
        assert!(found.is_complete());
        let short = r#"{"id":7,"changelog":{"total":3,"histories":[{"id":"1"}]}}"#;
        assert!(!whole(short).unwrap().is_complete());
        assert!(whole(r#"{"key":"EE-1"}"#).is_none());
        assert!(whole("[]").is_none());
    }
}
