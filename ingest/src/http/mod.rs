//! Shared HTTP: one client per connection, with limits and retries; one budget per site.

mod address;
mod answer;
mod auth;
mod budget;
mod client;
mod headers;
mod link;
mod outbound;
mod page;
mod retry;
mod transport;
mod window;

use std::time::Duration;

pub use address::Reach;
pub(crate) use answer::Patience;
pub(crate) use budget::Ceiling;
pub(crate) use client::{Client, Counters, counted};
pub(crate) use link::Page;
pub use outbound::{Outbound, PostError, Posted};
pub(crate) use page::{NextOffset, Tokens};

/// What one connection may use of the site and of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests at the same time, where the connection doesn't say it.
    pub in_flight: usize,
    /// Largest answer that is accepted, in bytes.
    pub body_bytes: usize,
    /// Longest time to connect.
    pub connect: Duration,
    /// Longest time without a byte of the answer.
    pub read: Duration,
    /// How often a request is tried at most, unless the site says when to try again.
    pub tries: u32,
    /// First pause between tries; the following ones double.
    pub pause: Duration,
    /// Longest pause that we choose ourselves.
    pub longest_pause: Duration,
    /// Longest pause that we accept when the site asks for it.
    pub longest_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 8,
            body_bytes: 64 << 20,
            connect: Duration::from_secs(10),
            read: Duration::from_secs(60),
            tries: 5,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            longest_wait: Duration::from_secs(600),
        }
    }
}
