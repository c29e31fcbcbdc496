//! The simulated Jira under the suite of all sources.

use chrono::TimeDelta;
use ingest::Connection;
use simulator::{Edit, Fault, RateLimit, Settings, Simulator};

use super::{Breakage, SourceUnderTest};
use crate::simulated::{self, Happening};

pub(crate) struct Jira(Simulator);

impl SourceUnderTest for Jira {
    const BORDERS: &'static [&'static str] = &[
        "ingest.listing.landed:4",
        "ingest.batch.landed:2",
        "ingest.changelogs.appended:3",
        "ingest.issues.merged:2",
        "jira.issues.before_commit:2",
        "jira.changelog_items.committed",
        "ingest.sprint_reports.landed",
        "ingest.sprint_reports.merged:2",
    ];
    const REPLAY_BORDERS: &'static [&'static str] =
        &["ingest.replay.cleared", "ingest.issues.merged:2"];

    async fn start(seed: u64, limit: Option<RateLimit>) -> Self {
        let settings = Settings {
            rate_limit: limit,
            ..simulated::settings(seed)
        };
        Self(simulated::start(settings).await)
    }

    fn connection(&self) -> Connection {
        crate::connection(self.0.url())
    }

    fn advance(&self, by: TimeDelta) {
        self.0.advance(by);
    }

    fn happen(&self, happening: &Happening) {
        self.0.edit(|world| simulated::make(world, happening));
    }

    fn inject(&self, fault: Fault) {
        self.0.inject(fault);
    }

    fn mend(&self) {
        self.0.clear_faults();
    }

    fn requests(&self) -> usize {
        self.0.requests().len()
    }

    fn breakage(&self) -> Breakage {
        let (id, created) = self.0.edit(|world| {
            // One whose instant no other issue shares.
            let mut issues = world.issues();
            let issue = issues.find(|one| {
                world
                    .issues()
                    .filter(|other| other.created == one.created)
                    .count()
                    == 1
            });
            let issue = issue.unwrap();
            (issue.id, issue.created)
        });
        let zone: chrono_tz::Tz = self.0.settings().account.time_zone.parse().unwrap();
        let created = created
            .with_timezone(&zone)
            .format("%Y-%m-%dT%H:%M:%S%.3f%z");
        Breakage {
            path: "/issue/bulkfetch".to_owned(),
            find: format!("\"created\":\"{created}\""),
            put: "\"created\":\"never\"".to_owned(),
            stream: "issues",
            table: "jira.issues",
            column: "issue_id",
            id,
        }
    }

    fn touch(&self, breakage: &Breakage) {
        let (issue, summary) = (breakage.id, "mended".to_owned());
        self.advance(TimeDelta::minutes(30));
        self.0.edit(|world| {
            world
                .apply_now(Edit::SetSummary { issue, summary })
                .unwrap()
        });
    }

    fn keeps(&self, _: &str, _: &str) -> bool {
        false
    }
}
