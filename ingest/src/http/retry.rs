//! When a failed request is tried again, where the site doesn't say it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use super::Limits;

/// The pause before the next try: exponential with full jitter.
pub(super) fn backoff(limits: &Limits, tries: u32) -> Duration {
    let doubled = limits
        .pause
        .saturating_mul(1 << tries.saturating_sub(1).min(16));
    doubled.min(limits.longest_pause).mul_f64(random())
}

/// A number in [0, 1). The standard library seeds its hashers at random; that is enough here.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

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
