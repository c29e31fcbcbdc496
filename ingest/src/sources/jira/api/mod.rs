//! The endpoints of a Jira site. Records stay the text they were received as.
//!
//! Cloud and Data Center answer the same questions in different ways; nothing above this module
//! knows which of them it speaks to.

mod issues;
mod listings;
mod search;
mod worklogs;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::time;
use crate::http::{Client, NextOffset, Patience};
use crate::{Call, Error, Result};

pub(crate) use issues::{BULK_ISSUES, Handed, History};
pub(crate) use search::{Ask, Found};
pub(crate) use worklogs::WorklogChange;

/// Records of one page of a listing.
const LISTED: u32 = 50;

/// Which Jira a site runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deployment {
    Cloud,
    DataCenter,
}

/// How often pages are begun again whose token has expired, or that shift while they are read.
const MOST_RESTARTS: u32 = 3;

/// The endpoints of one site.
pub(crate) struct Api<'a> {
    client: Client<'a>,
    deployment: Deployment,
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

    /// The site's kind and version, as people say it.
    pub(crate) fn title(&self) -> String {
        match self.deployment() {
            Deployment::Cloud => format!("Jira Cloud {}", self.version),
            Deployment::DataCenter => format!("Jira Data Center {}", self.version),
        }
    }

    fn deployment(&self) -> Deployment {
        match self.deployment_type.eq_ignore_ascii_case("server") {
            true => Deployment::DataCenter,
            false => Deployment::Cloud,
        }
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValuesPage {
    values: Vec<Box<RawValue>>,
    is_last: Option<bool>,
    total: Option<u64>,
}

impl<'a> Api<'a> {
    /// The endpoints of a site that has not said yet what it is: see [`Api::meet`].
    pub(crate) fn new(client: Client<'a>) -> Self {
        Self {
            client,
            deployment: Deployment::Cloud,
        }
    }

    pub(crate) fn client(&self) -> &Client<'a> {
        &self.client
    }

    /// Asks the site what it is, and speaks to it accordingly from then on.
    pub(crate) async fn meet(&mut self) -> Result<ServerInfo> {
        let path = "rest/api/2/serverInfo";
        let info: ServerInfo = self.client.get(path, &[], Patience::Greeting).await?;
        self.deployment = info.deployment();
        Ok(info)
    }

    pub(crate) async fn myself(&self) -> Result<Myself> {
        let path = self.at("myself");
        self.client.get(&path, &[], Patience::Greeting).await
    }

    /// Which of some permissions the account has, anywhere.
    pub(crate) async fn permissions(&self, asked: &[&str]) -> Result<Offered<Vec<(String, bool)>>> {
        #[derive(Deserialize)]
        struct Answer {
            permissions: BTreeMap<String, Permission>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Permission {
            #[serde(default)]
            have_permission: bool,
        }
        let query = [("permissions", asked.join(","))];
        let path = self.at("mypermissions");
        let answer: Result<Answer> = self.client.get(&path, &query, Patience::Greeting).await;
        // Data Center tells all that there are.
        let granted = |answer: Answer| {
            let permissions = answer.permissions.into_iter();
            permissions
                .filter(|(name, _)| asked.contains(&name.as_str()))
                .map(|(name, one)| (name, one.have_permission))
                .collect()
        };
        offered(answer.map(granted))
    }

    /// A path of the platform's interface, in the version that the site speaks.
    fn at(&self, path: &str) -> String {
        match self.deployment {
            Deployment::Cloud => format!("rest/api/3/{path}"),
            Deployment::DataCenter => format!("rest/api/2/{path}"),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.client.get(path, &[], Patience::Patient).await
    }

    /// All values of a listing that is paged by offset. When the site's total changes while the pages
    /// are read, they have shifted, and one may have been passed over: then it begins again.
    async fn values(&self, path: &str, query: &[(&str, String)]) -> Result<Vec<Box<RawValue>>> {
        let mut values = Vec::new();
        let (mut start, mut total, mut shifts) = (0, None, 0);
        loop {
            let mut query = query.to_vec();
            query.push(("startAt", start.to_string()));
            query.push(("maxResults", LISTED.to_string()));
            let page: ValuesPage = self.client.get(path, &query, Patience::Patient).await?;
            if start > 0 && page.total != total && shifts < MOST_RESTARTS {
                shifts += 1;
                (start, total) = (0, None);
                values.clear();
                continue;
            }
            total = page.total;
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

/// Whether a page was refused for its token: tokens expire. Then the pages begin again.
fn is_expired(error: &Error, has_token: bool) -> bool {
    has_token && matches!(error, Error::Refused { status: 400, .. })
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
