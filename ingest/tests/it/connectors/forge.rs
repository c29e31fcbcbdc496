//! The simulated forges under the suite of all sources.

use chrono::TimeDelta;
use ingest::{Auth, Connection};
use simulator::forge::{Forge as Server, ForgeKind, ForgeSettings};
use simulator::{Fault, RateLimit};

use super::{Breakage, SourceUnderTest};
use crate::simulated::Happening;

pub(crate) const GITHUB: bool = true;
pub(crate) const GITLAB: bool = false;

/// GitHub, or GitLab.
pub(crate) struct Forge<const IS_GITHUB: bool>(pub(crate) Server);

/// A forge of two repositories and a few days, in small pages.
pub(crate) fn settings(kind: ForgeKind, seed: u64) -> ForgeSettings {
    let now = chrono::DateTime::from_timestamp_millis(1_772_366_400_000).unwrap();
    ForgeSettings {
        page: 7,
        ..ForgeSettings::small(kind, seed, now)
    }
}

/// The same, with a shorter history.
fn short(kind: ForgeKind, seed: u64) -> ForgeSettings {
    ForgeSettings {
        days: 3,
        ..settings(kind, seed)
    }
}

pub(crate) async fn start(settings: ForgeSettings) -> Server {
    let server = Server::start(settings).await.unwrap();
    server.edit(|world| world.freeze_clock(true));
    server
}

pub(crate) fn connection(server: &Server) -> Connection {
    let kind = match server.settings().kind {
        ForgeKind::GitHub => "github",
        ForgeKind::GitLab => "gitlab",
    };
    Connection {
        kind: kind.into(),
        auth: Auth::Bearer,
        email: String::new(),
        ..crate::connection(server.url())
    }
}

impl<const IS_GITHUB: bool> SourceUnderTest for Forge<IS_GITHUB> {
    const BORDERS: &'static [&'static str] = &[
        "ingest.git.listed",
        "ingest.git.landed:2",
        "ingest.git.parts_written:3",
        "ingest.git.merged:2",
        "git.pull_requests.before_commit:2",
        "git.pull_request_commits.committed",
        "git.issue_references.committed:2",
        "git.commits.before_commit:2",
        "git.commits.committed:3",
        "git.deployments.before_commit",
        "git.deployments.committed:2",
    ];
    const REPLAY_BORDERS: &'static [&'static str] = &["ingest.git.cleared", "ingest.git.merged:2"];

    async fn start(seed: u64, limit: Option<RateLimit>) -> Self {
        let kind = if IS_GITHUB {
            ForgeKind::GitHub
        } else {
            ForgeKind::GitLab
        };
        let settings = ForgeSettings {
            rate_limit: limit,
            ..short(kind, seed)
        };
        Self(start(settings).await)
    }

    fn connection(&self) -> Connection {
        connection(&self.0)
    }

    fn advance(&self, by: TimeDelta) {
        self.0.edit(|world| world.advance_clock(by));
    }

    fn happen(&self, happening: &Happening) {
        let Happening {
            what,
            which,
            value,
            seconds,
        } = *happening;
        self.0.edit(|world| {
            world.advance_clock(TimeDelta::seconds(seconds));
            world.happen(what, which, value);
        });
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
        let id = self.0.edit(|world| world.repos()[0].pulls[1].id);
        let (path, state) = match IS_GITHUB {
            true => ("/pulls/2", "\"state\":\"open\""),
            false => ("/merge_requests", "\"state\":\"opened\""),
        };
        // Its state is one that nobody knows.
        self.0.edit(|world| {
            let repo = &mut world.repos_mut()[0];
            for (number, pull) in repo.pulls.iter_mut().enumerate() {
                pull.merged = None;
                pull.closed = (number != 1).then_some(pull.updated);
            }
            for other in world.repos_mut().iter_mut().skip(1) {
                other.pulls.clear();
            }
        });
        Breakage {
            path: path.to_owned(),
            find: state.to_owned(),
            put: "\"state\":\"novel\"".to_owned(),
            stream: "pull_requests",
            table: "git.pull_requests",
            column: "pull_request_id",
            id,
        }
    }

    fn touch(&self, _: &Breakage) {
        self.advance(TimeDelta::minutes(30));
        self.0.edit(|world| world.retitle(0, 1, "mended"));
    }

    /// Commits that a branch held before it was rewritten, and what belonged to a repository that is
    /// gone: nothing that a forge shows any more, and nothing that it takes back either.
    fn keeps(&self, table: &str, row: &str) -> bool {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        self.0.edit(|world| {
            let repo = world
                .repos()
                .iter()
                .find(|repo| row["repository_id"] == repo.id);
            let Some(repo) = repo else {
                return table != "git.repositories";
            };
            let sha = match table {
                "git.commits" => row["sha"].as_str(),
                "git.issue_references" if row["kind"] == "commit" => row["ref_id"].as_str(),
                _ => None,
            };
            let is_shown = |sha: &str| {
                let head = repo.head.as_deref().unwrap_or_default();
                let by_branch = repo.reachable(head, None).iter().any(|one| one.sha == sha);
                let mut pulls = repo.pulls.iter();
                by_branch || pulls.any(|pull| pull.commits.iter().any(|one| one == sha))
            };
            sha.is_some_and(|sha| !is_shown(sha))
        })
    }
}
