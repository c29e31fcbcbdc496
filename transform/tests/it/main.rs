//! The models on small histories, one for each awkward case of the definitions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

mod burndown;
mod corners;
mod git;
mod history;
mod periods;
mod quality;
mod reconciliation;
mod release;
mod sprints;
