//! What a site says about its limits in the headers of its answers. A header that makes no sense is
//! one that isn't there.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use reqwest::header::HeaderMap;

/// Pause of a site that says that its budget runs out, and not until when.
const NEAR_LIMIT_PAUSE: Duration = Duration::from_millis(250);

/// Longest pause while something of the budget is left.
const LONGEST_SPREAD: Duration = Duration::from_secs(60);

/// Longest wait that is believed.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Which requests a pause holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those to the same family of endpoints with the same method.
    Bucket,
    /// All of the site.
    Site,
}

/// How long a site that refuses asks to wait, if it does, and which requests that concerns.
pub(super) fn refused(headers: &HeaderMap, now: DateTime<Utc>) -> (Option<Duration>, Scope) {
    let says = Says::new(headers, now);
    let quota = says.seconds("beta-retry-after");
    let told = says
        .seconds("retry-after")
        .or_else(|| Some(says.until(http_date(says.text("retry-after")?)?)));
    let wait = match (told, quota) {
        (None, None) => says.reset().or_else(|| says.refill()),
        (told, quota) => told.max(quota),
    };
    let of_quota = says
        .text("ratelimit-reason")
        .is_some_and(|reason| reason.to_ascii_lowercase().contains("quota"));
    let scope = match of_quota || quota.is_some() || says.counts_account() {
        true => Scope::Site,
        false => Scope::Bucket,
    };
    (wait.map(|wait| wait.min(DAY)), scope)
}

/// Whether a refusal is one for the rate of requests: GitHub tells it by 403 as well.
pub(super) fn is_limited(headers: &HeaderMap) -> bool {
    headers.contains_key("retry-after")
        || headers
            .get("x-ratelimit-remaining")
            .is_some_and(|left| left == "0")
}

/// The site's clock.
pub(super) fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    http_date(headers.get("date")?.to_str().ok()?)
}

/// How long a site that answered well asks to be left alone, because its budget runs out.
pub(super) fn spare(headers: &HeaderMap, now: DateTime<Utc>) -> Vec<(Duration, Scope)> {
    let says = Says::new(headers, now);
    let mut pauses = Vec::new();
    let left = says.number("x-ratelimit-remaining");
    let is_near = says
        .text("x-ratelimit-nearlimit")
        .is_some_and(|near| near.eq_ignore_ascii_case("true"));
    if is_near || left.is_some_and(|left| left < 1.0) {
        let scope = match says.counts_account() {
            true => Scope::Site,
            false => Scope::Bucket,
        };
        let pause = match (says.refill(), says.reset()) {
            (Some(refill), _) => refill,
            (None, Some(reset)) => spread(reset, left),
            (None, None) => NEAR_LIMIT_PAUSE,
        };
        pauses.push((pause, scope));
    }
    let policies = says.text("beta-ratelimit").into_iter();
    pauses.extend(
        policies
            .flat_map(|text| text.split(','))
            .filter_map(|text| {
                let parameter = |name: &str| -> Option<f64> {
                    let mut parts = text.split(';').map(str::trim);
                    let value =
                        parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))?;
                    value.trim().parse().ok().filter(|value| *value >= 0.0)
                };
                let resets_in = seconds(parameter("t")?)?;
                Some((spread(resets_in, Some(parameter("r")?)), Scope::Site))
            }),
    );
    for (pause, _) in &mut pauses {
        *pause = (*pause).min(DAY);
    }
    pauses
}

/// What is left of a budget, spread over the time until it is full again.
fn spread(resets_in: Duration, left: Option<f64>) -> Duration {
    match left {
        Some(left) if left >= 1.0 => resets_in.div_f64(left).min(LONGEST_SPREAD),
        Some(_) => resets_in,
        None => NEAR_LIMIT_PAUSE.min(resets_in),
    }
}

/// The headers of an answer, and the site's clock.
struct Says<'h> {
    headers: &'h HeaderMap,
    now: DateTime<Utc>,
}

impl<'h> Says<'h> {
    fn new(headers: &'h HeaderMap, now: DateTime<Utc>) -> Self {
        let says = Self { headers, now };
        let now = says.text("date").and_then(http_date).unwrap_or(now);
        Self { headers, now }
    }

    fn text(&self, name: &str) -> Option<&'h str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }

    fn number(&self, name: &str) -> Option<f64> {
        let number: f64 = self.text(name)?.parse().ok()?;
        number.is_finite().then_some(number)
    }

    fn seconds(&self, name: &str) -> Option<Duration> {
        seconds(self.number(name)?)
    }

    fn until(&self, at: DateTime<Utc>) -> Duration {
        (at - self.now).to_std().unwrap_or_default()
    }

    /// When the budget is full again.
    fn reset(&self) -> Option<Duration> {
        let names = ["x-ratelimit-reset", "ratelimit-reset"];
        let at = names.iter().find_map(|name| instant(self.text(name)?))?;
        Some(self.until(at))
    }

    /// Whether what is counted are all requests of the account: Jira Data Center, GitHub and GitLab
    /// do so.
    fn counts_account(&self) -> bool {
        let of_others = [
            "x-ratelimit-resource",
            "x-github-request-id",
            "ratelimit-name",
        ];
        self.refill().is_some()
            || of_others
                .iter()
                .any(|name| self.headers.contains_key(*name))
    }

    /// How long Data Center takes for one more request.
    fn refill(&self) -> Option<Duration> {
        let rate = self.number("x-ratelimit-fillrate")?;
        let interval = self.number("x-ratelimit-interval-seconds")?;
        (rate > 0.0).then(|| seconds(interval / rate)).flatten()
    }
}

fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds.max(0.0))
        .ok()
        .map(|wait| wait.min(DAY))
}

fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text)
        .ok()
        .map(|at| at.to_utc())
}

/// The reset instant comes with and without seconds, or as seconds since 1970.
fn instant(text: &str) -> Option<DateTime<Utc>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn noon() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z")
            .unwrap()
            .to_utc()
    }

    fn wait(pairs: &[(&'static str, &'static str)]) -> Option<u64> {
        refused(&headers(pairs), noon())
            .0
            .map(|wait| wait.as_secs())
    }

    fn pauses(pairs: &[(&'static str, &'static str)]) -> Vec<(u64, Scope)> {
        let pauses = spare(&headers(pairs), noon());
        let pauses = pauses.into_iter();
        pauses
            .map(|(pause, scope)| (pause.as_millis() as u64, scope))
            .collect()
    }

    #[test]
    fn reads_every_form_in_which_a_site_says_when() {
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("retry-after", "7")]), Some(7));
        let both = [
            ("retry-after", "0"),
            ("x-ratelimit-reset", "2026-03-01T13:00Z"),
        ];
        assert_eq!(wait(&both), Some(0));
        assert_eq!(
            wait(&[("retry-after", "Sun, 01 Mar 2026 12:00:30 GMT")]),
            Some(30)
        );
        for (reset, expected) in [
            ("2026-03-01T12:05Z", 300),
            ("2026-03-01T12:00:09+00:00", 9),
            ("2026-03-01T11:00Z", 0),
        ] {
            assert_eq!(wait(&[("x-ratelimit-reset", reset)]), Some(expected));
        }
        assert_eq!(wait(&[("x-ratelimit-reset", "1772366430")]), Some(30));
        assert_eq!(wait(&[("ratelimit-reset", "1772366407")]), Some(7));
        assert_eq!(wait(&[("beta-retry-after", "42")]), Some(42));
        assert_eq!(
            wait(&[("retry-after", "5"), ("beta-retry-after", "42")]),
            Some(42)
        );
        // The site's own clock counts where it gives it.
        let skewed = [
            ("date", "Sun, 01 Mar 2026 12:04:00 GMT"),
            ("x-ratelimit-reset", "2026-03-01T12:05Z"),
        ];
        assert_eq!(wait(&skewed), Some(60));
        let data_center = [
            ("x-ratelimit-fillrate", "2"),
            ("x-ratelimit-interval-seconds", "10"),
        ];
        assert_eq!(wait(&data_center), Some(5));
    }

    #[test]
    fn a_refusal_for_the_rate_is_told_by_its_headers() {
        let limited = |name: &'static str, value| is_limited(&headers(&[(name, value)]));
        assert!(limited("retry-after", "60") && limited("x-ratelimit-remaining", "0"));
        assert!(!limited("x-ratelimit-remaining", "17") && !limited("x-other", "0"));
    }

    #[test]
    fn headers_that_make_no_sense_are_not_there() {
        for text in ["soon", "", "-", "NaN", "inf", "1e999", "0x10", "1;2", "é"] {
            let mut map = HeaderMap::new();
            for name in [
                "retry-after",
                "beta-retry-after",
                "x-ratelimit-reset",
                "x-ratelimit-remaining",
                "x-ratelimit-fillrate",
                "x-ratelimit-interval-seconds",
                "ratelimit-reason",
                "beta-ratelimit",
                "date",
            ] {
                let value = reqwest::header::HeaderValue::from_bytes(text.as_bytes());
                map.insert(name, value.unwrap());
            }
            assert_eq!(
                refused(&map, noon()),
                (None, Scope::Bucket),
                "refused with {text}"
            );
            assert_eq!(spare(&map, noon()), [], "spare with {text}");
        }
        assert_eq!(wait(&[("retry-after", "-5")]), Some(0));
        assert_eq!(wait(&[("retry-after", "1e30")]), None);
        assert_eq!(wait(&[("retry-after", "99999999999")]), Some(DAY.as_secs()));
        let empty = [
            ("x-ratelimit-fillrate", "0"),
            ("x-ratelimit-interval-seconds", "1"),
        ];
        assert_eq!(wait(&empty), None);
        for policy in ["\"q\";r=;t=", "\"q\";r=x;t=5", ";;;", "r=0", "t=0,,r"] {
            assert_eq!(pauses(&[("beta-ratelimit", policy)]), [], "{policy}");
        }
    }

    #[test]
    fn a_quota_is_of_the_whole_site_and_a_burst_of_one_bucket() {
        for (pairs, scope) in [
            (
                vec![("ratelimit-reason", "jira-burst-based")],
                Scope::Bucket,
            ),
            (vec![("ratelimit-reason", "jira-cost-based")], Scope::Bucket),
            (
                vec![("ratelimit-reason", "jira-quota-tenant-based")],
                Scope::Site,
            ),
            (
                vec![("ratelimit-reason", "Jira-Quota-Global-Based")],
                Scope::Site,
            ),
            (vec![("beta-retry-after", "3")], Scope::Site),
            (vec![("x-ratelimit-resource", "core")], Scope::Site),
            (vec![("x-github-request-id", "C0FF:EE")], Scope::Site),
            (
                vec![
                    ("x-ratelimit-fillrate", "1"),
                    ("x-ratelimit-interval-seconds", "1"),
                ],
                Scope::Site,
            ),
        ] {
            assert_eq!(refused(&headers(&pairs), noon()).1, scope, "{pairs:?}");
        }
    }

    #[test]
    fn what_is_left_is_spread_over_the_time_until_there_is_more() {
        assert_eq!(pauses(&[]), []);
        let much = [
            ("x-ratelimit-remaining", "80"),
            ("x-ratelimit-nearlimit", "false"),
        ];
        assert_eq!(pauses(&much), []);
        let near = [
            ("x-ratelimit-remaining", "10"),
            ("x-ratelimit-nearlimit", "true"),
        ];
        assert_eq!(pauses(&near), [(250, Scope::Bucket)]);
        let told = [
            ("x-ratelimit-remaining", "10"),
            ("x-ratelimit-nearlimit", "true"),
            ("x-ratelimit-reset", "2026-03-01T12:00:20Z"),
        ];
        assert_eq!(pauses(&told), [(2000, Scope::Bucket)]);
        let none = [
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "2026-03-01T12:00:20Z"),
        ];
        assert_eq!(pauses(&none), [(20_000, Scope::Bucket)]);
        let data_center = [
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-fillrate", "5"),
            ("x-ratelimit-interval-seconds", "1"),
        ];
        assert_eq!(pauses(&data_center), [(200, Scope::Site)]);
    }

    #[test]
    fn the_quota_of_points_is_kept_by_the_whole_site() {
        let of = |policy: &'static str| pauses(&[("beta-ratelimit", policy)]);
        assert_eq!(of("\"global-app-quota\";r=0;t=30"), [(30_000, Scope::Site)]);
        assert_eq!(
            of("\"global-app-quota\";r=3600;t=1800"),
            [(500, Scope::Site)]
        );
        assert_eq!(of("\"a\";r=2;t=4, \"b\";t=9;r=0").len(), 2);
        assert_eq!(of("\"a\";r=1;t=3600"), [(60_000, Scope::Site)]);
    }
}
