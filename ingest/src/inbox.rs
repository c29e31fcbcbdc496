//! Working off the inbox: what sources' events tell of is read and committed, then the events are
//! done. Killed anywhere, the same events are pending again, and come to the same tables.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures::future::{BoxFuture, FutureExt, join_all};
use tokio::sync::watch;
use tokio::time::Instant;
use warehouse::meta::{FinishedEvent, InboxEvent};
use warehouse::{Step, Warehouse, fault};

use crate::land::{Landing, Received};
use crate::sources::{Job, connector};
use crate::sync::lease_name;
use crate::{Connection, Error, Progress, Result, StreamReport, SyncOptions};

/// Stream of the raw zone that holds events as received.
const WEBHOOKS: &str = "webhooks";
/// Breath after a batch, in which somebody else may take the lease.
const BREATH: Duration = Duration::from_millis(150);
/// When to look again for what must come first, such as a first load.
const NOT_YET: Duration = Duration::from_secs(2);
/// Longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long the batch under way may take when work is to stop.
const LAST_BATCH: Duration = Duration::from_secs(30);
/// How long the identifiers of events that were worked off are known.
const KNOWN: TimeDelta = TimeDelta::hours(24);
/// How often those that are older are forgotten.
const FORGETTING: Duration = Duration::from_secs(600);
/// Most refused events of a connection that are kept, to be read by a later version.
const REFUSED: u32 = 1000;
/// Most bytes of a refused event that the quarantine shows; the inbox has it whole.
const EXCERPT: usize = 64 << 10;
/// How often an event that fails by itself is tried.
const TRIES: u32 = 3;
/// A listing is read again at the earliest after so many times the time that it took.
const SPACING: u32 = 10;

/// How events are worked off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkOptions {
    /// Most events of one batch.
    pub events: u32,
    /// Most bytes of one batch; one event is always taken.
    pub bytes: u64,
    /// How often to look for events that another process accepted.
    pub poll: Duration,
    /// When an event is tried again that the site doesn't show the change of yet; given up after the last.
    pub patience: Vec<Duration>,
    /// What may be used of the site, and how long to wait while somebody else writes the tables.
    pub sync: SyncOptions,
}

impl Default for WorkOptions {
    fn default() -> Self {
        Self {
            events: 1000,
            bytes: 32 << 20,
            poll: Duration::from_millis(500),
            patience: [1, 2, 5, 10, 30, 60].map(Duration::from_secs).to_vec(),
            sync: SyncOptions {
                wait: Duration::ZERO,
                ..SyncOptions::default()
            },
        }
    }
}

/// What was worked off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Worked {
    /// Events that are done.
    pub done: u64,
    /// Events that were refused; they are in quarantine.
    pub refused: u64,
    /// Events whose change the site doesn't show yet.
    pub late: u64,
    /// Rows that changed.
    pub changed: u64,
    /// What has to come first, if nothing could be done.
    pub waits_for: Option<String>,
}

/// A source that sends events.
pub(crate) trait Events: Sync {
    /// Raised when more bodies are understood, so that refused ones are read again.
    fn reader(&self) -> i64;

    /// What has to come before any event can be worked off.
    fn waits_for<'a>(
        &'a self,
        warehouse: &'a Warehouse,
        connection: &'a Connection,
    ) -> BoxFuture<'a, Result<Option<String>>>;

    /// Reads what events tell of. Everything is committed when it returns.
    fn react<'a>(
        &'a self,
        job: Job<'a>,
        patience: &'a [Duration],
        events: &'a [InboxEvent],
        paces: &'a mut Paces,
    ) -> BoxFuture<'a, Result<Reaction>>;
}

/// What came of a batch of events.
#[derive(Debug, Default)]
pub(crate) struct Reaction {
    /// One for each event, in order.
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) streams: Vec<StreamReport>,
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    pub(crate) bytes: u64,
}

/// What came of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done { kind: String, note: Option<String> },
    Late { pause: Duration, reason: String },
    Refused(Refusal),
}

/// Why an event is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Its kind, as far as it could be read.
    pub(crate) kind: Option<String>,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn of(reason: impl Into<String>) -> Self {
        Self {
            kind: None,
            reason: reason.into(),
        }
    }
}

/// When listings may be read again: large ones not for every event.
#[derive(Debug, Default)]
pub(crate) struct Paces(HashMap<&'static str, Instant>);

impl Paces {
    /// How long to wait before a listing is read; `None`: no longer.
    pub(crate) fn wait(&self, stream: &str) -> Option<Duration> {
        let left = self
            .0
            .get(stream)?
            .saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Notes how long reading a listing took.
    pub(crate) fn took(&mut self, stream: &'static str, time: Duration) {
        self.0.insert(stream, Instant::now() + time * SPACING);
    }
}

/// Works off what is due in the inbox of a connection, batch by batch, until nothing is.
pub fn work_off<'a>(
    warehouse: &'a Warehouse,
    connection: &'a Connection,
    options: &'a WorkOptions,
    progress: &'a dyn Progress,
) -> BoxFuture<'a, Result<Worked>> {
    Box::pin(async move {
        let mut worker = Worker::new(warehouse, connection, options, progress)?;
        let mut all = Worked::default();
        let outcome = loop {
            match worker.once().await {
                Ok(worked) if worked == Worked::default() => break Ok(all),
                Ok(worked) => {
                    all.add(worked);
                    if all.waits_for.is_some() {
                        break Ok(all);
                    }
                }
                Err(error) => break Err(error),
            }
        };
        worker.end(outcome.as_ref().err()).await?;
        outcome
    })
}

/// Works off the inboxes of connections that send events until it is told to stop; the batches under way are finished
/// then. Failures are logged and tried again.
pub fn work<'a>(
    warehouse: &'a Warehouse,
    connections: &'a [Connection],
    options: &'a WorkOptions,
    progress: &'a dyn Progress,
    until: impl Future<Output = ()> + Send + 'a,
) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let (tell, told) = watch::channel(false);
        let mut workers = Vec::new();
        for connection in connections {
            if connector(connection)?.events().is_none() {
                continue;
            }
            let worker = Worker::new(warehouse, connection, options, progress)?;
            workers.push(worker.keep(told.clone()).boxed());
        }
        // Without any, there is nothing to do but to be stopped.
        workers.push(stopped(told).boxed());
        let mut working = join_all(workers);
        let mut until = std::pin::pin!(until);
        tokio::select! {
            _ = &mut working => return Ok(()),
            () = &mut until => tell.send_replace(true),
        };
        if tokio::time::timeout(LAST_BATCH, working).await.is_err() {
            tracing::warn!("a batch of events was left unfinished; its events stay pending");
        }
        Ok(())
    })
}

async fn stopped(mut told: watch::Receiver<bool>) {
    drop(told.wait_for(|stop| *stop).await);
}

/// The run that the batches of a worker belong to.
struct Run {
    run_id: String,
    step: Step,
}

/// Works off the inbox of one connection.
struct Worker<'a> {
    warehouse: &'a Warehouse,
    connection: &'a Connection,
    options: &'a WorkOptions,
    progress: &'a dyn Progress,
    source: &'static dyn Events,
    run: Option<Run>,
    /// Most events of the next batch: fewer after one that failed by itself.
    batch: u32,
    failures: u32,
    paces: Paces,
    has_begun: bool,
    forgot_at: Option<Instant>,
}

impl<'a> Worker<'a> {
    fn new(
        warehouse: &'a Warehouse,
        connection: &'a Connection,
        options: &'a WorkOptions,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let source = connector(connection)?.events().ok_or_else(|| {
            connection.refuse(format!(
                "sources of kind '{}' send no events",
                connection.kind
            ))
        })?;
        Ok(Self {
            warehouse,
            connection,
            options,
            progress,
            source,
            run: None,
            batch: options.events.max(1),
            failures: 0,
            paces: Paces::default(),
            has_begun: false,
            forgot_at: None,
        })
    }

    async fn keep(mut self, mut told: watch::Receiver<bool>) {
        let mut failures: u32 = 0;
        let mut said = None;
        while !*told.borrow() {
            let outcome = self.once().await;
            failures = if outcome.is_ok() { 0 } else { failures + 1 };
            let name = &self.connection.name;
            let pause = match outcome {
                Ok(worked) if worked == Worked::default() => self.options.poll,
                Ok(Worked {
                    waits_for: Some(reason),
                    ..
                }) => {
                    if said.as_ref() != Some(&reason) {
                        tracing::warn!(connection = name, reason, "events wait");
                        said = Some(reason);
                    }
                    NOT_YET
                }
                Ok(worked) => {
                    said = None;
                    tracing::info!(connection = name, ?worked, "events were worked off");
                    BREATH
                }
                Err(error) => {
                    tracing::warn!(connection = name, %error, "events could not be worked off; trying again");
                    let longer = Duration::from_secs(1) * 2_u32.saturating_pow(failures.min(6) - 1);
                    longer.min(LONGEST_PAUSE)
                }
            };
            let rest = async {
                match failures == 0 && pause == self.options.poll {
                    true => self.warehouse.meta().event_arrived(pause).await,
                    false => tokio::time::sleep(pause).await,
                }
            };
            tokio::select! {
                _ = told.wait_for(|stop| *stop) => break,
                () = rest => {}
            }
        }
        if let Err(error) = self.end(None).await {
            tracing::warn!(%error, "the end of a run could not be recorded");
        }
    }

    /// Works off one batch, if there is one.
    async fn once(&mut self) -> Result<Worked> {
        let meta = self.warehouse.meta();
        let name = &self.connection.name;
        if !self.has_begun {
            meta.close_ended_runs(WEBHOOKS).await?;
            meta.reopen_events(name, self.source.reader()).await?;
            self.has_begun = true;
        }
        if self.forgot_at.is_none_or(|at| at.elapsed() > FORGETTING) {
            meta.forget_events(Utc::now() - KNOWN).await?;
            meta.trim_refused(name, WEBHOOKS, REFUSED).await?;
            self.forgot_at = Some(Instant::now());
        }
        if meta.due_events(name, 1, 0).await?.is_empty() {
            return Ok(Worked::default());
        }
        let waits = |reason| Worked {
            waits_for: Some(reason),
            ..Worked::default()
        };
        let wait = self.options.sync.wait;
        let lease = match meta.lease(&lease_name(name), "webhooks", wait).await {
            Err(error @ warehouse::Error::Held { .. }) => return Ok(waits(error.to_string())),
            lease => lease?,
        };
        let outcome = lease.hold(self.batch()).await;
        let released = lease.release().await;
        let worked = outcome?;
        released?;
        Ok(worked)
    }

    async fn batch(&mut self) -> Result<Worked> {
        let (warehouse, connection) = (self.warehouse, self.connection);
        if let Some(reason) = self.source.waits_for(warehouse, connection).await? {
            return Ok(Worked {
                waits_for: Some(reason),
                ..Worked::default()
            });
        }
        let meta = warehouse.meta();
        let begun = Utc::now();
        let events = meta
            .due_events(&connection.name, self.batch, self.options.bytes)
            .await?;
        fault::point("inbox.read")?;
        let run_id = self.run_id().await?;
        let mut landing = Landing::open(warehouse, &connection.name, &run_id, true).await?;
        let fresh: Vec<Received> = events
            .iter()
            .filter(|event| event.attempts == 0)
            .map(received)
            .collect();
        landing.land(WEBHOOKS, &fresh).await?;
        fault::point("inbox.landed")?;
        let job = Job {
            warehouse,
            connection,
            options: &self.options.sync,
            run_id: &run_id,
            progress: self.progress,
        };
        let patience = &self.options.patience;
        let react = self.source.react(job, patience, &events, &mut self.paces);
        let reaction = match react.await {
            Ok(reaction) => {
                self.failures = 0;
                self.batch = self.batch.saturating_mul(2).min(self.options.events.max(1));
                reaction
            }
            Err(error) => self.failed(error, &events)?,
        };
        fault::point("inbox.reacted")?;
        let worked = self.settle(&mut landing, &events, &reaction).await?;
        fault::point("inbox.settled")?;
        self.record(begun, &worked, &reaction).await?;
        Ok(worked)
    }

    /// A batch that fails by what was asked is tried in halves, until the event is found that makes it
    /// fail; that one is refused.
    fn failed(&mut self, error: Error, events: &[InboxEvent]) -> Result<Reaction> {
        let by_itself = match &error {
            Error::TooLarge { .. } | Error::BadPage { .. } => true,
            Error::Refused { status, .. } => ![401, 403].contains(status),
            _ => false,
        };
        if !by_itself {
            return Err(error);
        }
        if events.len() > 1 {
            self.batch = u32::try_from(events.len() / 2).unwrap_or(1).max(1);
            return Err(error);
        }
        self.failures += 1;
        if self.failures < TRIES {
            return Err(error);
        }
        self.failures = 0;
        Ok(Reaction {
            verdicts: vec![Verdict::Refused(Refusal::of(error.to_string()))],
            ..Reaction::default()
        })
    }

    /// Records what came of each event.
    async fn settle(
        &self,
        landing: &mut Landing<'_>,
        events: &[InboxEvent],
        reaction: &Reaction,
    ) -> Result<Worked> {
        let mut worked = Worked {
            changed: reaction.streams.iter().map(StreamReport::changed).sum(),
            ..Worked::default()
        };
        let (mut finished, mut late) = (Vec::new(), Vec::new());
        for (event, verdict) in events.iter().zip(&reaction.verdicts) {
            let finish = |kind: Option<String>, reason, refused_by| FinishedEvent {
                event_id: event.event_id,
                kind,
                reason,
                refused_by,
            };
            match verdict {
                Verdict::Done { kind, note } => {
                    worked.done += 1;
                    landing.release(WEBHOOKS, &event.identifier).await?;
                    finished.push(finish(Some(kind.clone()), note.clone(), None));
                }
                Verdict::Late { pause, reason } => {
                    worked.late += 1;
                    let pause = TimeDelta::from_std(*pause).unwrap_or(TimeDelta::MAX);
                    late.push((event.event_id, Utc::now() + pause, reason.as_str()));
                }
                Verdict::Refused(refusal) => {
                    worked.refused += 1;
                    let mut record = received(event);
                    let end = record.payload.floor_char_boundary(EXCERPT);
                    record.payload.truncate(end);
                    landing
                        .quarantine(WEBHOOKS, &record, &refusal.reason)
                        .await?;
                    let reason = Some(refusal.reason.clone());
                    finished.push(finish(
                        refusal.kind.clone(),
                        reason,
                        Some(self.source.reader()),
                    ));
                }
            }
        }
        let meta = self.warehouse.meta();
        meta.postpone_events(&late).await?;
        meta.finish_events(&finished).await?;
        Ok(worked)
    }

    async fn run_id(&mut self) -> Result<String> {
        if let Some(run) = &self.run {
            return Ok(run.run_id.clone());
        }
        let run_id = self.warehouse.meta().start_run(WEBHOOKS, "event").await?;
        let now = Utc::now();
        let step = Step {
            step: format!("{}.{WEBHOOKS}", self.connection.name),
            status: "succeeded".to_string(),
            attempts: 0,
            rows_in: 0,
            rows_out: 0,
            bytes: 0,
            requests: 0,
            retries: 0,
            started_at: now,
            finished_at: now,
            error: None,
        };
        self.run = Some(Run {
            run_id: run_id.clone(),
            step,
        });
        Ok(run_id)
    }

    /// Adds a batch to the step of the run.
    async fn record(
        &mut self,
        begun: chrono::DateTime<Utc>,
        worked: &Worked,
        reaction: &Reaction,
    ) -> Result<()> {
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        let step = &mut run.step;
        if step.attempts == 0 {
            step.started_at = begun;
        }
        step.attempts += 1;
        step.rows_in += worked.done + worked.refused;
        step.rows_out += worked.changed;
        step.bytes += reaction.bytes;
        step.requests += reaction.requests;
        step.retries += reaction.retries;
        step.finished_at = Utc::now();
        let meta = self.warehouse.meta();
        Ok(meta.record_step(&run.run_id, step).await?)
    }

    /// Records the end of the run, if there was one.
    async fn end(&mut self, error: Option<&Error>) -> Result<()> {
        let Some(run) = self.run.take() else {
            return Ok(());
        };
        let reason = error.map(ToString::to_string);
        let status = if error.is_none() {
            "succeeded"
        } else {
            "failed"
        };
        let meta = self.warehouse.meta();
        Ok(meta
            .finish_run(&run.run_id, status, reason.as_deref())
            .await?)
    }
}

impl Worked {
    fn add(&mut self, other: Self) {
        self.done += other.done;
        self.refused += other.refused;
        self.late += other.late;
        self.changed += other.changed;
        self.waits_for = other.waits_for;
    }
}

/// An event as the raw zone and the quarantine hold it.
fn received(event: &InboxEvent) -> Received {
    let body = String::from_utf8_lossy(&event.body);
    Received::new(event.identifier.clone(), body)
}
