//! Commits of the default branch, by what its newest commit can reach. Their instants say nothing: a
//! merge brings in commits that are older than what was read before.
//!
//! A first load walks from one commit, whose history never changes, so that it goes on at the page where
//! it was killed. Later runs ask for what the new head can reach and the old one can't.

use warehouse::fault;

use super::COMMITS;
use super::api::{Offered, Repository};
use super::marks::Marks;
use super::run::Run;
use crate::http::Tokens;
use crate::land::Received;
use crate::{Note, Result};

/// Commit whose whole history is stored.
const HEAD: &str = "head";
/// Commit of a first load that is under way, and its next page.
const WALK: &str = "walk";
const WALK_PAGE: &str = "walk_page";

impl Run<'_> {
    /// Reads the new commits of a repository's default branch.
    pub(super) async fn commits(&mut self, repository: &Repository) -> Result<()> {
        let head = match self.api.head(repository).await? {
            Offered::Yes(Some(head)) => head,
            Offered::Yes(None) => return Ok(()),
            Offered::No(reason) => {
                self.not_offered(COMMITS, repository, &reason);
                return Ok(());
            }
        };
        let name = &self.job.connection.name;
        let marks = Marks::of(self.job.warehouse, name, COMMITS, repository.id);
        let full = self.job.options.full;
        let mut known = marks.sha(HEAD).await?.filter(|_| !full);
        if known.is_none() {
            known = self.walk(repository, &marks, &head).await?;
        }
        match known {
            Some(known) if known != head => self.follow(repository, &marks, &known, &head).await,
            _ => Ok(()),
        }
    }

    /// The first load; returns the commit whose whole history is stored then.
    async fn walk(
        &mut self,
        repository: &Repository,
        marks: &Marks<'_>,
        head: &str,
    ) -> Result<Option<String>> {
        let begun = marks.sha(WALK).await?.filter(|_| !self.job.options.full);
        let mut page = match begun {
            Some(_) => marks.get(WALK_PAGE).await?.unwrap_or(1).max(1),
            None => 1,
        };
        let mut from = begun.unwrap_or_else(|| head.to_string());
        let mut waiting = Vec::new();
        loop {
            let number = page.unsigned_abs();
            let found = match self.api.reachable(repository, &from, number).await? {
                Offered::Yes(found) => found,
                // The commit of a walk that was begun is gone: begin with the present one.
                Offered::No(_) if from != head => {
                    (from, page) = (head.to_string(), 1);
                    continue;
                }
                Offered::No(reason) => {
                    self.not_offered(COMMITS, repository, &reason);
                    return Ok(None);
                }
            };
            waiting.extend(found.commits);
            page += 1;
            let is_last = found.next.is_none();
            if is_last || waiting.len() >= self.job.options.batch_issues {
                let marked = if is_last {
                    done(marks, &from)
                } else {
                    under_way(marks, &from, page)
                };
                self.put_commits(&std::mem::take(&mut waiting), marked)
                    .await?;
            }
            if is_last {
                return Ok(Some(from));
            }
        }
    }

    /// What the new head can reach and the known commit can't.
    async fn follow(
        &mut self,
        repository: &Repository,
        marks: &Marks<'_>,
        known: &str,
        head: &str,
    ) -> Result<()> {
        let mut page = match self.api.between(repository, known, head).await? {
            Offered::Yes(page) => page,
            Offered::No(_) => {
                // A rewritten branch may have lost the known commit.
                self.notes.push(Note {
                    stream: COMMITS,
                    text: format!(
                        "{}: the commit that was read last is gone; the branch is read again",
                        repository.full_name
                    ),
                });
                self.walk(repository, marks, head).await?;
                return Ok(());
            }
        };
        let (mut waiting, mut seen) = (Vec::new(), Tokens::default());
        loop {
            waiting.append(&mut page.commits);
            let next = page.next.take();
            if next.is_none() || waiting.len() >= self.job.options.batch_issues {
                let marked = match next {
                    None => done(marks, head),
                    Some(_) => Vec::new(),
                };
                self.put_commits(&std::mem::take(&mut waiting), marked)
                    .await?;
            }
            match next {
                Some(next) => {
                    page = self
                        .api
                        .further_between(repository, &next, &mut seen)
                        .await?;
                }
                None => return Ok(()),
            }
        }
    }

    /// Lands and writes commits, with the cursor.
    async fn put_commits(&mut self, records: &[Received], marks: Vec<(String, i64)>) -> Result<()> {
        if !records.is_empty() {
            self.landing.land(COMMITS, records).await?;
            fault::point("ingest.git.landed")?;
        }
        let landing = &mut self.landing;
        Box::pin(self.writer.commits(landing, records, marks)).await
    }
}

fn done(marks: &Marks<'_>, head: &str) -> Vec<(String, i64)> {
    let mut marked = marks.set_sha(HEAD, Some(head));
    marked.extend(marks.set_sha(WALK, None));
    marked.push(marks.set(WALK_PAGE, None));
    marked
}

fn under_way(marks: &Marks<'_>, from: &str, page: i64) -> Vec<(String, i64)> {
    let mut marked = marks.set_sha(WALK, Some(from));
    marked.push(marks.set(WALK_PAGE, Some(page)));
    marked
}
