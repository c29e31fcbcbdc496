//! Telling: each channel for itself, so that one which hangs holds up no other.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use ingest::{Outbound, PostError, Posted};
use tokio::sync::watch;
use warehouse::meta::ClaimedAlert;

use super::channel::{Channel, Way};
use super::format::{mail, slack, teams, webhook};
use super::{Alerts, one_line};
use crate::Result;

/// Most alerts that a channel is told in one go.
const BATCH: usize = 100;
/// How often what is old is forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(3600);
/// Alerts for a channel that the settings no longer have are given up after so many hours.
const STRAY_HOURS: i64 = 1;

/// How alerts are told.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Pause after the first attempt that failed; the following ones double, with jitter.
    pub first_pause: Duration,
    /// Longest pause that we choose ourselves.
    pub longest_pause: Duration,
    /// Longest pause that a receiver may ask for.
    pub longest_wait: Duration,
    /// So many attempts, then it is given up. With the pauses above that is after about half a day.
    pub tries: u32,
    /// How long an attempt may take before another process takes it up. Longer than any channel's wait.
    pub claim: Duration,
    /// How often is looked for what is due.
    pub poll: Duration,
    /// What was told and is over is forgotten after so many days.
    pub keep_days: i64,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_secs(5),
            longest_pause: Duration::from_secs(1800),
            longest_wait: Duration::from_secs(6 * 3600),
            tries: 35,
            claim: Duration::from_secs(90),
            poll: Duration::from_secs(2),
            keep_days: 90,
        }
    }
}

/// What became of the alerts that were due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// Told.
    pub delivered: u64,
    /// To be tried again.
    pub postponed: u64,
    /// Given up.
    pub failed: u64,
}

/// Why somebody could not be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    reason: String,
    /// Whether the same attempt may succeed later.
    again: bool,
    /// How long the receiver asks to wait.
    wait: Option<Duration>,
}

impl Failed {
    pub(super) fn later(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            again: true,
            wait: None,
        }
    }

    pub(super) fn never(reason: impl Into<String>) -> Self {
        Self {
            again: false,
            ..Self::later(reason)
        }
    }
}

impl Alerts {
    /// Tells what is due, once; all channels at the same time. It takes as long as the slowest of them.
    pub async fn deliver(&self) -> Result<Told> {
        let (_, going) = watch::channel(false);
        let all = self.channels.iter().map(|one| self.tell(one, &going));
        let mut told = Told::default();
        for one in join_all(all).await {
            let one = one?;
            told.delivered += one.delivered;
            told.postponed += one.postponed;
            told.failed += one.failed;
        }
        Ok(told)
    }

    /// Tells what is due until `stop` ends; an attempt that is under way then is brought to its end. A
    /// database that can't be reached is waited for.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        let channels = self
            .channels
            .iter()
            .map(|channel| self.tell_until(channel, stopped.clone()));
        let ended = async {
            stop.await;
            stopping.send_replace(true);
        };
        tokio::join!(join_all(channels), self.tidy(stopped.clone()), ended);
    }

    async fn tell_until(&self, channel: &Channel, mut stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            if let Err(error) = self.tell(channel, &stopped).await {
                tracing::warn!(channel = channel.name(), %error, "alerts can't be read; trying again");
            }
            drop(tokio::time::timeout(self.delivery.poll, stopped.wait_for(|stop| *stop)).await);
        }
    }

    async fn tidy(&self, mut stopped: watch::Receiver<bool>) {
        let names: Vec<&str> = self.channels.iter().map(Channel::name).collect();
        while !*stopped.borrow() {
            let now = Utc::now();
            let reason = "the settings have no such channel any more";
            let stray = now - TimeDelta::hours(STRAY_HOURS);
            let old = now - TimeDelta::days(self.delivery.keep_days.clamp(1, 36_500));
            let done = async {
                self.meta
                    .drop_alerts_of_others(&names, stray, reason)
                    .await?;
                self.meta.forget_alerts(old).await
            };
            if let Err(error) = done.await {
                tracing::warn!(%error, "old alerts could not be forgotten; trying again");
            }
            drop(tokio::time::timeout(HOUSEKEEPING, stopped.wait_for(|stop| *stop)).await);
        }
    }

    /// Tells a channel what is due, until it fails.
    async fn tell(&self, channel: &Channel, stopped: &watch::Receiver<bool>) -> Result<Told> {
        let mut told = Told::default();
        for _ in 0..BATCH {
            if *stopped.borrow() {
                break;
            }
            let until = after(self.delivery.claim);
            let Some(alert) = self.meta.claim_alert(channel.name(), until).await? else {
                break;
            };
            let alert_id = alert.alert_id.as_str();
            let Err(failed) = channel.send(&alert).await else {
                if !self.meta.alert_delivered(&alert).await? {
                    tracing::warn!(
                        alert_id,
                        "an alert was told after its time; it may be told twice"
                    );
                }
                told.delivered += 1;
                continue;
            };
            let reason = channel.redacted(&one_line(&failed.reason, 300));
            if !failed.again || alert.attempts >= self.delivery.tries {
                let reason = match failed.again {
                    true => format!("given up after {} attempts: {reason}", alert.attempts),
                    false => reason,
                };
                tracing::error!(alert_id, channel = channel.name(), reason, "alert given up");
                self.meta.alert_failed(&alert, &reason).await?;
                told.failed += 1;
                continue;
            }
            let pause = self.delivery.pause(alert.attempts, random());
            let asked = failed.wait.map(|wait| wait.min(self.delivery.longest_wait));
            let until = after(asked.map_or(pause, |asked| asked.max(pause)));
            tracing::warn!(alert_id, channel = channel.name(), reason, "alert put off");
            self.meta
                .postpone_alert(&alert, until, &reason, asked.is_some())
                .await?;
            told.postponed += 1;
            // It would hardly take the next one.
            break;
        }
        Ok(told)
    }
}

impl Delivery {
    /// The pause after an attempt: half of a time that doubles, and a random part of the other half.
    fn pause(&self, attempts: u32, random: f64) -> Duration {
        let whole = self
            .first_pause
            .saturating_mul(1 << attempts.saturating_sub(1).min(20))
            .min(self.longest_pause);
        whole.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }
}

impl Channel {
    async fn send(&self, alert: &ClaimedAlert) -> Result<(), Failed> {
        let key = ("idempotency-key", alert.alert_id.clone());
        match &self.way {
            Way::Log => {
                log(alert);
                Ok(())
            }
            Way::Webhook(to, secret) => {
                let body = bytes(&webhook::message(alert));
                let now = Utc::now().timestamp();
                let mut headers = vec![key];
                if !secret.reveal().is_empty() {
                    let signature = webhook::signature(secret.reveal(), now, &body);
                    headers.push(("x-sprint-reports-timestamp", now.to_string()));
                    headers.extend(signature.map(|text| ("x-sprint-reports-signature", text)));
                }
                post(to, &headers, body).await
            }
            Way::Slack(to) => post(to, &[key], bytes(&slack::message(alert))).await,
            Way::Teams(to) => post(to, &[key], bytes(&teams::message(alert))).await,
            Way::Email(mailer) => {
                let mail = mail::message(alert, &mailer.from, &mailer.to).map_err(Failed::never)?;
                mailer.send(&mail).await
            }
        }
    }

    /// A text without the secrets of the channel: receivers repeat what they were asked.
    fn redacted(&self, text: &str) -> String {
        match &self.way {
            Way::Log => text.to_string(),
            Way::Webhook(to, secret) => without(&to.redacted(text), secret.reveal()),
            Way::Slack(to) | Way::Teams(to) => to.redacted(text),
            Way::Email(mailer) => without(text, mailer.password()),
        }
    }
}

fn without(text: &str, secret: &str) -> String {
    match secret.is_empty() {
        true => text.to_string(),
        false => text.replace(secret, "***"),
    }
}

async fn post(
    to: &Outbound,
    headers: &[(&'static str, String)],
    body: Vec<u8>,
) -> Result<(), Failed> {
    judged(to.post(headers, body).await)
}

/// What an answer means.
fn judged(answer: Result<Posted, PostError>) -> Result<(), Failed> {
    let posted = answer.map_err(|error| Failed::later(error.0))?;
    let says = match posted.says.as_str() {
        "" => String::new(),
        says => format!(" '{says}'"),
    };
    let status = posted.status;
    match status {
        200..=299 => Ok(()),
        300..=399 => Err(Failed::never(format!(
            "the receiver sends elsewhere ({status}); write the address that it names"
        ))),
        408 | 429 | 500..=599 => Err(Failed {
            wait: posted.wait.filter(|_| matches!(status, 429 | 503)),
            ..Failed::later(format!("the receiver answered {status}{says}"))
        }),
        _ => Err(Failed::never(format!(
            "the receiver refuses it with {status}{says}; check the channel's address"
        ))),
    }
}

fn bytes(message: &serde_json::Value) -> Vec<u8> {
    message.to_string().into_bytes()
}

fn log(told: &ClaimedAlert) {
    let alert = &told.alert;
    let text = alert.lines.join(" ");
    let (kind, run_id, link) = (&alert.kind, &alert.run_id, &alert.link);
    let subject = &alert.subject;
    match (&told.resolves, alert.severity.as_str()) {
        (Some(_), _) => tracing::info!(kind, run_id, link, text, "resolved: {subject}"),
        (None, "error") => tracing::error!(kind, run_id, link, text, "alert: {subject}"),
        (None, _) => tracing::warn!(kind, run_id, link, text, "alert: {subject}"),
    }
}

fn after(pause: Duration) -> DateTime<Utc> {
    Utc::now() + TimeDelta::from_std(pause).unwrap_or(TimeDelta::days(1))
}

/// From 0 to 1, different from one call to the next.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(0u8) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, wait: Option<u64>) -> Result<(), Failed> {
        judged(Ok(Posted {
            status,
            wait: wait.map(Duration::from_secs),
            says: String::new(),
        }))
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_will_not_is_given_up() {
        for status in [200, 202, 204] {
            assert_eq!(answer(status, None), Ok(()));
        }
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(answer(status, None).unwrap_err().again, "{status}");
        }
        for status in [301, 307, 400, 401, 403, 404, 410, 413, 422] {
            assert!(!answer(status, None).unwrap_err().again, "{status}");
        }
        let asked = answer(429, Some(30)).unwrap_err();
        assert_eq!(asked.wait, Some(Duration::from_secs(30)));
        assert!(judged(Err(PostError("refused".into()))).unwrap_err().again);
    }

    #[test]
    fn pauses_double_with_jitter_for_about_half_a_day() {
        let delivery = Delivery::default();
        let seconds = |attempts, random| delivery.pause(attempts, random).as_secs_f64();
        assert_eq!(seconds(1, 1.0), 5.0);
        assert_eq!(seconds(1, 0.0), 2.5);
        assert_eq!(seconds(4, 1.0), 40.0);
        assert_eq!(seconds(60, 1.0), 1800.0);
        let all: f64 = (1..delivery.tries).map(|one| seconds(one, 0.5)).sum();
        assert!((8.0..14.0).contains(&(all / 3600.0)), "{all}");
    }
}
