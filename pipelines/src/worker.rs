//! Workers: they account for what is due, claim runs, and do them.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinSet;
use warehouse::meta::{Claim, MetaDb};

use crate::run::Work;
use crate::steps::Steps;
use crate::{Definitions, Ended, Reporter, Result, account};

/// Tells the time. The system's clock by default; tests bring their own.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    is_real: bool,
}

impl Clock {
    /// A clock that shows what a function says, and on which no time passes while one sleeps.
    pub fn of(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self {
            now: Arc::new(now),
            is_real: false,
        }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        (self.now)()
    }

    pub(crate) async fn sleep(&self, pause: Duration) {
        if self.is_real {
            tokio::time::sleep(pause).await;
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            now: Arc::new(Utc::now),
            is_real: true,
        }
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Whether it accounts for what is due; else it only does what others ask for.
    pub schedules: bool,
    /// Runs that it does at the same time, of different pipelines.
    pub slots: usize,
    /// How often it looks for what is due.
    pub poll: Duration,
    /// How long a run may go on after the worker is asked to stop, before it is given back.
    pub grace: Duration,
    /// How old the data of a connection may be before people are told; `None`: however old.
    pub freshness: Option<Duration>,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            schedules: true,
            slots: 2,
            poll: Duration::from_secs(1),
            grace: Duration::from_secs(20),
            freshness: None,
        }
    }
}

/// Accounts for ticks and does runs until it is stopped.
#[derive(Clone)]
pub struct Worker {
    meta: MetaDb,
    definitions: Arc<Definitions>,
    steps: Arc<dyn Steps>,
    options: WorkerOptions,
    clock: Clock,
    reporter: Option<Reporter>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker for these pipelines.
    pub fn new(
        meta: MetaDb,
        definitions: Definitions,
        steps: Arc<dyn Steps>,
        options: WorkerOptions,
    ) -> Self {
        Self {
            meta,
            definitions: Arc::new(definitions),
            steps,
            options,
            clock: Clock::default(),
            reporter: None,
        }
    }

    /// The same, telling people how runs end and of data that is too old.
    #[must_use]
    pub fn with_reporter(mut self, reporter: Reporter) -> Self {
        self.reporter = Some(reporter);
        self
    }

    /// The same by another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Writes the definitions down, so that other processes know them.
    pub async fn announce(&self) -> Result<()> {
        self.definitions.announce(&self.meta).await
    }

    /// Works until `stop` ends. Runs that are under way then may go on for a while; what is not done by then
    /// is given back, and another worker goes on with it.
    pub fn work<'a>(
        &'a self,
        stop: impl Future<Output = ()> + Send + 'a,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (drain, draining) = watch::channel(false);
            let mut runs: JoinSet<()> = JoinSet::new();
            let mut stop = std::pin::pin!(stop);
            let mut is_known = false;
            let mut outage: Option<String> = None;
            let mut next_look = self.clock.now();
            loop {
                // A database that can't be reached for a while is waited for: nothing is lost by that.
                let looked = async {
                    if !is_known {
                        self.announce().await?;
                        is_known = true;
                    }
                    self.freshness(&mut next_look).await?;
                    self.look(&mut runs, &draining).await
                };
                match looked.await {
                    Ok(()) if outage.take().is_some() => {
                        tracing::info!("the metadata database answers again");
                    }
                    Ok(()) => (),
                    Err(error) if outage.is_none() => {
                        tracing::error!(%error, "the worker can't look for runs; trying again");
                        outage = Some(error.to_string());
                    }
                    Err(_) => (),
                }
                tokio::select! {
                    () = &mut stop => break,
                    () = tokio::time::sleep(self.options.poll) => (),
                    Some(_) = runs.join_next() => (),
                }
            }
            drain.send_replace(true);
            while runs.join_next().await.is_some() {}
            Ok(())
        })
    }

    /// Tells of data that is too old, once a minute.
    async fn freshness(&self, next_look: &mut DateTime<Utc>) -> Result<()> {
        let now = self.clock.now();
        if let (Some(reporter), Some(limit)) = (&self.reporter, self.options.freshness)
            && now >= *next_look
        {
            *next_look = now + TimeDelta::minutes(1);
            reporter.freshness(limit, now).await?;
        }
        Ok(())
    }

    /// Accounts for ticks, and begins runs while there is room.
    async fn look(&self, runs: &mut JoinSet<()>, draining: &watch::Receiver<bool>) -> Result<()> {
        while runs.try_join_next().is_some() {}
        if self.options.schedules {
            account(&self.meta, &self.definitions, self.clock.now()).await?;
        }
        while runs.len() < self.options.slots {
            let Some(claim) = self.claim().await? else {
                break;
            };
            let (worker, mut draining) = (self.clone(), draining.clone());
            runs.spawn(async move {
                let run_id = claim.job.run_id.clone();
                let grace = worker.options.grace;
                let stopped = async {
                    // The sender lives as long as the worker.
                    drop(draining.wait_for(|draining| *draining).await);
                    tokio::time::sleep(grace).await;
                };
                let outcome = tokio::select! {
                    outcome = worker.perform(&claim) => outcome,
                    () = stopped => worker.meta.hand_back(&claim).await.map(|()| Ended::HandedBack).map_err(Into::into),
                };
                if let Err(error) = outcome {
                    tracing::error!(%error, run_id, "a run could not be recorded; it is taken over when its claim expires");
                }
            });
        }
        Ok(())
    }

    /// Claims a run that this worker knows how to do.
    pub async fn claim(&self) -> Result<Option<Claim>> {
        let names: Vec<&str> = self.definitions.names().collect();
        Ok(self.meta.claim_job(&names, self.clock.now()).await?)
    }

    /// Does a claimed run to its end.
    pub async fn perform(&self, claim: &Claim) -> Result<Ended> {
        let work = Work {
            meta: &self.meta,
            definition: self.definitions.find(&claim.job.pipeline)?,
            steps: self.steps.as_ref(),
            clock: &self.clock,
            listener: None,
            reporter: self.reporter.as_ref(),
        };
        work.run(claim).await
    }
}
