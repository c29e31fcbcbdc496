//! What a run did.

use chrono::{DateTime, Utc};
use serde::Serialize;
use warehouse::Written;

/// What a sync or replay did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyncReport {
    /// Connection that was read.
    pub connection: String,
    /// Run it belongs to.
    pub run_id: String,
    /// The streams, in the order they were read.
    pub streams: Vec<StreamReport>,
    /// What is worth knowing: endpoints that are not offered, boards without sprints, fields.
    pub notes: Vec<Note>,
    /// Projects of which far fewer issues are visible than are stored, where this was looked at.
    pub dropped: Option<Vec<Dropped>>,
    /// The source's clock when the run began; null in a replay.
    pub source_time: Option<DateTime<Utc>>,
    /// IANA time zone of the connection; null in a replay.
    pub time_zone: Option<String>,
    /// Requests made, repeated ones included.
    pub requests: u64,
    /// Requests repeated.
    pub retries: u64,
    /// Bytes received.
    pub bytes: u64,
}

/// What a run did with one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    /// The stream.
    pub stream: &'static str,
    /// Records read.
    pub read: u64,
    /// Rows that are new.
    pub inserted: u64,
    /// Rows that changed.
    pub updated: u64,
    /// Rows that were there already.
    pub unchanged: u64,
    /// Rows marked as deleted.
    pub deleted: u64,
    /// Records that no table took; `system.quarantine` shows them.
    pub quarantined: u64,
    /// Records that the source named but did not hand out: deleted in between, or out of sight.
    pub unseen: u64,
    /// Whether the site has the endpoint.
    pub offered: bool,
}

/// A project of which far fewer issues are visible than are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// Its key.
    pub project: String,
    /// Issues that are stored.
    pub before: u64,
    /// Issues of them that the site shows.
    pub after: u64,
}

/// Something worth knowing about a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Stream it is about.
    pub stream: &'static str,
    /// One sentence.
    pub text: String,
}

/// What a site is and how it is understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Discovery {
    /// Address the site calls itself by.
    pub site_url: String,
    /// Version of its software.
    pub version: String,
    /// The site's clock.
    pub source_time: DateTime<Utc>,
    /// Account that the credentials belong to.
    pub account: String,
    /// IANA time zone that days are counted in.
    pub time_zone: String,
    /// Keys of the projects that the account sees.
    pub projects: Vec<String>,
    /// Boards that the account sees.
    pub boards: Vec<DiscoveredBoard>,
    /// What the account may do there, as far as the site tells: (permission, granted).
    pub permissions: Vec<(String, bool)>,
    /// Fields with a part to play.
    pub fields: Vec<DiscoveredField>,
    /// The field that each project's story points are read from; null for a project whose board
    /// estimates in time.
    pub story_points: Vec<(String, Option<String>)>,
    /// What is worth knowing.
    pub notes: Vec<Note>,
}

/// A field that plays a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiscoveredField {
    /// The part: `story_points`, `sprint`, `rank`, `discipline_team`, `owner`, `flagged` or
    /// `epic_link`.
    pub role: String,
    /// Its id.
    pub field_id: String,
    /// Its name; untrusted text.
    pub name: String,
    /// Why it was chosen, and what else could have been.
    pub reason: String,
}

/// A board of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiscoveredBoard {
    /// Its id.
    pub board_id: i64,
    /// Its name.
    pub name: String,
    /// `scrum`, `kanban` or `simple`.
    pub kind: String,
    /// Field it estimates in, where it does.
    pub estimation_field_id: Option<String>,
}

impl StreamReport {
    /// A report with nothing done yet.
    pub(crate) fn of(stream: &'static str) -> Self {
        Self {
            stream,
            offered: true,
            ..Self::default()
        }
    }

    /// Adds what a write did.
    pub(crate) fn add(&mut self, written: Written) {
        self.inserted += written.inserted;
        self.updated += written.updated;
        self.unchanged += written.unchanged;
        self.deleted += written.deleted;
    }

    /// Rows that changed.
    pub fn changed(&self) -> u64 {
        self.inserted + self.updated + self.deleted
    }
}

impl SyncReport {
    /// The report of one stream.
    pub fn stream(&self, stream: &str) -> Option<&StreamReport> {
        self.streams.iter().find(|report| report.stream == stream)
    }

    /// Rows that changed in all streams.
    pub fn changed(&self) -> u64 {
        self.streams.iter().map(StreamReport::changed).sum()
    }

    /// Records that no table took.
    pub fn quarantined(&self) -> u64 {
        self.streams.iter().map(|stream| stream.quarantined).sum()
    }

    /// Whether every record that was read found its table.
    pub fn is_complete(&self) -> bool {
        self.quarantined() == 0
    }
}
