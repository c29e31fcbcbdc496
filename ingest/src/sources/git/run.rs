//! One sync of a forge, in order: greet, repositories, then pull requests, commits and deployments of
//! each of them.

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use warehouse::{Source, fault};

use super::api::{Api, Repository};
use super::discover::missing;
use super::selection::Selection;
use super::steps::Begun;
use super::write::{self, Writer};
use super::{
    COMMITS, DEPLOYMENTS, Dialect, Job, PULL_REQUESTS, REPOSITORIES, filter, replay, table,
};
use crate::http::Client;
use crate::land::Landing;
use crate::{Event, Note, Result, SyncReport};

/// A sync that is under way.
pub(super) struct Run<'a> {
    pub(super) job: Job<'a>,
    pub(super) dialect: &'static dyn Dialect,
    pub(super) api: Api<'a>,
    pub(super) landing: Landing<'a>,
    pub(super) writer: Writer<'a>,
    /// The forge's clock when the run began.
    pub(super) source_time: DateTime<Utc>,
    pub(super) notes: Vec<Note>,
}

/// Reads what is new of a forge.
pub(super) async fn sync(dialect: &'static dyn Dialect, job: Job<'_>) -> Result<SyncReport> {
    let (connection, warehouse) = (job.connection, job.warehouse);
    let selection = Selection::of(connection, &job.options.streams)?;
    let client = Client::connect(connection, job.options.limits, job.progress).await?;
    let api = Api::new(client, dialect);
    let greeting = api.greet(connection).await?;
    job.progress.event(&Event::Connected {
        url: connection.url.clone(),
        site: format!("{} {}", dialect.name(), greeting.version),
    });
    let chosen = [
        selection.pull_requests,
        selection.commits,
        selection.deployments,
    ];
    let steps = 1 + chosen.iter().filter(|chosen| **chosen).count();
    job.progress.event(&Event::Planned { steps });
    if replay::is_open(warehouse, &connection.name).await? {
        tracing::warn!(
            connection = connection.name,
            "a replay was interrupted; it is finished first"
        );
        Box::pin(replay::replay(dialect, job)).await?;
    }
    let mut run = Run {
        job,
        dialect,
        api,
        landing: Landing::open(warehouse, &connection.name, job.run_id, true).await?,
        writer: Writer::new(dialect, warehouse, &connection.name, job.run_id),
        source_time: greeting.source_time,
        notes: greeting.notes,
    };
    let begun = run.begin(REPOSITORIES);
    let outcome = Box::pin(run.repositories()).await;
    let (outcome, repositories) = match outcome {
        Ok(repositories) => (Ok(()), repositories),
        Err(error) => (Err(error), Vec::new()),
    };
    run.end(begun, outcome).await?;
    for (stream, wanted) in [
        (PULL_REQUESTS, selection.pull_requests),
        (COMMITS, selection.commits),
        (DEPLOYMENTS, selection.deployments),
    ] {
        if wanted {
            let begun = run.begin(stream);
            let outcome = run.read(stream, &repositories).await;
            run.end(begun, outcome).await?;
        }
    }
    if selection.is_complete() {
        let source = Source {
            connection: connection.name.clone(),
            kind: connection.kind.clone(),
            url: connection.url.clone(),
            time_zone: greeting.time_zone.clone(),
            source_time: greeting.source_time,
            synced_at: Utc::now(),
        };
        warehouse.meta().set_source(&source).await?;
    }
    let counters = run.api.client().counters();
    Ok(SyncReport {
        connection: connection.name.clone(),
        run_id: job.run_id.to_string(),
        streams: run.writer.reports.in_order(),
        notes: run.notes,
        dropped: None,
        source_time: Some(greeting.source_time),
        time_zone: Some(greeting.time_zone),
        requests: counters.requests,
        retries: counters.retries,
        bytes: counters.bytes,
    })
}

impl Run<'_> {
    fn begin(&self, stream: &'static str) -> Begun {
        self.job.progress.event(&Event::Started { stream });
        Begun {
            stream,
            started_at: Utc::now(),
            spent: self.api.client().counters(),
            done: self.writer.reports.sums(),
        }
    }

    /// Records how a step went; passes its error on.
    async fn end(&mut self, begun: Begun, outcome: Result<()>) -> Result<()> {
        let spent = self.api.client().counters();
        let done = self.writer.reports.sums();
        let step = begun.ended(&self.job.connection.name, spent, done, &outcome);
        let meta = self.job.warehouse.meta();
        meta.record_step(self.job.run_id, &step).await?;
        outcome?;
        let report = self.writer.reports.of(begun.stream);
        self.job.progress.event(&Event::Finished {
            stream: begun.stream,
            records: report.read,
            changed: report.changed(),
        });
        self.job.progress.event(&Event::Passed);
        Ok(())
    }

    /// Reads the listing of repositories and makes its table equal to it.
    async fn repositories(&mut self) -> Result<Vec<Repository>> {
        let connection = self.job.connection;
        let found = self.api.repositories(connection).await?;
        for name in &found.missing {
            self.check_known(name).await?;
            self.notes.push(missing(name));
        }
        let (dialect, name) = (self.dialect, connection.name.as_str());
        let rows = |records: &[_]| write::repository_rows(dialect, name, records);
        let landing = &mut self.landing;
        let last = landing.last_listing(REPOSITORIES).await?;
        let before = last.as_ref().map(|last| last.received_at);
        // Most of what a repository says of itself (stars, size, last push) is in no table.
        let same = last.filter(|last| rows(&last.records) == rows(&found.records));
        let received_at = match same {
            Some(last) => last.received_at,
            None => {
                landing
                    .land_listing(REPOSITORIES, &found.records, before)
                    .await?
            }
        };
        fault::point("ingest.git.listed")?;
        self.writer
            .repositories(landing, &found.records, received_at)
            .await
    }

    /// A name in the settings for which there never was a repository is a mistake; one that was read
    /// before is a repository that is gone.
    async fn check_known(&self, name: &str) -> Result<()> {
        let connection = self.job.connection;
        let quoted = name.replace('\'', "''");
        let filter = format!(
            "{} and lower(full_name) = lower('{quoted}')",
            filter::of(&connection.name)
        );
        let tables = self.job.warehouse.tables();
        let known = tables.rows(&table(REPOSITORIES), Some(&filter)).await?;
        match known.is_empty() {
            false => Ok(()),
            true => Err(connection.refuse(format!(
                "the account does not see a repository '{name}'; correct projects, or give the account access"
            ))),
        }
    }

    /// Reads a stream of every repository.
    fn read<'s>(
        &'s mut self,
        stream: &'static str,
        repositories: &'s [Repository],
    ) -> BoxFuture<'s, Result<()>> {
        Box::pin(async move {
            for repository in repositories {
                match stream {
                    COMMITS => Box::pin(self.commits(repository)).await?,
                    stream => Box::pin(self.newest_first(stream, repository)).await?,
                }
                let records = self.writer.reports.of(stream).read;
                self.job
                    .progress
                    .event(&Event::Committed { stream, records });
            }
            Ok(())
        })
    }

    /// Notes that a repository does not show a stream to this account.
    pub(super) fn not_offered(
        &mut self,
        stream: &'static str,
        repository: &Repository,
        reason: &str,
    ) {
        self.notes.push(Note {
            stream,
            text: format!(
                "{} shows no {stream} to this account: {reason}",
                repository.full_name
            ),
        });
    }
}
