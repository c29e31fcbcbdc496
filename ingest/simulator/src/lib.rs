//! A simulated Jira site for tests and demonstrations: a deterministic agile history with the awkward
//! corners of real ones, served over HTTP as Jira Cloud or Jira Data Center would.
//!
//! [`World`] is the site's state and can be edited; [`Simulator`] serves it. Besides what the API shows,
//! a world knows what really happened in its sprints ([`World::sprint_truth`], [`World::sprint_report`]).

#![recursion_limit = "256"]

mod clock;
pub mod forge;
mod generate;
mod jql;
mod random;
mod rank;
pub mod rates;
mod render;
mod replay;
mod server;
mod settings;
pub mod wide;
mod world;

pub use server::{Fault, FaultKind, RequestLog, Simulator, Webhook, signature};
pub use settings::{Account, Deployment, OAuth, PageLimits, RateLimit, Settings, WorldSettings};
pub use world::model;
pub use world::{
    Applied, Edit, EditError, FieldIds, IssueTruth, Misreport, NewIssue, Outcome, ReportIssue,
    ReportList, Site, SprintReport, SprintTruth, World,
};
