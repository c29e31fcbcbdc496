//! What one site bears, shared by all clients of it in this process: pauses that it asked for, the
//! pace that the settings allow, and how many requests run at once.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use url::Url;

use super::headers::Scope;
use super::window::{Usual, Window};

/// Sites that are kept before those that nobody reads and that ask for no pause are forgotten.
const KEPT: usize = 64;

static SITES: LazyLock<Mutex<HashMap<String, Arc<Site>>>> = LazyLock::new(Mutex::default);

/// What the settings of a connection allow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ceiling {
    /// Requests at the same time.
    pub(crate) concurrency: usize,
    /// Requests of a second; 0 for as many as the site serves.
    pub(crate) per_second: f64,
}

impl Ceiling {
    /// Time between two requests.
    fn interval(self) -> Option<Duration> {
        let interval = Duration::try_from_secs_f64(1.0 / self.per_second).ok()?;
        (self.per_second > 0.0).then_some(interval)
    }
}

/// The endpoints that a site counts together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Bucket {
    method: &'static str,
    family: String,
}

impl Bucket {
    /// The first four parts of a path say what it is about; parts with digits are versions and ids.
    pub(super) fn of(method: &'static str, path: &str) -> Self {
        let parts = path.split('/').filter(|part| !part.is_empty()).take(4);
        let parts = parts.map(
            |part| match part.bytes().any(|byte| byte.is_ascii_digit()) {
                true => "*",
                false => part,
            },
        );
        Self {
            method,
            family: parts.collect::<Vec<_>>().join("/"),
        }
    }
}

/// The budget of one site.
#[derive(Debug, Default)]
pub(super) struct Site {
    state: Mutex<State>,
    /// A request ended, so that another may begin.
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// No request before.
    opens_at: Option<Instant>,
    buckets: HashMap<Bucket, Level>,
    window: Window,
    /// No request of a client with a pace before.
    next_at: Option<Instant>,
}

/// What is known of a bucket.
#[derive(Debug, Default)]
struct Level {
    opens_at: Option<Instant>,
    usual: Usual,
}

/// Whether a request may be sent.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Now,
    /// Not before this instant, because the site said so.
    Told(Instant),
    /// Not before this instant, because the settings say so.
    Paced(Instant),
    /// When another request has ended.
    Full,
}

/// A request that runs. Dropped when it has ended.
#[derive(Debug)]
pub(super) struct Running<'r> {
    site: Arc<Site>,
    bucket: &'r Bucket,
    ceiling: Ceiling,
    sent_at: Instant,
}

impl Site {
    /// The site at an address.
    pub(super) fn of(base: &Url) -> Arc<Self> {
        let mut sites = SITES.lock().unwrap_or_else(PoisonError::into_inner);
        if sites.len() >= KEPT {
            let now = Instant::now();
            sites.retain(|_, site| Arc::strong_count(site) > 1 || site.lock().is_paused(now));
        }
        Arc::clone(sites.entry(base.to_string()).or_default())
    }

    /// Waits until a request may be sent; or says how long it may not, when that is longer than the
    /// caller waits.
    pub(super) async fn enter<'r>(
        self: &Arc<Self>,
        bucket: &'r Bucket,
        ceiling: Ceiling,
        longest: Duration,
    ) -> Result<Running<'r>, Duration> {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            let now = Instant::now();
            let turn = self.lock().turn(bucket, ceiling, now);
            match turn {
                Turn::Now => {
                    return Ok(Running {
                        site: Arc::clone(self),
                        bucket,
                        ceiling,
                        sent_at: now,
                    });
                }
                Turn::Told(at) if at - now > longest => return Err(at - now),
                Turn::Told(at) | Turn::Paced(at) => tokio::time::sleep_until(at.into()).await,
                Turn::Full => freed.await,
            }
        }
    }

    /// Keeps requests back for some time from now; a longer pause that is set stays.
    pub(super) fn pause(&self, bucket: &Bucket, scope: Scope, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        let opens_at = match scope {
            Scope::Site => &mut state.opens_at,
            Scope::Bucket => &mut state.level(bucket).opens_at,
        };
        *opens_at = (*opens_at).max(Some(until));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running<'_> {
    /// The answer came, and came well.
    pub(super) fn went_well(&self) {
        let took = self.sent_at.elapsed();
        let mut state = self.site.lock();
        if state.level(self.bucket).usual.is_met(took) {
            state.window.grow(self.ceiling.concurrency);
        }
    }

    /// The site is strained: it refused the request, or did not answer in time.
    pub(super) fn was_too_much(&self) {
        let (ceiling, now) = (self.ceiling.concurrency, Instant::now());
        self.site.lock().window.cut(ceiling, self.sent_at, now);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.site.lock().window.leave();
        self.site.freed.notify_waiters();
    }
}

impl State {
    fn turn(&mut self, bucket: &Bucket, ceiling: Ceiling, now: Instant) -> Turn {
        let of_bucket = self.buckets.get(bucket).and_then(|level| level.opens_at);
        if let Some(at) = self.opens_at.max(of_bucket).filter(|at| *at > now) {
            return Turn::Told(at);
        }
        if self.window.is_full(ceiling.concurrency) {
            return Turn::Full;
        }
        if let Some(interval) = ceiling.interval() {
            if let Some(at) = self.next_at.filter(|at| *at > now) {
                return Turn::Paced(at);
            }
            self.next_at = Some(now + interval);
        }
        self.window.enter();
        Turn::Now
    }

    fn level(&mut self, bucket: &Bucket) -> &mut Level {
        self.buckets.entry(bucket.clone()).or_default()
    }

    fn is_paused(&self, now: Instant) -> bool {
        let of_buckets = self.buckets.values().filter_map(|level| level.opens_at);
        of_buckets.chain(self.opens_at).any(|at| at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Ceiling = Ceiling {
        concurrency: 8,
        per_second: 0.0,
    };

    fn bucket(path: &str) -> Bucket {
        Bucket::of("GET", path)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn endpoints_of_a_family_share_a_bucket() {
        for (one, other, same) in [
            (
                "rest/api/3/issue/10/comment",
                "rest/api/3/issue/bulkfetch",
                true,
            ),
            ("rest/api/3/issue/EE-1", "rest/api/2/issue/10", true),
            (
                "rest/agile/1.0/board/8/sprint",
                "rest/agile/1.0/board",
                true,
            ),
            ("rest/agile/1.0/board", "rest/api/3/search/jql", false),
            (
                "rest/api/3/changelog/bulkfetch",
                "rest/api/3/issue/bulkfetch",
                false,
            ),
            ("rest/api/3/field", "rest/api/3/field/search", true),
        ] {
            assert_eq!(bucket(one) == bucket(other), same, "{one} {other}");
        }
        let path = "rest/api/3/search/jql";
        assert_ne!(Bucket::of("GET", path), Bucket::of("POST", path));
    }

    #[test]
    fn a_pause_holds_its_bucket_and_only_grows() {
        let site = Site::default();
        let (search, board) = (bucket("rest/api/3/search"), bucket("rest/agile/1.0/board"));
        let before = Instant::now();
        site.pause(&search, Scope::Bucket, ms(5000));
        site.pause(&search, Scope::Bucket, ms(1));
        let mut state = site.lock();
        let turn = state.turn(&search, FREE, before + ms(4999));
        assert!(matches!(turn, Turn::Told(at) if at >= before + ms(5000)));
        assert_eq!(state.turn(&board, FREE, before), Turn::Now);
        let late = before + ms(10_000);
        assert_eq!(state.turn(&search, FREE, late), Turn::Now);
        drop(state);
        site.pause(&search, Scope::Site, ms(5000));
        let mut state = site.lock();
        assert!(matches!(state.turn(&board, FREE, before), Turn::Told(_)));
        assert!(state.is_paused(before) && !state.is_paused(late));
    }

    #[test]
    fn a_pace_spaces_the_requests_of_all_families() {
        let mut state = State::default();
        let slow = Ceiling {
            per_second: 4.0,
            ..FREE
        };
        let start = Instant::now();
        let mut sent = 0;
        for at in (0..2000).step_by(10) {
            let path = format!(
                "rest/api/3/{}",
                if at % 20 == 0 { "search" } else { "field" }
            );
            if state.turn(&bucket(&path), slow, start + ms(at)) == Turn::Now {
                state.window.leave();
                sent += 1;
            }
        }
        assert_eq!(sent, 8);
        assert_eq!(FREE.interval(), None);
    }

    #[tokio::test]
    async fn clients_of_one_site_share_its_budget() {
        let base = Url::parse("https://budget.example.org/").unwrap();
        let (one, two) = (Site::of(&base), Site::of(&base));
        let other = Site::of(&Url::parse("https://other.example.org/").unwrap());
        let search = bucket("rest/api/3/search");
        one.pause(&search, Scope::Bucket, ms(60));
        let before = Instant::now();
        drop(other.enter(&search, FREE, ms(1000)).await.unwrap());
        assert!(before.elapsed() < ms(50));
        drop(two.enter(&search, FREE, ms(1000)).await.unwrap());
        assert!(before.elapsed() >= ms(60));
        // A pause longer than the caller waits is told at once.
        one.pause(&search, Scope::Bucket, ms(60_000));
        let left = two.enter(&search, FREE, ms(1000)).await.unwrap_err();
        assert!(left > ms(59_000));
    }

    #[tokio::test]
    async fn a_full_window_lets_the_next_in_when_one_has_ended() {
        let site = Arc::new(Site::default());
        let search = bucket("rest/api/3/search");
        let narrow = Ceiling {
            concurrency: 1,
            ..FREE
        };
        let first = site.enter(&search, narrow, ms(1000)).await.unwrap();
        let second = site.enter(&search, narrow, ms(1000));
        let mut second = std::pin::pin!(second);
        let waiting = tokio::time::timeout(ms(20), second.as_mut()).await;
        assert!(waiting.is_err());
        drop(first);
        let entered = tokio::time::timeout(ms(500), second).await;
        assert!(entered.unwrap().is_ok());
    }

    #[test]
    fn sites_that_nobody_reads_are_forgotten_unless_they_asked_for_a_pause() {
        let base = |n: usize| Url::parse(&format!("https://kept{n}.example.org/")).unwrap();
        let search = bucket("rest/api/3/search");
        Site::of(&base(0)).pause(&search, Scope::Bucket, ms(60_000));
        for n in 1..3 * KEPT {
            Site::of(&base(n));
        }
        assert!(SITES.lock().unwrap().len() <= KEPT);
        let site = Site::of(&base(0));
        assert!(site.lock().is_paused(Instant::now()));
    }
}
