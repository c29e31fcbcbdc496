//! The endpoints of a Jira Cloud site. Records stay the text they were received as.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{rows, time};
use crate::http::{Client, NextOffset, Patience, Tokens};
use crate::{Call, Error, Result};

/// Most issues of one bulk fetch.
pub(super) const BULK_ISSUES: usize = 100;
/// Most issues whose changelogs are asked for at once.
const BULK_CHANGELOGS: usize = 1000;
/// History entries of one page.
const HISTORIES: u32 = 5000;
/// Ids of one page, when nothing but ids is asked for.
const IDS: u32 = 5000;
/// Issues of one page, when a field is asked for.
const ISSUES: u32 = 100;
/// Projects, boards, sprints or fields of one page.
const LISTED: u32 = 50;
/// Comments of one page.
const COMMENTS: u32 = 100;
/// Most worklogs that are asked for at once.
const BULK_WORKLOGS: usize = 1000;
/// Users of one page.
const USERS: u32 = 1000;

/// The endpoints of one site.
pub(crate) struct Api<'a> {
    client: Client<'a>,
}

/// What an endpoint gave, when a site need not have it.
#[derive(Debug)]
pub(crate) enum Offered<T> {
    Yes(T),
    /// The site doesn't have it, or not for this account; with the reason.
    No(String),
}

/// The site's own words about itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerInfo {
    #[serde(default)]
    pub(crate) base_url: String,
    #[serde(default)]
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) deployment_type: String,
    #[serde(default)]
    server_time: Value,
}

impl ServerInfo {
    /// The site's clock.
    pub(crate) fn time(&self) -> Option<DateTime<Utc>> {
        time::instant(&self.server_time).ok().flatten()
    }
}

/// The account that the credentials belong to.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Myself {
    #[serde(default)]
    pub(crate) display_name: String,
    #[serde(default)]
    pub(crate) time_zone: String,
}

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
    pub(crate) next: Option<String>,
}

/// A history entry of an issue.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) issue_id: i64,
    pub(crate) payload: Box<RawValue>,
}

/// What a search asks to be told of each issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Its id only: large pages.
    Ids,
    /// Its id and last change.
    Updated,
}

/// A page of changed worklogs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorklogChanges {
    pub(crate) values: Vec<WorklogChange>,
    pub(crate) until: Option<i64>,
    #[serde(default)]
    pub(crate) last_page: bool,
}

/// A worklog that was changed, and when.
#[derive(Debug, Clone, Copy, Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorklogChange {
    pub(crate) worklog_id: i64,
    pub(crate) updated_time: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValuesPage {
    values: Vec<Box<RawValue>>,
    is_last: Option<bool>,
    total: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SearchPage {
    issues: Vec<Value>,
    next_page_token: Option<String>,
    is_last: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IssuesPage {
    issues: Vec<Box<RawValue>>,
    #[serde(default)]
    issue_errors: Vec<Value>,
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

impl<'a> Api<'a> {
    pub(crate) fn new(client: Client<'a>) -> Self {
        Self { client }
    }

    pub(crate) fn client(&self) -> &Client<'a> {
        &self.client
    }

    pub(crate) async fn server_info(&self) -> Result<ServerInfo> {
        self.client
            .get("rest/api/2/serverInfo", &[], Patience::Greeting)
            .await
    }

    pub(crate) async fn myself(&self) -> Result<Myself> {
        self.client
            .get("rest/api/3/myself", &[], Patience::Greeting)
            .await
    }

    /// Which of some permissions the account has, anywhere.
    pub(crate) async fn permissions(&self, asked: &[&str]) -> Result<Offered<Vec<(String, bool)>>> {
        #[derive(Deserialize)]
        struct Answer {
            permissions: std::collections::BTreeMap<String, Permission>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Permission {
            #[serde(default)]
            have_permission: bool,
        }
        let query = [("permissions", asked.join(","))];
        let path = "rest/api/3/mypermissions";
        let answer: Result<Answer> = self.client.get(path, &query, Patience::Greeting).await;
        let granted = |answer: Answer| {
            let permissions = answer.permissions.into_iter();
            permissions
                .map(|(name, one)| (name, one.have_permission))
                .collect()
        };
        offered(answer.map(granted))
    }

    pub(crate) async fn projects(&self) -> Result<Offered<Vec<Box<RawValue>>>> {
        let query = [
            ("expand", "lead".to_string()),
            ("status", "live".to_string()),
            ("status", "archived".to_string()),
        ];
        offered(self.values("rest/api/3/project/search", &query).await)
    }

    pub(crate) async fn boards(&self) -> Result<Offered<Vec<Box<RawValue>>>> {
        offered(self.values("rest/agile/1.0/board", &[]).await)
    }

    pub(crate) async fn board_configuration(
        &self,
        board_id: i64,
    ) -> Result<Offered<Box<RawValue>>> {
        let path = format!("rest/agile/1.0/board/{board_id}/configuration");
        offered(self.client.get(&path, &[], Patience::Patient).await)
    }

    pub(crate) async fn board_sprints(&self, board_id: i64) -> Result<Offered<Vec<Box<RawValue>>>> {
        let path = format!("rest/agile/1.0/board/{board_id}/sprint");
        offered(self.values(&path, &[]).await)
    }

    pub(crate) async fn statuses(&self) -> Result<Offered<Vec<Box<RawValue>>>> {
        offered(
            self.client
                .get("rest/api/3/status", &[], Patience::Patient)
                .await,
        )
    }

    pub(crate) async fn fields(&self) -> Result<Offered<Vec<Box<RawValue>>>> {
        offered(
            self.client
                .get("rest/api/3/field", &[], Patience::Patient)
                .await,
        )
    }

    pub(crate) async fn searched_fields(&self) -> Result<Offered<Vec<Box<RawValue>>>> {
        offered(self.values("rest/api/3/field/search", &[]).await)
    }

    pub(crate) async fn issue_types(&self) -> Result<Offered<Vec<Box<RawValue>>>> {
        let path = "rest/api/3/issuetype";
        offered(self.client.get(path, &[], Patience::Patient).await)
    }

    pub(crate) async fn priorities(&self) -> Result<Offered<Vec<Box<RawValue>>>> {
        offered(self.values("rest/api/3/priority/search", &[]).await)
    }

    pub(crate) async fn resolutions(&self) -> Result<Offered<Vec<Box<RawValue>>>> {
        offered(self.values("rest/api/3/resolution/search", &[]).await)
    }

    pub(crate) async fn link_types(&self) -> Result<Offered<Vec<Box<RawValue>>>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Types {
            issue_link_types: Vec<Box<RawValue>>,
        }
        let path = "rest/api/3/issueLinkType";
        let types: Result<Types> = self.client.get(path, &[], Patience::Patient).await;
        offered(types.map(|types| types.issue_link_types))
    }

    pub(crate) async fn versions(&self, project_id: i64) -> Result<Offered<Vec<Box<RawValue>>>> {
        let path = format!("rest/api/3/project/{project_id}/version");
        offered(self.values(&path, &[]).await)
    }

    pub(crate) async fn components(&self, project_id: i64) -> Result<Offered<Vec<Box<RawValue>>>> {
        let path = format!("rest/api/3/project/{project_id}/component");
        offered(self.values(&path, &[]).await)
    }

    /// All users; the endpoint gives bare arrays and doesn't say which is the last.
    pub(crate) async fn users(&self) -> Result<Offered<Vec<Box<RawValue>>>> {
        let mut users: Vec<Box<RawValue>> = Vec::new();
        loop {
            let query = [
                ("startAt", users.len().to_string()),
                ("maxResults", USERS.to_string()),
            ];
            let path = "rest/api/3/users/search";
            let page: Vec<Box<RawValue>> =
                match offered(self.client.get(path, &query, Patience::Patient).await)? {
                    Offered::Yes(page) => page,
                    Offered::No(reason) => return Ok(Offered::No(reason)),
                };
            let repeated = page
                .first()
                .is_some_and(|one| users.iter().any(|user| user.get() == one.get()));
            if page.is_empty() || repeated {
                return Ok(Offered::Yes(users));
            }
            users.extend(page);
        }
    }

    /// One page of a search.
    pub(crate) async fn search(
        &self,
        jql: &str,
        ask: Ask,
        most: Option<u32>,
        token: Option<&str>,
        seen: &mut Tokens,
    ) -> Result<FoundPage> {
        let (field, page_size) = match ask {
            Ask::Ids => ("id", IDS),
            Ask::Updated => ("updated", ISSUES),
        };
        let mut body = json!({
            "jql": jql,
            "fields": [field],
            "maxResults": most.unwrap_or(page_size),
        });
        if let Some(token) = token {
            body["nextPageToken"] = token.into();
        }
        let path = "rest/api/3/search/jql";
        let page: SearchPage = self.client.post(path, &body).await?;
        let next = page.next_page_token.filter(|_| page.is_last != Some(true));
        if let Some(next) = &next
            && !seen.is_new(next)
        {
            return Err(Error::RepeatedPage {
                call: self.call("POST", path),
            });
        }
        let found = page.issues.iter().filter_map(|issue| {
            let updated = issue.pointer("/fields/updated").unwrap_or(&Value::Null);
            Some(Found {
                issue_id: rows::id(issue.get("id")?)?,
                updated_us: time::instant(updated)
                    .ok()
                    .flatten()
                    .map(|at| at.timestamp_micros()),
            })
        });
        Ok(FoundPage {
            found: found.collect(),
            next,
        })
    }

    /// Whole issues, at most [`BULK_ISSUES`], and the ids the site could not hand out, with its
    /// reason. Ids that are in neither are deleted or out of sight.
    pub(crate) async fn issues(
        &self,
        ids: &[i64],
    ) -> Result<(Vec<Box<RawValue>>, Vec<(i64, String)>)> {
        let mut issues = Vec::new();
        let mut errors = Vec::new();
        let mut parts = vec![ids];
        while let Some(part) = parts.pop() {
            let asked: Vec<_> = part.iter().map(i64::to_string).collect();
            let body = json!({"issueIdsOrKeys": asked, "fields": ["*all"]});
            let page: IssuesPage = match self.client.post("rest/api/3/issue/bulkfetch", &body).await
            {
                Err(Error::TooLarge { .. }) if part.len() > 1 => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.extend([right, left]);
                    continue;
                }
                page => page?,
            };
            issues.extend(page.issues);
            errors.extend(page.issue_errors.iter().filter_map(|error| {
                let reason = error.get("errorMessage").and_then(Value::as_str);
                Some((
                    rows::id(error.get("id")?)?,
                    reason.unwrap_or("no reason given").to_string(),
                ))
            }));
        }
        Ok((issues, errors))
    }

    /// All history entries of issues. The site spreads the entries of one issue over pages.
    pub(crate) async fn changelogs(&self, ids: &[i64]) -> Result<Vec<History>> {
        let path = "rest/api/3/changelog/bulkfetch";
        let mut histories = Vec::new();
        for part in ids.chunks(BULK_CHANGELOGS) {
            let asked: Vec<_> = part.iter().map(i64::to_string).collect();
            let mut body = json!({"issueIdsOrKeys": asked, "maxResults": HISTORIES});
            let mut seen = Tokens::default();
            loop {
                let page: ChangelogPage = self.client.post(path, &body).await?;
                for changelog in page.issue_change_logs {
                    let Some(issue_id) = rows::id(&changelog.issue_id) else {
                        continue;
                    };
                    let entries = changelog.change_histories.into_iter();
                    histories.extend(entries.map(|payload| History { issue_id, payload }));
                }
                let Some(next) = page.next_page_token else {
                    break;
                };
                if !seen.is_new(&next) {
                    return Err(Error::RepeatedPage {
                        call: self.call("POST", path),
                    });
                }
                body["nextPageToken"] = next.into();
            }
        }
        Ok(histories)
    }

    /// All comments of an issue.
    pub(crate) async fn comments(&self, issue_id: i64) -> Result<Offered<Vec<Box<RawValue>>>> {
        #[derive(Deserialize)]
        struct Page {
            comments: Vec<Box<RawValue>>,
            total: Option<u64>,
        }
        let path = format!("rest/api/3/issue/{issue_id}/comment");
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

    /// One page of the worklogs that were written or edited, or of those deleted, since an instant
    /// (included). The site leaves out the last minute.
    pub(crate) async fn worklog_changes(
        &self,
        deleted: bool,
        since_ms: i64,
    ) -> Result<Offered<WorklogChanges>> {
        let path = match deleted {
            true => "rest/api/3/worklog/deleted",
            false => "rest/api/3/worklog/updated",
        };
        let query = [("since", since_ms.to_string())];
        offered(self.client.get(path, &query, Patience::Patient).await)
    }

    /// Worklogs by id. Ids that are missing are deleted or out of sight.
    pub(crate) async fn worklogs(&self, ids: &[i64]) -> Result<Vec<Box<RawValue>>> {
        let mut worklogs = Vec::new();
        for part in ids.chunks(BULK_WORKLOGS) {
            let body = json!({"ids": part});
            let page: Vec<Box<RawValue>> =
                self.client.post("rest/api/3/worklog/list", &body).await?;
            worklogs.extend(page);
        }
        Ok(worklogs)
    }

    /// All values of a listing that is paged by offset.
    async fn values(&self, path: &str, query: &[(&str, String)]) -> Result<Vec<Box<RawValue>>> {
        let mut values = Vec::new();
        let mut start = 0;
        loop {
            let mut query = query.to_vec();
            query.push(("startAt", start.to_string()));
            query.push(("maxResults", LISTED.to_string()));
            let page: ValuesPage = self.client.get(path, &query, Patience::Patient).await?;
            let position = NextOffset {
                start,
                got: page.values.len() as u64,
                is_last: page.is_last,
                total: page.total,
            };
            values.extend(page.values);
            match position.next() {
                Some(next) => start = next,
                None => return Ok(values),
            }
        }
    }

    fn call(&self, method: &'static str, path: &str) -> Box<Call> {
        self.client.call(method, path)
    }
}

/// Takes "not here" and "not for you" for an answer. Everything else stays an error.
fn offered<T>(answer: Result<T>) -> Result<Offered<T>> {
    match answer {
        Ok(value) => Ok(Offered::Yes(value)),
        Err(Error::Refused {
            status: status @ (400 | 403 | 404 | 410 | 422),
            message,
            ..
        }) => Ok(Offered::No(format!("{message} ({status})"))),
        Err(error) => Err(error),
    }
}
