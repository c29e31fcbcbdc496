//! The models on small histories, one for each awkward case of the definitions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

mod as_of;
mod baselines;
mod burndown;
mod corners;
mod flow;
mod flow_boards;
mod git;
mod history;
mod incremental;
mod periods;
mod portfolio;
mod quality;
mod reconciliation;
mod release;
mod sprints;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Draws random histories. The same ones each time by default, so that a run of the tests says the same again;
/// with PROPTEST_CASES (`make soak`) so many new ones.
fn histories_to_try(usual: u32, shrink: u32) -> TestRunner {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    let wanted = wanted.and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: wanted.unwrap_or(usual),
        failure_persistence: None,
        max_shrink_iters: shrink,
        ..Config::default()
    };
    match wanted {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    }
}
