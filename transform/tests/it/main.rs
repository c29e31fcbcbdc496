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
