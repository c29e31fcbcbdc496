//! Searches, page by page.
//!
//! Cloud gives pages by token, in the order asked for. Data Center gives them by offset, and issues
//! that change between two pages shift what follows; so there a search goes by creation, which
//! never changes: each page begins at the minute in which the last one ended. Offsets are used only
//! among issues of one minute, where the last issue of a page has to come first on the next one.
//!
//! # Nothing is passed over on Data Center
//!
//! Let a search for `updated >= t` begin when the index tells N as its newest update. An issue
//! whose update the index tells then, from t to N, is on a page, with that update or a later one:
//! it stays in the result, since `updated` only grows, and it stays at its place, since `created`
//! never changes. An update that is made later is not before N. So whoever has committed all pages
//! may go on from N ([`FoundPage::reached_us`]). The largest `updated` of the pages would be too
//! much: an issue may be updated after its page was read, and before that of a later page.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::jql::{Search, floor_minute};
use super::super::{rows, time};
use super::{Api, Deployment, MOST_RESTARTS, is_expired};
use crate::http::Tokens;
use crate::{Error, Result};

/// Ids of one page, when nothing but ids is asked for.
const IDS: u32 = 5000;
/// Issues of one page, when a field is asked for.
const ISSUES: u32 = 100;
/// Issues of one page on Data Center, whose sites seldom show more.
const OF_DATA_CENTER: u32 = 1000;
/// How often a minute is begun again whose issues shift while they are read.
const SHIFTS: u32 = 5;

/// An issue as a search names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) issue_id: i64,
    /// Its last change as the search index knows it, in microseconds.
    pub(crate) updated_us: Option<i64>,
}

/// A page of a search.
#[derive(Debug)]
pub(crate) struct FoundPage {
    pub(crate) found: Vec<Found>,
    /// Every update up to here has been shown, in microseconds; `None` where that can't be said
    /// yet.
    pub(crate) reached_us: Option<i64>,
    pub(crate) is_last: bool,
}

/// What a search asks to be told of each issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Its id only: large pages.
    Ids,
    /// Its id and last change.
    Updated,
}

/// A search that is read page by page.
pub(crate) struct Pages<'s, 'a> {
    api: &'s Api<'a>,
    search: Search,
    ask: Ask,
    place: Place,
}

/// Where the next page begins.
enum Place {
    Token {
        next: Option<String>,
        seen: Tokens,
        /// How often the token had expired.
        restarts: u32,
    },
    Creation(Walk),
    /// There is none.
    End,
}

/// The place of a search that goes by creation.
#[derive(Debug, Default)]
struct Walk {
    /// Whether the newest update has been asked for.
    begun: bool,
    /// The newest update when the search began, in microseconds.
    newest_us: Option<i64>,
    /// Minute of creation from which is searched, in milliseconds.
    from_ms: i64,
    /// Offset within what was created since.
    start: u64,
    /// The issue that has to stand there.
    anchor: Option<i64>,
    /// Issues of that minute that came before.
    seen: HashSet<i64>,
    shifts: u32,
}

/// An issue on a page of Data Center, and when it was created.
#[derive(Debug, Clone, Copy)]
struct Line {
    found: Found,
    created_ms: i64,
}

/// What a page means for a walk.
#[derive(Debug)]
enum Step {
    /// These are new; there may be more.
    On(Vec<Found>),
    /// These are new, and the last.
    Last(Vec<Found>),
    /// The list has shifted; the minute has to be read again.
    Shifted,
    /// The site doesn't order as it was asked to.
    Unordered,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenPage {
    issues: Vec<Value>,
    next_page_token: Option<String>,
    is_last: Option<bool>,
}

#[derive(Deserialize)]
struct OffsetPage {
    issues: Vec<Value>,
    total: u64,
}

const CLOUD: &str = "rest/api/3/search/jql";
const DATA_CENTER: &str = "rest/api/2/search";

impl<'a> Api<'a> {
    /// Begins a search.
    pub(crate) fn pages<'s>(&'s self, search: Search, ask: Ask) -> Pages<'s, 'a> {
        let place = match self.deployment {
            Deployment::Cloud => Place::Token {
                next: None,
                seen: Tokens::default(),
                restarts: 0,
            },
            Deployment::DataCenter => Place::Creation(Walk::default()),
        };
        Pages {
            api: self,
            search,
            ask,
            place,
        }
    }

    /// The issue of a search that was updated last.
    pub(crate) async fn newest(&self, search: &Search) -> Result<Option<Found>> {
        let mut body = json!({
            "jql": search.newest_first(),
            "fields": ["updated"],
            "maxResults": 1,
        });
        let issues = match self.deployment {
            Deployment::Cloud => {
                let page: TokenPage = self.client.post(CLOUD, &body).await?;
                page.issues
            }
            Deployment::DataCenter => {
                body["startAt"] = 0.into();
                let page: OffsetPage = self.client.post(DATA_CENTER, &body).await?;
                page.issues
            }
        };
        Ok(issues.iter().find_map(found))
    }
}

impl Pages<'_, '_> {
    /// The next page; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<FoundPage>> {
        match self.place {
            Place::Token { .. } => self.by_token().await.map(Some),
            Place::Creation(_) => self.by_creation().await.map(Some),
            Place::End => Ok(None),
        }
    }

    async fn by_token(&mut self) -> Result<FoundPage> {
        let (field, most) = match self.ask {
            Ask::Ids => ("id", IDS),
            Ask::Updated => ("updated", ISSUES),
        };
        let mut body = json!({
            "jql": self.search.oldest_first(),
            "fields": [field],
            "maxResults": most,
        });
        let Place::Token {
            next,
            seen,
            restarts,
        } = &mut self.place
        else {
            return Ok(FoundPage::nothing());
        };
        let token = next.take();
        let has_token = token.is_some();
        if let Some(token) = token {
            body["nextPageToken"] = token.into();
        }
        let mut answer = self.api.client.post(CLOUD, &body).await;
        if let Err(error) = &answer
            && is_expired(error, has_token)
            && *restarts < MOST_RESTARTS
        {
            // What was shown before is shown again, and merged again.
            *restarts += 1;
            *seen = Tokens::default();
            if let Some(body) = body.as_object_mut() {
                body.remove("nextPageToken");
            }
            answer = self.api.client.post(CLOUD, &body).await;
        }
        let page: TokenPage = answer?;
        *next = page.next_page_token.filter(|_| page.is_last != Some(true));
        if let Some(next) = next
            && !seen.is_new(next)
        {
            return Err(Error::RepeatedPage {
                call: self.api.call("POST", CLOUD),
            });
        }
        let is_last = next.is_none();
        if is_last {
            self.place = Place::End;
        }
        let found: Vec<Found> = page.issues.iter().filter_map(found).collect();
        // What comes later was updated later.
        let reached_us = found.iter().filter_map(|found| found.updated_us).max();
        Ok(FoundPage {
            found,
            reached_us,
            is_last,
        })
    }

    async fn by_creation(&mut self) -> Result<FoundPage> {
        loop {
            let Place::Creation(walk) = &mut self.place else {
                return Ok(FoundPage::nothing());
            };
            if !walk.begun && self.ask == Ask::Updated {
                let newest = self.api.newest(&self.search).await?;
                walk.newest_us = newest.and_then(|newest| newest.updated_us);
            }
            walk.begun = true;
            let fields: &[&str] = match self.ask {
                Ask::Ids => &["created"],
                Ask::Updated => &["created", "updated"],
            };
            let mut body = json!({
                "jql": self.search.created_since(walk.from_ms),
                "fields": fields,
                "startAt": walk.start,
                "maxResults": OF_DATA_CENTER,
            });
            if self.search.names_issues() {
                body["validateQuery"] = false.into();
            }
            let page: OffsetPage = self.api.client.post(DATA_CENTER, &body).await?;
            let lines = lines(&page.issues, walk.from_ms);
            match walk.step(&lines, page.total) {
                Step::On(found) => {
                    return Ok(FoundPage {
                        found,
                        reached_us: None,
                        is_last: false,
                    });
                }
                Step::Last(found) => {
                    let reached_us = walk.newest_us;
                    self.place = Place::End;
                    return Ok(FoundPage {
                        found,
                        reached_us,
                        is_last: true,
                    });
                }
                Step::Shifted if walk.shifts <= SHIFTS => {}
                Step::Shifted => {
                    return Err(Error::RepeatedPage {
                        call: self.api.call("POST", DATA_CENTER),
                    });
                }
                Step::Unordered => return Err(self.unordered()),
            }
        }
    }

    fn unordered(&self) -> Error {
        Error::Unordered {
            call: self.api.call("POST", DATA_CENTER),
        }
    }
}

impl FoundPage {
    fn nothing() -> Self {
        Self {
            found: Vec::new(),
            reached_us: None,
            is_last: true,
        }
    }
}

impl Walk {
    /// Takes a page, and moves to where the next one begins.
    fn step(&mut self, lines: &[Line], total: u64) -> Step {
        // Indexes of older versions know seconds only; within one, the key decides.
        let second = |line: &Line| line.created_ms.div_euclid(1000);
        let ascends = lines
            .windows(2)
            .all(|pair| second(&pair[0]) <= second(&pair[1]));
        let begins = lines
            .first()
            .is_none_or(|first| first.created_ms >= self.from_ms);
        if !ascends || !begins {
            return Step::Unordered;
        }
        let first = lines.first().map(|line| line.found.issue_id);
        let is_hollow = lines.is_empty() && self.start < total;
        if is_hollow || (self.anchor.is_some() && self.anchor != first) {
            // Something went away before it. What was seen is not told twice.
            self.shifts += 1;
            self.start = 0;
            self.anchor = None;
            return Step::Shifted;
        }
        let new = lines.iter().map(|line| line.found);
        let new: Vec<Found> = new
            .filter(|found| !self.seen.contains(&found.issue_id))
            .collect();
        let got = lines.len() as u64;
        let Some(last) = lines.last().filter(|_| self.start + got < total) else {
            return Step::Last(new);
        };
        let minute = floor_minute(last.created_ms);
        if minute > self.from_ms {
            let of_minute = lines.iter().filter(|line| line.created_ms >= minute);
            self.seen = of_minute.map(|line| line.found.issue_id).collect();
            self.from_ms = minute;
            self.start = 0;
            self.anchor = None;
        } else {
            self.seen
                .extend(lines.iter().map(|line| line.found.issue_id));
            // A page of one issue leaves no room for the last one.
            let is_alone = lines.len() == 1;
            self.anchor = (!is_alone).then_some(last.found.issue_id);
            self.start += if is_alone { 1 } else { got - 1 };
        }
        Step::On(new)
    }
}

fn found(issue: &Value) -> Option<Found> {
    let updated = issue.pointer("/fields/updated").unwrap_or(&Value::Null);
    Some(Found {
        issue_id: rows::id(issue.get("id")?)?,
        updated_us: time::instant(updated)
            .ok()
            .flatten()
            .map(|at| at.timestamp_micros()),
    })
}

/// The issues of a page. One whose creation can't be read stands where it is shown.
fn lines(issues: &[Value], from_ms: i64) -> Vec<Line> {
    let mut created_ms = from_ms;
    let lines = issues.iter().filter_map(|issue| {
        let created = issue.pointer("/fields/created").unwrap_or(&Value::Null);
        if let Ok(Some(at)) = time::instant(created) {
            created_ms = at.timestamp_millis();
        }
        Some(Line {
            found: found(issue)?,
            created_ms,
        })
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: i64 = 60_000;

    /// A site that shows what was created since an instant, some at a time.
    fn page(issues: &[(i64, i64)], walk: &Walk, most: usize) -> (Vec<Line>, u64) {
        let line = |(issue_id, created_ms): &(i64, i64)| Line {
            found: Found {
                issue_id: *issue_id,
                updated_us: None,
            },
            created_ms: *created_ms,
        };
        let mut matching: Vec<Line> = issues
            .iter()
            .map(line)
            .filter(|line| line.created_ms >= walk.from_ms)
            .collect();
        matching.sort_by_key(|line| (line.created_ms / 1000, line.found.issue_id));
        let total = matching.len() as u64;
        let start = usize::try_from(walk.start).unwrap();
        (matching.into_iter().skip(start).take(most).collect(), total)
    }

    #[test]
    fn a_site_that_orders_otherwise_is_noticed() {
        let line = |issue_id, created_ms| Line {
            found: Found {
                issue_id,
                updated_us: None,
            },
            created_ms,
        };
        let step = |lines: &[Line]| Walk::default().step(lines, 9);
        let backwards = [line(1, MINUTE), line(2, 0)];
        assert!(matches!(step(&backwards), Step::Unordered));
        // Of one second, the order says nothing.
        assert!(matches!(step(&[line(1, 900), line(2, 100)]), Step::On(_)));
        let mut later = Walk {
            from_ms: MINUTE,
            ..Walk::default()
        };
        assert!(matches!(later.step(&[line(1, 5)], 9), Step::Unordered));
        assert!(
            matches!(step(&[]), Step::Shifted),
            "a page without issues is not the last"
        );
        assert!(matches!(Walk::default().step(&[], 0), Step::Last(_)));
    }

    #[test]
    fn an_issue_whose_creation_cannot_be_read_stands_where_it_is_shown() {
        let issue = |id: i64, created: &str| json!({"id": id, "fields": {"created": created}});
        let lines = lines(
            &[
                issue(1, "2020-06-12T08:13:13.360+0000"),
                issue(2, "0001-01-01T00:00:00.000+0000"),
            ],
            0,
        );
        assert_eq!(lines[0].created_ms, lines[1].created_ms);
    }

    proptest! {
        /// Whatever the page size, however many issues of one minute, and whichever of them go away
        /// in between: every issue that stays is told, and told once.
        #[test]
        fn every_issue_is_told_once(
            minutes in prop::collection::vec(0..6i64, 1..60),
            most in 1..9usize,
            gone in prop::collection::vec((0..60usize, 0..12usize), 0..4),
        ) {
            let all: Vec<(i64, i64)> = minutes
                .iter()
                .enumerate()
                .map(|(id, minute)| (id as i64, minute * MINUTE + (id as i64 * 7_919) % MINUTE))
                .collect();
            let mut issues = all.clone();
            let (mut walk, mut told, mut pages) = (Walk::default(), Vec::new(), 0);
            loop {
                let (lines, total) = page(&issues, &walk, most);
                let step = walk.step(&lines, total);
                pages += 1;
                prop_assert!(pages < 1000, "no end");
                let last = matches!(step, Step::Last(_));
                match step {
                    Step::On(found) | Step::Last(found) => {
                        told.extend(found.iter().map(|found| found.issue_id));
                    }
                    Step::Shifted => {}
                    Step::Unordered => prop_assert!(false, "unordered"),
                }
                if last {
                    break;
                }
                for (which, when) in &gone {
                    if *when == pages && issues.len() > 1 {
                        issues.remove(which % issues.len());
                    }
                }
            }
            let mut once = told.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), told.len());
            // A page of one issue has no room to notice a shift.
            if most > 1 || gone.is_empty() {
                for (id, _) in &issues {
                    prop_assert!(told.contains(id), "{} is missing", id);
                }
            }
        }
    }
}
