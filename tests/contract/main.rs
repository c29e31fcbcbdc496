//! What users rely on, as pages beside this file, compared with the product in both directions:
//! commands and exit codes, settings, tables with their columns and types, REST with its shapes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

mod commands;
mod page;
mod rest;
mod settings;
mod tables;
