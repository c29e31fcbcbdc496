//! When a failed request is tried again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use reqwest::header::HeaderMap;

use super::Limits;

/// The pause before the next try: exponential with full jitter.
pub(super) fn backoff(limits: &Limits, tries: u32) -> Duration {
    let doubled = limits
        .pause
        .saturating_mul(1 << tries.saturating_sub(1).min(16));
    doubled.min(limits.longest_pause).mul_f64(random())
}

/// How long the site asks to wait, if it does.
pub(super) fn told(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let seconds = |name: &str| {
        let seconds = text(name)?.parse::<f64>().ok()?;
        Duration::try_from_secs_f64(seconds.max(0.0)).ok()
    };
    let now = text("date").and_then(http_date).unwrap_or(now);
    let until = |at: DateTime<Utc>| (at - now).to_std().unwrap_or_default();
    seconds("retry-after")
        .or_else(|| text("retry-after").and_then(http_date).map(until))
        .or_else(|| seconds("beta-retry-after"))
        .or_else(|| text("x-ratelimit-reset").and_then(reset).map(until))
        .or_else(|| text("ratelimit-reset").and_then(reset).map(until))
}

/// Whether a refusal is one for the rate of requests: GitHub tells it by 403 as well.
pub(super) fn is_limited(headers: &HeaderMap) -> bool {
    headers.contains_key("retry-after")
        || headers
            .get("x-ratelimit-remaining")
            .is_some_and(|left| left == "0")
}

/// Whether the site says that little of its budget is left.
pub(super) fn near_limit(headers: &HeaderMap) -> bool {
    headers
        .get("x-ratelimit-nearlimit")
        .is_some_and(|value| value == "true")
}

fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text)
        .ok()
        .map(|at| at.to_utc())
}

/// The reset instant comes with and without seconds, or as seconds since 1970.
fn reset(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(seconds) = text.parse::<i64>() {
        return DateTime::from_timestamp(seconds, 0);
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ")
        .ok()
        .map(|at| at.and_utc())
}

/// A number in [0, 1). The standard library seeds its hashers at random; that is enough here.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(pairs: &[(&'static str, &'static str)]) -> Option<u64> {
        let headers = pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let now = DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z")
            .unwrap()
            .to_utc();
        told(&headers, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn reads_every_form_in_which_a_site_says_when() {
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("retry-after", "7")]), Some(7));
        assert_eq!(
            wait(&[
                ("retry-after", "0"),
                ("x-ratelimit-reset", "2026-03-01T13:00Z")
            ]),
            Some(0)
        );
        assert_eq!(
            wait(&[("retry-after", "Sun, 01 Mar 2026 12:00:30 GMT")]),
            Some(30)
        );
        assert_eq!(
            wait(&[("x-ratelimit-reset", "2026-03-01T12:05Z")]),
            Some(300)
        );
        assert_eq!(
            wait(&[("x-ratelimit-reset", "2026-03-01T12:00:09+00:00")]),
            Some(9)
        );
        assert_eq!(wait(&[("x-ratelimit-reset", "2026-03-01T11:00Z")]), Some(0));
        assert_eq!(wait(&[("beta-retry-after", "42")]), Some(42));
        assert_eq!(wait(&[("x-ratelimit-reset", "1772366430")]), Some(30));
        assert_eq!(wait(&[("ratelimit-reset", "1772366407")]), Some(7));
        assert_eq!(wait(&[("retry-after", "soon")]), None);
        // The site's own clock counts where it gives it.
        let skewed = [
            ("date", "Sun, 01 Mar 2026 12:04:00 GMT"),
            ("x-ratelimit-reset", "2026-03-01T12:05Z"),
        ];
        assert_eq!(wait(&skewed), Some(60));
    }

    #[test]
    fn a_refusal_for_the_rate_is_told_by_its_headers() {
        let limited = |name: &'static str, value: &'static str| {
            let headers = [(name.parse().unwrap(), value.parse().unwrap())];
            is_limited(&headers.into_iter().collect())
        };
        assert!(limited("retry-after", "60") && limited("x-ratelimit-remaining", "0"));
        assert!(!limited("x-ratelimit-remaining", "17") && !limited("x-other", "0"));
    }

    #[test]
    fn backoff_grows_to_its_cap() {
        let limits = Limits::default();
        for tries in 1..80 {
            let cap = limits.pause * 2u32.saturating_pow(tries - 1).min(1 << 16);
            let pause = backoff(&limits, tries);
            assert!(pause <= cap.min(limits.longest_pause));
        }
        let distinct: std::collections::HashSet<_> = (0..20).map(|_| backoff(&limits, 5)).collect();
        assert!(distinct.len() > 1);
    }
}
