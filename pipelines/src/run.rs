//! One run: its steps in order, each recorded; what was done before it was interrupted is not done again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use futures::future::BoxFuture;
use schemas::Retry;
use warehouse::meta::{Beat, Claim, MetaDb};

use crate::steps::{Done, Failure, Listener, StepContext, Steps};
use crate::worker::Clock;
use crate::{Definition, Error, Notice, OnFailure, Reporter, Result, Step};

/// How often a claim is renewed and what a run does is written down.
const BEAT: Duration = Duration::from_secs(2);
/// Longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(900);
/// So many workers may end in the same run before it is given up.
const MOST_TAKEOVERS: i64 = 5;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// All was done; with what is missing, if something is.
    Succeeded(Option<String>),
    /// It failed, and why.
    Failed(String),
    /// It was cancelled, and why.
    Cancelled(String),
    /// This process shall end: another goes on with it.
    HandedBack,
    /// Another process has it by now.
    Lost,
}

/// Everything a run needs.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    pub(crate) meta: &'a MetaDb,
    pub(crate) definition: &'a Definition,
    pub(crate) steps: &'a dyn Steps,
    pub(crate) clock: &'a Clock,
    /// Told of what the steps do, beside the database.
    pub(crate) listener: Option<&'a dyn Listener>,
    /// Tells people how it ended.
    pub(crate) reporter: Option<&'a Reporter>,
}

/// Runs a pipeline now, in this process; a run of it whose process has ended is done to its end instead. `stop`
/// cancels it.
pub async fn run_now(
    meta: &MetaDb,
    definition: &Definition,
    steps: &dyn Steps,
    listener: &dyn Listener,
    reporter: Option<&Reporter>,
    stop: impl Future<Output = ()>,
) -> Result<(String, Ended)> {
    let name = definition.name.as_str();
    let ended = meta.claim_ended(&[name], Utc::now()).await?;
    let run_id = match &ended {
        Some(claim) => claim.job.run_id.clone(),
        None => meta.request_run(name, "command").await?,
    };
    let claim = match ended {
        Some(claim) => Some(claim),
        None => meta.claim_this(&run_id, Utc::now()).await?,
    };
    let Some(claim) = claim else {
        return match meta.open_jobs(Some(&definition.name)).await? {
            // A worker was faster; it does the same.
            jobs if jobs
                .iter()
                .any(|job| job.run_id == run_id && job.state == "running") =>
            {
                Ok((run_id, Ended::HandedBack))
            }
            jobs => {
                let reason = "another run of the pipeline is under way";
                meta.cancel_run(&run_id, reason).await?;
                let other = jobs.iter().find(|job| job.state == "running");
                Err(Error::UnderWay {
                    pipeline: definition.name.clone(),
                    run_id: other.map(|job| job.run_id.clone()).unwrap_or_default(),
                    since: other
                        .map(|job| job.requested_at.to_rfc3339())
                        .unwrap_or_default(),
                })
            }
        };
    };
    let clock = Clock::default();
    let work = Work {
        meta,
        definition,
        steps,
        clock: &clock,
        listener: Some(listener),
        reporter,
    };
    tokio::select! {
        ended = work.run(&claim) => Ok((run_id, ended?)),
        () = stop => {
            let reason = "the process was asked to stop";
            meta.finish_job(&claim, "cancelled", Some(reason), Utc::now()).await?;
            Ok((run_id, Ended::Cancelled(reason.to_string())))
        }
    }
}

impl Work<'_> {
    /// Does a claimed run to its end and records it.
    pub(crate) fn run<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Ended>> {
        Box::pin(async move {
            let relay = Relay::new(self.listener);
            let ended = if claim.job.takeovers > MOST_TAKEOVERS {
                Ended::Failed(format!(
                    "{} processes ended while they worked on it; it was not tried again",
                    claim.job.takeovers
                ))
            } else {
                tokio::select! {
                    ended = self.steps(&claim.job.run_id, &relay) => ended?,
                    ended = self.beats(claim, &relay) => ended,
                    () = tokio::time::sleep(self.definition.timeout) => Ended::Failed(format!(
                        "it took longer than {} minutes (timeout_minutes of the pipeline)",
                        self.definition.timeout.as_secs() / 60
                    )),
                }
            };
            let ended = self.record(claim, ended).await?;
            if let Some(reporter) = self.reporter {
                let notices = relay.notices();
                reporter
                    .ended(self.definition, claim, &ended, &notices)
                    .await;
            }
            Ok(ended)
        })
    }

    /// Records how a run ended; one that another process has by now is not touched.
    async fn record(&self, claim: &Claim, ended: Ended) -> Result<Ended> {
        let (status, reason) = match &ended {
            Ended::Succeeded(missing) => ("succeeded", missing.as_deref()),
            Ended::Failed(reason) => ("failed", Some(reason.as_str())),
            Ended::Cancelled(reason) => ("cancelled", Some(reason.as_str())),
            Ended::HandedBack | Ended::Lost => return Ok(ended),
        };
        let now = self.clock.now();
        match self.meta.finish_job(claim, status, reason, now).await? {
            true => Ok(ended),
            false => Ok(Ended::Lost),
        }
    }

    /// Ends only when the run is to stop. While the database can't be reached the run goes on, until its
    /// claim has surely expired.
    async fn beats(&self, claim: &Claim, relay: &Relay<'_>) -> Ended {
        let life = warehouse::meta::CLAIM_LIFE.to_std().unwrap_or(BEAT);
        let mut good = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(BEAT).await;
            let begun = tokio::time::Instant::now();
            let text = relay.text();
            match self
                .meta
                .beat(claim, text.as_deref(), self.clock.now())
                .await
            {
                Ok(Beat::Held) => good = begun,
                Ok(Beat::Cancelled(reason)) => return Ended::Cancelled(reason),
                Ok(Beat::Lost) => return Ended::Lost,
                Err(error) if good.elapsed() < life => {
                    tracing::warn!(%error, "the claim of a run could not be renewed; trying again");
                }
                Err(_) => return Ended::Lost,
            }
        }
    }

    async fn steps(&self, run_id: &str, relay: &Relay<'_>) -> Result<Ended> {
        let recorded = self.meta.steps_of_run(run_id).await?;
        let mut missing = Vec::new();
        let mut failed = Vec::new();
        for step in &self.definition.steps {
            let before = recorded.iter().find(|row| row.step.step == step.name);
            if before.is_some_and(|row| row.step.status == "succeeded") {
                continue;
            }
            relay.set(step.name.clone());
            match self.step(run_id, step, relay).await? {
                Ok(done) => {
                    relay.notice(done.notices);
                    missing.extend(done.missing);
                }
                Err(failure) => {
                    relay.notice(failure.notices);
                    failed.push(format!("{}: {}", step.name, failure.text));
                    if step.on_failure == OnFailure::Stop {
                        break;
                    }
                }
            }
        }
        Ok(if failed.is_empty() {
            Ended::Succeeded((!missing.is_empty()).then(|| missing.join("; ")))
        } else {
            Ended::Failed(failed.join("; "))
        })
    }

    /// Does a step, again if it is worth it, and records how it went.
    async fn step(
        &self,
        run_id: &str,
        step: &Step,
        relay: &Relay<'_>,
    ) -> Result<Result<Done, Failure>> {
        let started_at = self.clock.now();
        let context = StepContext {
            run_id,
            listener: relay,
        };
        let mut attempts = 0;
        let outcome = loop {
            attempts += 1;
            let outcome = self.steps.perform(&step.kind, context).await;
            let Err(failure) = &outcome else {
                break outcome;
            };
            let tries = self.definition.retry.of(failure.blame);
            if failure.retry == Retry::Never || attempts >= tries.attempts {
                break outcome;
            }
            let pause = pause(tries.wait_seconds, attempts, random());
            tracing::warn!(
                run_id,
                step = step.name,
                attempts,
                error = failure.text,
                "step failed; trying again"
            );
            relay.set(format!(
                "{}: attempt {attempts} failed ({}); the next in {} s",
                step.name,
                failure.text,
                pause.as_secs()
            ));
            self.clock.sleep(pause).await;
        };
        let done = outcome.clone().unwrap_or_default();
        let row = warehouse::Step {
            step: step.name.clone(),
            status: if outcome.is_ok() {
                "succeeded"
            } else {
                "failed"
            }
            .to_string(),
            attempts,
            rows_in: done.rows_in,
            rows_out: done.rows_out,
            bytes: done.bytes,
            requests: done.requests,
            retries: done.retries,
            started_at,
            finished_at: self.clock.now(),
            error: match &outcome {
                Ok(done) => done.missing.clone(),
                Err(failure) => Some(failure.text.clone()),
            },
        };
        self.meta.record_step(run_id, &row).await?;
        Ok(outcome)
    }
}

/// Full jitter: a random part of a time that doubles with each attempt.
fn pause(wait_seconds: u64, attempts: u32, random: f64) -> Duration {
    let longest = Duration::from_secs(wait_seconds)
        .saturating_mul(1 << (attempts - 1).min(16))
        .min(LONGEST);
    longest.mul_f64(random.clamp(0.0, 1.0))
}

/// From 0 to 1, different from one call to the next.
fn random() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let bits = RandomState::new().hash_one(0u8) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

/// Keeps what a run does just now as a text, and passes it on.
struct Relay<'a> {
    text: Mutex<Option<String>>,
    notices: Mutex<Vec<Notice>>,
    listener: Option<&'a dyn Listener>,
}

impl<'a> Relay<'a> {
    fn new(listener: Option<&'a dyn Listener>) -> Self {
        Self {
            text: Mutex::default(),
            notices: Mutex::default(),
            listener,
        }
    }

    fn set(&self, text: String) {
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    fn notice(&self, more: Vec<Notice>) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.extend(more);
    }

    fn notices(&self) -> Vec<Notice> {
        let notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.clone()
    }

    fn text(&self) -> Option<String> {
        self.text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl ingest::Progress for Relay<'_> {
    fn event(&self, event: &ingest::Event) {
        use ingest::Event;
        match event {
            Event::Connected { url, .. } => self.set(format!("reading {url}")),
            Event::Started { stream } => self.set(format!("reading {stream}")),
            Event::Committed { stream, records } => {
                self.set(format!("reading {stream}: {records} records"));
            }
            Event::Waiting { pause, reason } => {
                self.set(format!("waiting {} s: {reason}", pause.as_secs()));
            }
            Event::Planned { .. } | Event::Passed | Event::Finished { .. } => (),
        }
        if let Some(listener) = self.listener {
            ingest::Progress::event(listener, event);
        }
    }
}

impl transform::Progress for Relay<'_> {
    fn building(&self, model: &str, number: usize, of: usize) {
        self.set(format!("model {number} of {of}: {model}"));
        if let Some(listener) = self.listener {
            listener.building(model, number, of);
        }
    }

    fn testing(&self) {
        self.set("data tests".to_string());
        if let Some(listener) = self.listener {
            listener.testing();
        }
    }

    fn finished(&self, built: usize, skipped: usize, tests: usize) {
        if let Some(listener) = self.listener {
            listener.finished(built, skipped, tests);
        }
    }
}

impl warehouse::maintenance::Progress for Relay<'_> {
    fn at(&self, part: &str, number: usize, of: usize) {
        self.set(format!("{number} of {of}: {part}"));
        if let Some(listener) = self.listener {
            listener.at(part, number, of);
        }
    }

    fn done(&self, text: &str) {
        self.set(text.to_string());
        if let Some(listener) = self.listener {
            listener.done(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_quarter_of_an_hour() {
        let seconds = |attempts| pause(60, attempts, 1.0).as_secs();
        assert_eq!(
            [1, 2, 3, 4, 5, 60].map(seconds),
            [60, 120, 240, 480, 900, 900]
        );
        assert_eq!(pause(60, 2, 0.5).as_secs(), 60);
        assert_eq!(pause(0, 3, 1.0), Duration::ZERO);
        assert!(
            (0..100)
                .map(|_| random())
                .all(|one| (0.0..=1.0).contains(&one))
        );
    }
}
