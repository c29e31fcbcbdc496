//! Worklogs: what was changed, and the worklogs themselves.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::super::bisect::{Served, in_halves};
use super::{Api, Offered, offered};
use crate::Result;
use crate::http::{NextOffset, Patience};

/// Most worklogs that are asked for at once.
const BULK_WORKLOGS: usize = 1000;
/// Worklogs of one page of an issue.
const OF_ISSUE: u32 = 5000;

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

impl Api<'_> {
    /// One page of the worklogs that were written or edited, or of those deleted, since an instant
    /// (included). The site leaves out the last minute.
    pub(crate) async fn worklog_changes(
        &self,
        deleted: bool,
        since_ms: i64,
    ) -> Result<Offered<WorklogChanges>> {
        let path = self.at(match deleted {
            true => "worklog/deleted",
            false => "worklog/updated",
        });
        let query = [("since", since_ms.to_string())];
        offered(self.client.get(&path, &query, Patience::Patient).await)
    }

    /// All worklogs of an issue.
    pub(crate) async fn worklogs_of(&self, issue_id: i64) -> Result<Offered<Vec<Box<RawValue>>>> {
        #[derive(Deserialize)]
        struct Page {
            worklogs: Vec<Box<RawValue>>,
            total: Option<u64>,
        }
        let path = self.at(&format!("issue/{issue_id}/worklog"));
        let mut worklogs = Vec::new();
        let mut start = 0;
        loop {
            let query = [
                ("startAt", start.to_string()),
                ("maxResults", OF_ISSUE.to_string()),
            ];
            let answer = self.client.get(&path, &query, Patience::Patient).await;
            let page: Page = match offered(answer)? {
                Offered::Yes(page) => page,
                Offered::No(reason) => return Ok(Offered::No(reason)),
            };
            let position = NextOffset {
                start,
                got: page.worklogs.len() as u64,
                is_last: None,
                total: page.total,
            };
            worklogs.extend(page.worklogs);
            match position.next() {
                Some(next) => start = next,
                None => return Ok(Offered::Yes(worklogs)),
            }
        }
    }

    /// Worklogs by id. Ids that are missing are deleted or out of sight.
    pub(crate) async fn worklogs(&self, ids: &[i64]) -> Result<Served<Vec<Box<RawValue>>>> {
        let mut all = Served::default();
        for part in ids.chunks(BULK_WORKLOGS) {
            let served = in_halves(part, |part, patience| {
                Box::pin(async move {
                    let body = json!({"ids": part});
                    let path = self.at("worklog/list");
                    self.client.post_as(&path, &body, patience).await
                })
            });
            all.extend(served.await?);
        }
        Ok(all)
    }
}
