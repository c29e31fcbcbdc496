//! Requests to a forge. Records stay the text they were received as.

use chrono::{DateTime, SubsecRound, Utc};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use super::record::{at, id, is_sha, text};
use super::{Ask, Dialect, MOST_REPOSITORIES, PageShape, REPOSITORIES, time};
use crate::http::{Client, Page, Patience, Tokens};
use crate::land::Received;
use crate::{Auth, Connection, Error, Note, Result};

/// A record as received.
type Payload = Box<RawValue>;

/// The endpoints of one forge.
pub(super) struct Api<'a> {
    client: Client<'a>,
    dialect: &'static dyn Dialect,
}

/// A repository that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repository {
    pub(crate) id: i64,
    pub(crate) full_name: String,
    pub(crate) default_branch: Option<String>,
}

/// What an endpoint gave, when a repository need not have it.
#[derive(Debug)]
pub(super) enum Offered<T> {
    Yes(T),
    /// The repository doesn't have it, or not for this account; with the reason.
    No(String),
}

/// The forge and the account, as they introduce themselves.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) account: String,
    pub(super) version: String,
    pub(super) source_time: DateTime<Utc>,
    pub(super) time_zone: String,
    pub(super) notes: Vec<Note>,
}

/// A record as a listing shows it.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) id: i64,
    pub(super) number: i64,
    /// The instant by which it is listed.
    pub(super) at: Option<DateTime<Utc>>,
    payload: String,
}

/// A page of a listing.
#[derive(Debug)]
pub(super) struct ListPage {
    pub(super) listed: Vec<Listed>,
    /// Records that can't be asked for, because they don't say who they are.
    pub(super) nameless: Vec<Received>,
    pub(super) next: Option<Url>,
}

/// A page of commits.
#[derive(Debug)]
pub(super) struct CommitPage {
    pub(super) commits: Vec<Received>,
    pub(super) next: Option<Url>,
}

/// The repositories that were found, and the names for which there is none.
#[derive(Debug, Default)]
pub(super) struct FoundRepositories {
    pub(super) records: Vec<Received>,
    pub(super) missing: Vec<String>,
}

#[derive(Deserialize)]
struct Comparison {
    commits: Vec<Payload>,
}

impl<'a> Api<'a> {
    pub(super) fn new(client: Client<'a>, dialect: &'static dyn Dialect) -> Self {
        Self { client, dialect }
    }

    pub(super) fn client(&self) -> &Client<'a> {
        &self.client
    }

    /// Asks who the forge and the account are. Wrong addresses and credentials end here.
    pub(super) async fn greet(&self, connection: &Connection) -> Result<Greeting> {
        if connection.auth != Auth::Bearer {
            return Err(connection.refuse(format!(
                "{} is read with a token of its own; write auth = \"bearer\"",
                self.dialect.name()
            )));
        }
        let mut notes = Vec::new();
        let asked = self
            .page::<Value>(Ask::Account, Patience::Greeting)
            .await
            .map_err(|error| self.explain(connection, error));
        let (account, date) = match asked {
            Ok(page) => {
                let names = ["login", "username", "name"];
                let name = names.iter().find_map(|name| text(at(&page.body, name)));
                (name.unwrap_or_default(), page.date)
            }
            // The token of an installed app has no account; it may read all the same.
            Err(Error::Refused { status: 403, .. }) => ("an app".to_string(), None),
            Err(error) => return Err(error),
        };
        let source_time = date.unwrap_or_else(|| {
            notes.push(note(
                "the forge does not tell its clock; this machine's is taken",
            ));
            Utc::now().trunc_subsecs(0)
        });
        Ok(Greeting {
            account,
            version: self.version().await?,
            source_time,
            time_zone: zone(connection)?,
            notes,
        })
    }

    async fn version(&self) -> Result<String> {
        if self.dialect.address(Ask::Version).is_none() {
            return Ok("REST".to_string());
        }
        match self.one(Ask::Version).await {
            Ok(version) => {
                let version: Value = serde_json::from_str(version.get()).unwrap_or_default();
                Ok(text(at(&version, "version")).unwrap_or_default())
            }
            Err(error) => absent(error).map(|_| "unknown".to_string()),
        }
    }

    /// An answer of somebody else means that the address is wrong.
    fn explain(&self, connection: &Connection, error: Error) -> Error {
        match error {
            Error::NotJira {
                call,
                status,
                excerpt,
            } => connection.refuse(format!(
                "{call} was not answered by {} but with {status} '{excerpt}'; check the connection's url, {}",
                self.dialect.name(),
                self.dialect.url_hint()
            )),
            error => error,
        }
    }

    /// The repositories that the settings name, or all that the account is a member of.
    pub(super) async fn repositories(&self, connection: &Connection) -> Result<FoundRepositories> {
        let mut found = FoundRepositories::default();
        if connection.projects.is_empty() {
            let most = MOST_REPOSITORIES / 100 + 1;
            for payload in self.all(Ask::Repositories, most).await? {
                found.records.push(repository(payload.get()));
            }
            if found.records.len() > MOST_REPOSITORIES {
                return Err(connection.refuse(format!(
                    "the account is a member of more than {MOST_REPOSITORIES} repositories; name those to read in projects"
                )));
            }
            return Ok(found);
        }
        for name in &connection.projects {
            if !self.dialect.is_repository_name(name) {
                return Err(connection.refuse(format!(
                    "'{name}' in projects is not the name of a repository; write it like owner/name"
                )));
            }
            match self.repository(name).await? {
                Offered::Yes(payload) => found.records.push(repository(payload.get())),
                Offered::No(_) => found.missing.push(name.clone()),
            }
        }
        let mut seen = std::collections::HashSet::new();
        found
            .records
            .retain(|record| seen.insert(record.key.clone()));
        Ok(found)
    }

    /// One repository; a forge leads on from a name that it had before.
    async fn repository(&self, name: &str) -> Result<Offered<Payload>> {
        let answer = match self.one(Ask::Repository(name)).await {
            Err(Error::Redirected { call, location }) => {
                let base = Url::parse(&call.url).ok();
                let moved = base.and_then(|base| base.join(&location).ok());
                let moved = moved.ok_or(Error::Redirected { call, location })?;
                self.client.follow(&moved).await.map(|page| page.body)
            }
            answer => answer,
        };
        offered(answer)
    }

    /// The first page of a listing, newest first.
    pub(super) async fn listing(
        &self,
        stream: &'static str,
        repository: &Repository,
        since: Option<DateTime<Utc>>,
    ) -> Result<Offered<ListPage>> {
        let ask = Ask::Listing(stream, repository, since);
        let page = offered(self.page(ask, Patience::Patient).await)?;
        Ok(match page {
            Offered::Yes(page) => Offered::Yes(self.listed(stream, page)),
            Offered::No(reason) => Offered::No(reason),
        })
    }

    /// A further page of a listing.
    pub(super) async fn further(
        &self,
        stream: &'static str,
        url: &Url,
        seen: &mut Tokens,
    ) -> Result<ListPage> {
        let page = self.next(url, seen).await?;
        Ok(self.listed(stream, page))
    }

    fn listed(&self, stream: &'static str, page: Page<Vec<Payload>>) -> ListPage {
        let (mut listed, mut nameless) = (Vec::new(), Vec::new());
        for payload in page.body {
            let payload = payload.get().to_string();
            let record: Value = serde_json::from_str(&payload).unwrap_or_default();
            // Records that are not numbered within their repository go by their id.
            let number = id(at(&record, self.dialect.number()));
            let instant = at(&record, self.dialect.listed_by(stream));
            match id(at(&record, "id")) {
                Some(own) if number.is_some() || !self.dialect.is_listed_in_part(stream) => {
                    listed.push(Listed {
                        id: own,
                        number: number.unwrap_or(own),
                        at: time::instant(instant).ok().flatten(),
                        payload,
                    });
                }
                _ => nameless.push(Received::new(Received::fallback_key(&payload), payload)),
            }
        }
        let mut seen = std::collections::HashSet::new();
        listed.retain(|one| seen.insert(one.id));
        ListPage {
            listed,
            nameless,
            next: page.next,
        }
    }

    /// A record with all its parts; nothing when it is gone in between.
    pub(super) async fn whole(
        &self,
        stream: &'static str,
        repository: &Repository,
        listed: &Listed,
    ) -> Result<Vec<Received>> {
        let payload = match self.dialect.is_listed_in_part(stream) {
            false => listed.payload.clone(),
            true => {
                let ask = Ask::Record(stream, repository, listed.number, listed.id);
                match offered(self.one(ask).await)? {
                    Offered::Yes(payload) => payload.get().to_string(),
                    Offered::No(_) => return Ok(Vec::new()),
                }
            }
        };
        let key = format!("{}/{}", repository.id, listed.id);
        let mut records = vec![Received {
            source_updated: listed.at,
            ..Received::new(key.clone(), payload)
        }];
        for part in self.dialect.parts(stream) {
            let ask = Ask::Part(part.name, repository, listed.number, listed.id);
            let list = self.all(ask, part.pages).await?;
            let list = serde_json::to_string(&list).unwrap_or_else(|_| "[]".to_string());
            records.push(Received::new(format!("{key}/{}", part.name), list));
        }
        Ok(records)
    }

    /// Several records with all their parts.
    pub(super) async fn wholes(
        &self,
        stream: &'static str,
        repository: &Repository,
        listed: &[Listed],
    ) -> Result<Vec<Vec<Received>>> {
        let in_flight = self.client.limits().in_flight.max(1);
        let asks: Vec<BoxFuture<'_, Result<Vec<Received>>>> = listed
            .iter()
            .map(|one| {
                Box::pin(self.whole(stream, repository, one))
                    as BoxFuture<'_, Result<Vec<Received>>>
            })
            .collect();
        futures::stream::iter(asks)
            .buffered(in_flight)
            .try_collect()
            .await
    }

    /// A deployment that is known by its id only.
    pub(super) async fn deployment(
        &self,
        repository: &Repository,
        deployment_id: i64,
    ) -> Result<Vec<Received>> {
        let ask = Ask::Record(super::DEPLOYMENTS, repository, deployment_id, deployment_id);
        let payload = match offered(self.one(ask).await)? {
            Offered::Yes(payload) => payload.get().to_string(),
            Offered::No(_) => return Ok(Vec::new()),
        };
        let listed = Listed {
            id: deployment_id,
            number: deployment_id,
            at: None,
            payload,
        };
        self.whole(super::DEPLOYMENTS, repository, &listed).await
    }

    /// The newest commit of the default branch; none of an empty repository.
    pub(super) async fn head(&self, repository: &Repository) -> Result<Offered<Option<String>>> {
        let Some(branch) = &repository.default_branch else {
            return Ok(Offered::Yes(None));
        };
        let page = self
            .page::<Vec<Value>>(Ask::Head(repository, branch), Patience::Patient)
            .await;
        let first = match page {
            Ok(page) => page.body.into_iter().next(),
            // No such branch, or nothing in the repository yet.
            Err(Error::Refused {
                status: 404 | 409, ..
            }) => None,
            Err(error) => return absent(error).map(Offered::No),
        };
        let sha = first.as_ref().and_then(commit_sha);
        Ok(Offered::Yes(sha))
    }

    /// A page of the commits that a commit can reach.
    pub(super) async fn reachable(
        &self,
        repository: &Repository,
        sha: &str,
        page: u64,
    ) -> Result<Offered<CommitPage>> {
        let ask = Ask::Reachable(repository, sha, page);
        let page = offered(self.page(ask, Patience::Patient).await)?;
        Ok(match page {
            Offered::Yes(page) => Offered::Yes(commits(repository, page)),
            Offered::No(reason) => Offered::No(reason),
        })
    }

    /// All commits that the second commit can reach and the first can't.
    pub(super) async fn between(
        &self,
        repository: &Repository,
        from: &str,
        to: &str,
    ) -> Result<Offered<CommitPage>> {
        let ask = Ask::Between(repository, from, to);
        let page = match self.dialect.comparison() {
            PageShape::List => self.page(ask, Patience::Patient).await,
            PageShape::Comparison => self.page(ask, Patience::Patient).await.map(listed_commits),
        };
        Ok(match offered(page)? {
            Offered::Yes(page) => Offered::Yes(commits(repository, page)),
            Offered::No(reason) => Offered::No(reason),
        })
    }

    /// A further page of [`Api::between`].
    pub(super) async fn further_between(
        &self,
        repository: &Repository,
        url: &Url,
        seen: &mut Tokens,
    ) -> Result<CommitPage> {
        let page = match self.dialect.comparison() {
            PageShape::List => self.next(url, seen).await?,
            PageShape::Comparison => listed_commits(self.next(url, seen).await?),
        };
        Ok(commits(repository, page))
    }

    async fn one(&self, ask: Ask<'_>) -> Result<Payload> {
        Ok(self.page(ask, Patience::Patient).await?.body)
    }

    async fn page<T: serde::de::DeserializeOwned>(
        &self,
        ask: Ask<'_>,
        patience: Patience,
    ) -> Result<Page<T>> {
        let (path, query) = self.dialect.address(ask).unwrap_or_default();
        self.client.page(&path, &query, patience).await
    }

    async fn next<T: serde::de::DeserializeOwned>(
        &self,
        url: &Url,
        seen: &mut Tokens,
    ) -> Result<Page<T>> {
        if !seen.is_new(url.as_str()) {
            let mut shown = url.clone();
            shown.set_query(None);
            return Err(Error::RepeatedPage {
                call: Box::new(crate::Call {
                    method: "GET",
                    url: shown.into(),
                }),
            });
        }
        self.client.follow(url).await
    }

    /// All pages of a list, up to a number of them.
    async fn all(&self, ask: Ask<'_>, pages: usize) -> Result<Vec<Payload>> {
        let first = self.page::<Vec<Payload>>(ask, Patience::Patient).await;
        let mut page = match first {
            Ok(page) => page,
            // A part that is not offered is an empty one; the record itself stands.
            Err(error) if matches!(ask, Ask::Part(..)) => {
                absent(error)?;
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let (mut list, mut seen) = (page.body, Tokens::default());
        for _ in 1..pages {
            let Some(next) = page.next.take() else { break };
            page = self.next(&next, &mut seen).await?;
            list.append(&mut page.body);
        }
        Ok(list)
    }
}

fn listed_commits(page: Page<Comparison>) -> Page<Vec<Payload>> {
    Page {
        body: page.body.commits,
        next: page.next,
        date: page.date,
    }
}

fn commits(repository: &Repository, page: Page<Vec<Payload>>) -> CommitPage {
    let commits = page.body.iter().map(|payload| {
        let record: Value = serde_json::from_str(payload.get()).unwrap_or_default();
        let own = commit_sha(&record);
        let own = own.unwrap_or_else(|| Received::fallback_key(payload.get()));
        Received::new(format!("{}/{own}", repository.id), payload.get())
    });
    CommitPage {
        commits: commits.collect(),
        next: page.next,
    }
}

fn commit_sha(record: &Value) -> Option<String> {
    let named = ["sha", "id"].iter().find_map(|name| text(at(record, name)));
    named.filter(|sha| is_sha(sha))
}

fn repository(payload: &str) -> Received {
    let record: Value = serde_json::from_str(payload).unwrap_or_default();
    let own = id(at(&record, "id")).map(|own| own.to_string());
    Received::new(
        own.unwrap_or_else(|| Received::fallback_key(payload)),
        payload,
    )
}

fn offered<T>(answer: Result<T>) -> Result<Offered<T>> {
    match answer {
        Ok(answer) => Ok(Offered::Yes(answer)),
        Err(error) => absent(error).map(Offered::No),
    }
}

/// Why something is not there for this account; an error that says something else stays one.
fn absent(error: Error) -> Result<String> {
    match error {
        Error::Refused {
            status: status @ (403 | 404 | 409 | 410 | 422 | 451),
            message,
            ..
        } => Ok(format!("{status} {message}")),
        error => Err(error),
    }
}

fn note(text: &str) -> Note {
    Note {
        stream: REPOSITORIES,
        text: text.to_string(),
    }
}

/// The zone that the settings name; forges count in UTC.
fn zone(connection: &Connection) -> Result<String> {
    match connection.time_zone.trim() {
        "" => Ok("UTC".to_string()),
        wanted => match wanted.parse::<chrono_tz::Tz>() {
            Ok(zone) => Ok(zone.name().to_string()),
            Err(_) => Err(connection.refuse(format!(
                "time_zone '{wanted}' is not an IANA time zone; write it like Europe/Berlin"
            ))),
        },
    }
}
