//! How many requests run at once, and the pause that all of them keep.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Lets a limited number of requests through; while paused, none.
#[derive(Debug)]
pub(super) struct Gate {
    permits: Semaphore,
    opens_at: Mutex<Instant>,
}

impl Gate {
    pub(super) fn new(in_flight: usize) -> Self {
        Self {
            permits: Semaphore::new(in_flight.max(1)),
            opens_at: Mutex::new(Instant::now()),
        }
    }

    /// Waits until a request may be sent. The permit is held while it runs.
    pub(super) async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        let permit = self.permits.acquire().await.ok();
        loop {
            let left = self.left();
            if left.is_zero() {
                return permit;
            }
            tokio::time::sleep(left).await;
        }
    }

    /// Keeps every request back for some time from now; a longer pause that is set stays.
    pub(super) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut opens_at = self.opens_at.lock().unwrap_or_else(PoisonError::into_inner);
        *opens_at = until.max(*opens_at);
    }

    fn left(&self) -> Duration {
        let opens_at = *self.opens_at.lock().unwrap_or_else(PoisonError::into_inner);
        opens_at.saturating_duration_since(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pause_holds_everybody_and_only_grows() {
        let gate = Gate::new(2);
        gate.pause(Duration::from_millis(60));
        gate.pause(Duration::from_millis(1));
        let before = Instant::now();
        let (one, two) = tokio::join!(gate.enter(), gate.enter());
        assert!(before.elapsed() >= Duration::from_millis(55));
        assert!(one.is_some() && two.is_some());
        let third = tokio::time::timeout(Duration::from_millis(20), gate.enter()).await;
        assert!(third.is_err());
    }
}
