//! Listings that are read newest first, until what was read before.
//!
//! While pages are read, a record that changes moves to the front; what stood before it is shown once
//! more, and the record itself is newer than everything seen, so that the next run finds it. Nothing
//! moves the other way.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use schemas::Row;
use warehouse::fault;

use super::api::{ListPage, Listed, Offered, Repository};
use super::marks::Marks;
use super::run::Run;
use super::{DEPLOYMENTS, PULL_REQUESTS, filter, table, time};
use crate::http::Tokens;
use crate::land::Received;
use crate::{Event, Result};

/// Largest `updated_at` that a listing has shown of committed records, in milliseconds.
const HIGH_WATER: &str = "high_water_ms";
/// The forge's clock at the start of the run that committed last: what changed since then is fetched again
/// even if it looks known, because instants of forges are seconds.
const SETTLED: &str = "settled_ms";
/// Coarseness of the instants of a forge.
const COARSE: TimeDelta = TimeDelta::seconds(2);
/// How long a deployment that doesn't end is asked for again.
const OPEN_FOR: TimeDelta = TimeDelta::days(30);

impl Run<'_> {
    /// Reads what is new of a stream of a repository.
    pub(super) async fn newest_first(
        &mut self,
        stream: &'static str,
        repository: &Repository,
    ) -> Result<()> {
        let (warehouse, name) = (self.job.warehouse, &self.job.connection.name);
        let full = self.job.options.full;
        let marks = Marks::of(warehouse, name, stream, repository.id);
        let high = marks.get(HIGH_WATER).await?.filter(|_| !full);
        let mut settled = marks.get(SETTLED).await?.filter(|_| !full);
        let look_back = TimeDelta::from_std(self.job.options.look_back).unwrap_or_default();
        let bound = high.map(|high| instant(high) - look_back);
        let mut page = match self.api.listing(stream, repository, bound).await? {
            Offered::Yes(page) => page,
            Offered::No(reason) => {
                self.not_offered(stream, repository, &reason);
                return Ok(());
            }
        };
        let now = self.source_time.timestamp_millis();
        if settled.is_none() && !full {
            // What is stored before the end of a first load counts as known from here on.
            let begun = vec![marks.set(SETTLED, Some(now))];
            self.writer.marked(stream, begun).await?;
            settled = Some(now);
        }
        let (mut reached, mut touched, mut seen) = (high, Vec::new(), Tokens::default());
        loop {
            let listed = page.listed.iter().filter_map(|one| one.at);
            let oldest = listed.clone().min();
            reached = reached.max(listed.max().map(|at| at.timestamp_millis()));
            let next = page.next.take();
            touched.extend(self.take(stream, repository, page, settled).await?);
            let is_past = bound.is_some_and(|bound| oldest.is_some_and(|oldest| oldest < bound));
            match next {
                Some(next) if !is_past => {
                    page = self.api.further(stream, &next, &mut seen).await?;
                }
                _ => break,
            }
        }
        if stream == DEPLOYMENTS && self.dialect.asks_open_deployments_again() {
            self.ask_again(repository, &touched).await?;
        }
        if !touched.is_empty() || high.is_none() {
            // A record of the future must not hide what happens until then.
            let reached = reached.unwrap_or_default().clamp(0, now.max(0));
            let done = vec![
                marks.set(HIGH_WATER, Some(reached)),
                marks.set(SETTLED, Some(now)),
            ];
            self.writer.marked(stream, done).await?;
        }
        Ok(())
    }

    /// Fetches, lands and writes what is not known of a page; returns the ids.
    async fn take(
        &mut self,
        stream: &'static str,
        repository: &Repository,
        page: ListPage,
        settled: Option<i64>,
    ) -> Result<Vec<i64>> {
        for record in &page.nameless {
            self.writer.reports.of(stream).quarantined += 1;
            let reason = "its id or number is missing";
            self.landing.quarantine(stream, record, reason).await?;
        }
        let unknown = self.unknown(stream, page.listed, settled).await?;
        for batch in unknown.chunks(self.job.options.batch_issues.max(1)) {
            let wholes = self.api.wholes(stream, repository, batch).await?;
            let gone = wholes.iter().filter(|whole| whole.is_empty()).count();
            self.writer.reports.of(stream).unseen += gone as u64;
            let records: Vec<Received> = wholes.into_iter().flatten().collect();
            self.put(stream, &records).await?;
        }
        Ok(unknown.iter().map(|one| one.id).collect())
    }

    /// Lands and writes records.
    async fn put(&mut self, stream: &'static str, records: &[Received]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.landing.land(stream, records).await?;
        fault::point("ingest.git.landed")?;
        let landing = &mut self.landing;
        match stream {
            PULL_REQUESTS => Box::pin(self.writer.pull_requests(landing, records)).await?,
            _ => Box::pin(self.writer.deployments(landing, records)).await?,
        }
        let records = self.writer.reports.of(stream).read;
        self.job
            .progress
            .event(&Event::Committed { stream, records });
        Ok(())
    }

    /// The records whose stored state is not the one that the listing tells, or not for certain.
    async fn unknown(
        &mut self,
        stream: &'static str,
        listed: Vec<Listed>,
        settled: Option<i64>,
    ) -> Result<Vec<Listed>> {
        let by = self.dialect.listed_by(stream);
        let own = match stream {
            PULL_REQUESTS => "pull_request_id",
            _ => "deployment_id",
        };
        let ids: Vec<i64> = listed.iter().map(|one| one.id).collect();
        let name = &self.job.connection.name;
        let Some(filter) = filter::among(name, &[own], &ids) else {
            return Ok(Vec::new());
        };
        let tables = self.job.warehouse.tables();
        let stored = tables.columns(&table(stream), &[own, by], &filter).await?;
        let stored: HashMap<i64, DateTime<Utc>> = stored
            .iter()
            .filter_map(|row| Some((row.get(own)?.as_i64()?, instant_of(row, by)?)))
            .collect();
        let certain = settled.map(|settled| instant(settled) - COARSE);
        let is_known = |one: &Listed| {
            one.at.is_some_and(|at| {
                stored.get(&one.id) == Some(&at) && certain.is_some_and(|certain| at < certain)
            })
        };
        let (known, unknown): (Vec<_>, Vec<_>) = listed.into_iter().partition(is_known);
        let report = self.writer.reports.of(stream);
        report.read += known.len() as u64;
        report.unchanged += known.len() as u64;
        Ok(unknown)
    }

    /// Asks again for the deployments that have not ended; lands those that have moved on.
    async fn ask_again(&mut self, repository: &Repository, fetched: &[i64]) -> Result<()> {
        let since = (self.source_time - OPEN_FOR).to_rfc3339_opts(SecondsFormat::Secs, true);
        let filter = format!(
            "{} and repository_id = {} and status in ('pending', 'running') and created_at >= '{since}'",
            filter::live(&self.job.connection.name),
            repository.id
        );
        let tables = self.job.warehouse.tables();
        let open = tables.rows(&table(DEPLOYMENTS), Some(&filter)).await?;
        let mut moved = Vec::new();
        for row in open {
            let Some(own) = row.get("deployment_id").and_then(serde_json::Value::as_i64) else {
                continue;
            };
            if fetched.contains(&own) {
                continue;
            }
            let records = self.api.deployment(repository, own).await?;
            if self.writer.says_otherwise(&records, &row) {
                moved.extend(records);
            }
        }
        self.put(DEPLOYMENTS, &moved).await
    }
}

fn instant(milliseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(milliseconds).unwrap_or_default()
}

fn instant_of(row: &Row, column: &str) -> Option<DateTime<Utc>> {
    time::instant(row.get(column)?).ok()?
}
