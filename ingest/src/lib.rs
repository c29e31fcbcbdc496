//! Reading sources into the warehouse: exactly, incrementally, and so that it can be repeated.
//!
//! [`sync`] reads what is new of one connection, or rebuilds its tables from the raw zone without
//! calling the site; [`work`] reads at once what events tell of; [`discover`] says what the site is and how its fields are understood.
//! Every batch is landed raw, then merged into its table in the same commit as the cursor; a run
//! that was killed anywhere is continued by the next one.

#![recursion_limit = "256"]

mod connection;
mod error;
mod http;
mod inbox;
mod land;
mod progress;
mod report;
mod sources;
mod sync;

pub use connection::{Auth, Connection, FieldOverrides, OAuthApp, Secret};
pub use error::{Call, Error, Result};
pub use http::{Limits, Outbound, PostError, Posted, Reach};
pub use inbox::{WorkOptions, Worked, work, work_off};
pub use progress::{Event, Progress, Silent};
pub use report::{
    DiscoveredBoard, DiscoveredField, Discovery, Dropped, Note, StreamReport, SyncReport,
};
pub use sync::{SyncOptions, discover, sync};
