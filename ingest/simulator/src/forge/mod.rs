//! A simulated forge: repositories with pull requests, reviews, commits that name issue keys, and
//! deployments that fail and are rolled back; served as GitHub or as GitLab would.
//!
//! [`ForgeWorld`] is the forge's state and can be edited; [`Forge`] serves it.

mod edit;
mod github;
mod gitlab;
mod listing;
mod model;
mod server;
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::settings::RateLimit;

pub use edit::Way;
pub use model::{Commit, DeployState, Deployment, Pull, Repo, Review, User};
pub use server::Forge;
pub use world::ForgeWorld;

/// Which forge the server pretends to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgeKind {
    GitHub,
    GitLab,
}

/// How one simulated forge is made and served.
#[derive(Clone, Debug)]
pub struct ForgeSettings {
    pub kind: ForgeKind,
    pub seed: u64,
    /// The instant the generated history ends, and the clock's first value.
    pub now: DateTime<Utc>,
    /// Length of the history.
    pub days: u32,
    pub repositories: u32,
    /// Project keys of the issues that titles, branches and messages name.
    pub keys: Vec<String>,
    /// The token that may sign in.
    pub token: String,
    /// Entries of a page, however much a caller asks for.
    pub page: usize,
    pub rate_limit: Option<RateLimit>,
    /// Added to every answer.
    pub latency: Duration,
    pub address: SocketAddr,
}

impl ForgeSettings {
    /// A small forge for property tests.
    pub fn small(kind: ForgeKind, seed: u64, now: DateTime<Utc>) -> Self {
        Self {
            kind,
            seed,
            now,
            days: 6,
            repositories: 2,
            keys: vec!["ATLAS".to_owned(), "BOLT".to_owned()],
            token: "simulator-token".to_owned(),
            page: 100,
            rate_limit: None,
            latency: Duration::ZERO,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        }
    }
}
