//! Scheduled jobs: their definitions, when they are due, and the workers that run them.
//!
//! A [`Definition`] says what a pipeline does and when. [`account`] turns the ticks of its schedule into
//! runs to be done, or into runs that were skipped and why; a [`Worker`] claims runs and does their steps.
//! Any number of processes may do both at once: each tick is one run.

#![recursion_limit = "256"]

mod account;
pub mod alerts;
mod definition;
mod error;
mod reporter;
mod run;
mod schedule;
mod steps;
mod worker;

pub use account::account;
pub use definition::{
    CatchUp, Definition, Definitions, OnFailure, Overlap, Retries, Step, StepKind, Tries,
};
pub use error::{Error, Result};
pub use reporter::{Notice, Reporter};
pub use run::{Ended, run_now};
pub use schedule::Schedule;
pub use steps::{Done, Failure, Jobs, Listener, StepContext, Steps};
pub use worker::{Clock, Worker, WorkerOptions};
