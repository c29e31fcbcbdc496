//! What one forge says differently from another.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::api::Repository;
use super::record::{Mapped, Refusal};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask<'a> {
    /// The account of the token.
    Account,
    /// The forge's version, where it has one.
    Version,
    /// All repositories that the account is a member of.
    Repositories,
    /// One repository by its name with owner.
    Repository(&'a str),
    /// Records of a stream, newest first, those that changed before an instant left out where that can
    /// be asked.
    Listing(&'static str, &'a Repository, Option<DateTime<Utc>>),
    /// One record of a stream: its number within the repository, its id.
    Record(&'static str, &'a Repository, i64, i64),
    /// A part of a record.
    Part(&'static str, &'a Repository, i64, i64),
    /// The newest commit of a branch.
    Head(&'a Repository, &'a str),
    /// A page of the commits that a commit can reach, itself first.
    Reachable(&'a Repository, &'a str, u64),
    /// The commits that the second commit can reach and the first can't.
    Between(&'a Repository, &'a str, &'a str),
}

/// Path relative to the forge's address, and query.
pub(crate) type Address = (String, Vec<(&'static str, String)>);

/// How a page of commits holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageShape {
    /// The page is a list.
    List,
    /// The list is the part `commits` of an object.
    Comparison,
}

/// A list that belongs to a record and has requests of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its name; the raw zone keeps it under `repository/record/name`.
    pub(crate) name: &'static str,
    /// Most pages that are read of it.
    pub(crate) pages: usize,
}

/// A record with its parts, as landed.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) repository_id: i64,
    pub(crate) record: Value,
    pub(crate) parts: Vec<(String, Value)>,
}

impl Whole {
    /// The entries of a part; none when it was not landed.
    pub(crate) fn part(&self, name: &str) -> &[Value] {
        let part = self.parts.iter().find(|(of, _)| of == name);
        part.and_then(|(_, list)| list.as_array())
            .map_or(&[], Vec::as_slice)
    }
}

/// What one forge says differently from another. The mapping is pure: the same record gives the same row.
pub(crate) trait Dialect: Sync {
    /// Name of the forge, for people.
    fn name(&self) -> &'static str;

    /// What to write as the connection's url.
    fn url_hint(&self) -> &'static str;

    /// Where to ask; none where the forge has nothing of the kind.
    fn address(&self, ask: Ask<'_>) -> Option<Address>;

    /// How a page of [`Ask::Between`] holds commits.
    fn comparison(&self) -> PageShape;

    /// Whether a name of the settings can be that of a repository.
    fn is_repository_name(&self, name: &str) -> bool;

    /// Name of a record's number within its repository.
    fn number(&self) -> &'static str;

    /// The instant by which a stream is listed.
    fn listed_by(&self, stream: &'static str) -> &'static str;

    /// Whether a listing lacks what the record itself tells.
    fn is_listed_in_part(&self, stream: &'static str) -> bool;

    /// The parts of a stream's records.
    fn parts(&self, stream: &'static str) -> &'static [Part];

    /// Whether a deployment that has not ended must be asked for by id, because its listing does not
    /// tell that it has changed.
    fn asks_open_deployments_again(&self) -> bool;

    /// Whether the commits of a pull request come newest first.
    fn lists_commits_backwards(&self) -> bool;

    /// Fills a row of `git.repositories`.
    fn repository(&self, row: &mut Mapped, record: &Value) -> Result<(), Refusal>;

    /// Fills a row of `git.pull_requests`.
    fn pull_request(&self, row: &mut Mapped, whole: &Whole) -> Result<(), Refusal>;

    /// Fills a row of `git.commits`.
    fn commit(&self, row: &mut Mapped, record: &Value) -> Result<(), Refusal>;

    /// Fills a row of `git.deployments`.
    fn deployment(&self, row: &mut Mapped, whole: &Whole) -> Result<(), Refusal>;
}
