//! What has just happened, told to whoever listens: in this process, and over Redis to all processes of the
//! same lake.
//!
//! Events make others quicker, never right: one may be lost when Redis is gone or a listener is slow, and
//! everybody who acts on events also looks at the truth now and then. A published release, for one, is
//! looked for where releases are stored ([`Events::watch`]).

mod redis;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};

use crate::release::Releases;
use crate::{Error, Result};

/// Events that a slow listener may lag behind; then it misses the oldest.
const BUFFER: usize = 1024;
/// How often a release is looked for that no event told of.
const LOOK: Duration = Duration::from_secs(5);

/// A release was published.
pub const RELEASE_PUBLISHED: &str = "release.published";
/// A run began.
pub const RUN_STARTED: &str = "run.started";
/// A run ended well, or was skipped or cancelled.
pub const RUN_FINISHED: &str = "run.finished";
/// A run failed.
pub const RUN_FAILED: &str = "run.failed";
/// Issues were written.
pub const ISSUE_CHANGED: &str = "issue.changed";

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What: one of the names of this module.
    pub kind: String,
    /// When.
    pub at: DateTime<Utc>,
    /// To what, by kind.
    pub data: Value,
}

/// The bus. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Events {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    here: broadcast::Sender<Event>,
    elsewhere: Option<mpsc::Sender<Event>>,
    /// The newest release that was told of.
    release: AtomicU64,
}

impl Events {
    /// The bus of a lake; with Redis, `redis://…`, it reaches other processes.
    pub(crate) fn open(redis: &str, store_url: &str) -> Result<Self> {
        let (here, _) = broadcast::channel(BUFFER);
        let (sender, receiver) = mpsc::channel(BUFFER);
        let events = Self {
            inner: Arc::new(Inner {
                here,
                elsewhere: (!redis.is_empty()).then_some(sender),
                release: AtomicU64::new(0),
            }),
        };
        if !redis.is_empty() {
            redis::start(redis, store_url, receiver, Arc::downgrade(&events.inner))
                .map_err(|reason| Error::RedisUrl { reason })?;
        }
        Ok(events)
    }

    /// Tells everybody who listens. Never waits.
    pub fn publish(&self, kind: &str, data: Value) {
        let event = Event {
            kind: kind.to_string(),
            at: Utc::now(),
            data,
        };
        if let Some(elsewhere) = &self.inner.elsewhere
            && elsewhere.try_send(event.clone()).is_err()
        {
            tracing::debug!(kind, "an event was not sent to other processes");
        }
        self.inner.tell(event);
    }

    /// What happens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.inner.here.subscribe()
    }

    /// Tells of releases that were published elsewhere and that no event told of. Looks for them for as long
    /// as somebody listens; ends with `stop`.
    pub async fn watch(&self, releases: &Releases, stop: impl Future<Output = ()>) {
        let looks = async {
            let mut is_first = true;
            loop {
                // The first look only says what is known.
                if !is_first {
                    tokio::time::sleep(LOOK).await;
                    if self.inner.here.receiver_count() == 0 {
                        continue;
                    }
                }
                is_first = false;
                match releases.newest().await {
                    Ok(Some(number)) => self.inner.found(number),
                    Ok(None) => (),
                    Err(error) => tracing::debug!(%error, "releases can't be looked for"),
                }
            }
        };
        tokio::select! { () = looks => (), () = stop => () }
    }
}

impl Inner {
    fn tell(&self, event: Event) {
        if event.kind == RELEASE_PUBLISHED
            && let Some(number) = event.data.get("number").and_then(Value::as_u64)
        {
            self.release.fetch_max(number, Ordering::SeqCst);
        }
        // Nobody listens, perhaps.
        let _ = self.here.send(event);
    }

    /// A release that is stored: told, unless an event has told of it, or it is the first that is seen.
    fn found(&self, number: u64) {
        let before = self.release.fetch_max(number, Ordering::SeqCst);
        if before != 0 && before < number {
            self.tell(Event {
                kind: RELEASE_PUBLISHED.to_string(),
                at: Utc::now(),
                data: json!({"release_id": format!("r{number}"), "number": number}),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_listens_is_told_and_a_release_is_told_of_once() {
        let events = Events::open("", "file:x").unwrap();
        events.publish(RUN_STARTED, json!({"run_id": "a"}));
        let mut listener = events.subscribe();
        events.publish(RUN_FINISHED, json!({"run_id": "a"}));
        assert_eq!(listener.recv().await.unwrap().kind, RUN_FINISHED);
        // The first that is seen is no news; one that was told of is none either.
        events.inner.found(4);
        events.publish(RELEASE_PUBLISHED, json!({"release_id": "r5", "number": 5}));
        events.inner.found(5);
        events.inner.found(6);
        let told: Vec<_> = [
            listener.recv().await.unwrap(),
            listener.recv().await.unwrap(),
        ]
        .map(|event| event.data["release_id"].clone())
        .into();
        assert_eq!(told, ["r5", "r6"]);
        assert!(listener.try_recv().is_err());
    }

    #[test]
    fn an_address_that_is_none_is_refused_without_showing_it() {
        let error = Events::open("rediss://:secret@", "file:x")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("cache.redis") && !error.contains("secret"),
            "{error}"
        );
    }
}
