//! The site's clock: a settable base plus, unless frozen, the real time that has passed.

use std::time::Instant;

use chrono::{DateTime, Duration, SubsecRound, Utc};

#[derive(Clone, Debug)]
pub(crate) struct Clock {
    base: DateTime<Utc>,
    since: Option<Instant>,
}

impl Clock {
    pub(crate) fn ticking(now: DateTime<Utc>) -> Self {
        Self {
            base: now,
            since: Some(Instant::now()),
        }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        let passed = self
            .since
            .map_or(std::time::Duration::ZERO, |since| since.elapsed());
        let passed = Duration::milliseconds(passed.as_millis() as i64);
        (self.base + passed).trunc_subsecs(3)
    }

    pub(crate) fn set(&mut self, now: DateTime<Utc>) {
        self.base = now;
        self.since = self.since.map(|_| Instant::now());
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.set(self.now() + by);
    }

    /// Stops or restarts the ticking; tests that compare instants freeze it.
    pub(crate) fn freeze(&mut self, frozen: bool) {
        self.base = self.now();
        self.since = (!frozen).then(Instant::now);
    }
}
