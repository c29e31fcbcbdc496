//! Tests of the simulator as others use it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test"
)]

mod client;
mod cloud;
mod corners;
mod data_center;
mod edits;
mod misbehaviour;
mod oauth;
mod rates;
mod replay;
mod world;
