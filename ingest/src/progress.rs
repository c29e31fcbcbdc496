//! What a run tells while it works.

use std::time::Duration;

/// Something worth showing while a run works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The site answered; reading begins.
    Connected {
        /// Address of the site.
        url: String,
        /// Name of the site's software.
        site: String,
    },
    /// So many steps are to be done; none is told before.
    Planned {
        /// Steps of the run.
        steps: usize,
    },
    /// One of the planned steps is done.
    Passed,
    /// A stream begins.
    Started {
        /// The stream.
        stream: &'static str,
    },
    /// Records of a stream were committed.
    Committed {
        /// The stream.
        stream: &'static str,
        /// Records read so far in this run.
        records: u64,
    },
    /// A stream is done.
    Finished {
        /// The stream.
        stream: &'static str,
        /// Records read.
        records: u64,
        /// Rows that changed.
        changed: u64,
    },
    /// The site asked to slow down, or failed; the request is repeated after a pause.
    Waiting {
        /// How long.
        pause: Duration,
        /// Why.
        reason: String,
    },
}

/// Listener of a run. Called often; must not block.
pub trait Progress: Send + Sync {
    /// Takes an event.
    fn event(&self, event: &Event);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: &Event) {}
}
