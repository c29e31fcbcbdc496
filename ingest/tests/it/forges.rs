//! What is read of GitHub and GitLab: the values of the forge, its renames and deletions, its refusals.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ingest::{Auth, Error, Secret, SyncOptions};
use schemas::{Row, TableName};
use serde_json::{Value, json};
use simulator::forge::{DeployState, Forge, ForgeKind, ForgeSettings, Way};
use simulator::{Fault, FaultKind};

use crate::connectors::forge::{connection, settings, start};
use crate::{Lake, options};

const KINDS: [ForgeKind; 2] = [ForgeKind::GitHub, ForgeKind::GitLab];

impl Lake {
    async fn git(&self, name: &str) -> Vec<Row> {
        let table = TableName::new("git", name);
        self.warehouse.tables().rows(&table, None).await.unwrap()
    }
}

fn same_instant(value: &Value, at: DateTime<Utc>, kind: ForgeKind) -> bool {
    let told: DateTime<Utc> = value.as_str().unwrap().parse().unwrap();
    match kind {
        ForgeKind::GitHub => told.timestamp() == at.timestamp(),
        ForgeKind::GitLab => told == at,
    }
}

/// Whole pages at once.
fn pages() -> SyncOptions {
    SyncOptions {
        batch_issues: 100,
        ..options()
    }
}

async fn read(server: &Forge) -> Lake {
    let lake = Lake::open().await;
    let report = lake.sync_with(&connection(server), pages()).await.unwrap();
    assert!(
        report.is_complete() && report.notes.is_empty(),
        "{report:?}"
    );
    lake
}

#[tokio::test]
async fn every_record_has_the_values_of_the_forge() {
    for kind in KINDS {
        let server = start(settings(kind, 3)).await;
        let lake = read(&server).await;
        let (pulls, shown) = (
            lake.git("pull_requests").await,
            lake.git("pull_request_commits").await,
        );
        let (commits, deployments) = (lake.git("commits").await, lake.git("deployments").await);
        let references = lake.git("issue_references").await;
        server.edit(|world| {
            let all: usize = world.repos().iter().map(|repo| repo.pulls.len()).sum();
            assert_eq!(pulls.len(), all);
            assert!(all > 10 && pulls.iter().any(|row| row["state"] == "merged"));
            let deployed: usize = world
                .repos()
                .iter()
                .map(|repo| repo.deployments.len())
                .sum();
            assert_eq!(deployments.len(), deployed);
            for repo in world.repos() {
                for pull in &repo.pulls {
                    let row = pulls
                        .iter()
                        .find(|row| row["pull_request_id"] == pull.id)
                        .unwrap();
                    assert_eq!(row["title"], json!(pull.title));
                    assert_eq!(row["head_branch"], json!(pull.branch));
                    assert_eq!(row["head_sha"], json!(pull.head()));
                    assert!(same_instant(&row["updated_at"], pull.updated, kind));
                    let author = pull.author;
                    let review = pull
                        .reviews
                        .iter()
                        .filter(|one| one.user != author)
                        .map(|one| one.at);
                    match review.min() {
                        Some(at) => assert!(same_instant(&row["first_review_at"], at, kind)),
                        None => assert_eq!(row["first_review_at"], json!(null)),
                    }
                    let merge = pull.merged.as_ref();
                    assert_eq!(
                        row["merge_commit_sha"],
                        json!(merge.map(|merge| &merge.sha))
                    );
                    let mut own: Vec<_> = shown
                        .iter()
                        .filter(|row| {
                            row["pull_request_id"] == pull.id && row["deleted_at"].is_null()
                        })
                        .collect();
                    own.sort_by_key(|row| row["position"].as_i64());
                    let own: Vec<_> = own.iter().map(|row| row["sha"].as_str().unwrap()).collect();
                    assert_eq!(own, pull.commits);
                    let key = pull.title.split(' ').next().unwrap();
                    for of in ["pull_request", "branch"] {
                        assert!(references.iter().any(|row| row["kind"] == of
                            && row["ref_id"] == json!(pull.id.to_string())
                            && row["issue_key"] == key));
                    }
                }
                let reachable = repo.reachable(repo.head.as_deref().unwrap(), None);
                for commit in &reachable {
                    let row = commits
                        .iter()
                        .find(|row| row["sha"] == json!(commit.sha))
                        .unwrap();
                    assert_eq!(row["is_on_default_branch"], json!(true));
                    assert_eq!(row["message"], json!(commit.message));
                    assert_eq!(row["parent_shas"], json!(commit.parents));
                    assert!(same_instant(&row["committed_at"], commit.committed, kind));
                }
                let on_branch = commits.iter().filter(|row| {
                    row["repository_id"] == repo.id && row["is_on_default_branch"] == json!(true)
                });
                assert_eq!(on_branch.count(), reachable.len());
                for one in &repo.deployments {
                    let row = deployments
                        .iter()
                        .find(|row| row["deployment_id"] == one.id)
                        .unwrap();
                    let ended = one.statuses.iter().find(|(_, state, _)| {
                        matches!(state, DeployState::Success | DeployState::Failure)
                    });
                    let (_, state, at) = ended.unwrap();
                    let word = if *state == DeployState::Success {
                        "success"
                    } else {
                        "failure"
                    };
                    assert_eq!(row["status"], word);
                    assert!(same_instant(&row["status_at"], *at, kind));
                    assert_eq!(row["is_production"], json!(one.environment == "production"));
                    assert_eq!(row["sha"], json!(one.sha));
                }
            }
        });
        assert!(deployments.iter().any(|row| row["status"] == "failure"));
        let repositories = lake.git("repositories").await;
        assert_eq!(repositories.len(), 2);
        assert!(
            repositories
                .iter()
                .all(|row| row["default_branch"] == "main")
        );
    }
}

#[tokio::test]
async fn what_a_pull_request_shows_no_more_is_marked_at_its_own_instant() {
    for kind in KINDS {
        let server = start(settings(kind, 5)).await;
        let lake = read(&server).await;
        let (id, before, at) = server.edit(|world| {
            world.advance_clock(TimeDelta::hours(1));
            world.open_pull(0);
            let pull = world.repos()[0].pulls.len() - 1;
            (world.repos()[0].pulls[pull].id, pull, world.now())
        });
        let acme = connection(&server);
        lake.sync_with(&acme, pages()).await.unwrap();
        server.edit(|world| {
            world.advance_clock(TimeDelta::hours(1));
            world.rewrite(0, before);
            world.retitle(0, before, "NEXT-1 only");
        });
        lake.sync_with(&acme, pages()).await.unwrap();
        let shown = lake.git("pull_request_commits").await;
        let own: Vec<_> = shown
            .iter()
            .filter(|row| row["pull_request_id"] == id)
            .collect();
        assert_eq!(own.len(), 2);
        let gone: Vec<_> = own
            .iter()
            .filter(|row| !row["deleted_at"].is_null())
            .collect();
        assert_eq!(gone.len(), 1);
        assert!(same_instant(
            &gone[0]["deleted_at"],
            at + TimeDelta::hours(1),
            kind
        ));
        let references = lake.git("issue_references").await;
        let named: Vec<_> = references
            .iter()
            .filter(|row| row["kind"] == "pull_request" && row["ref_id"] == json!(id.to_string()))
            .map(|row| {
                (
                    row["issue_key"].as_str().unwrap(),
                    row["deleted_at"].is_null(),
                )
            })
            .collect();
        assert_eq!(named.len(), 2);
        assert!(named.contains(&("NEXT-1", true)) && named.iter().any(|(_, live)| !live));
    }
}

#[tokio::test]
async fn old_commits_that_a_merge_brings_in_are_read() {
    for kind in KINDS {
        let server = start(settings(kind, 6)).await;
        let lake = read(&server).await;
        let added = server.edit(|world| {
            world.advance_clock(TimeDelta::hours(1));
            let before = world.repos()[0].commits.len();
            world.push(0, TimeDelta::days(300));
            world.repos()[0].commits.len() - before
        });
        assert_eq!(added, 2);
        let before = lake.git("commits").await.len();
        lake.sync_with(&connection(&server), pages()).await.unwrap();
        assert_eq!(lake.git("commits").await.len(), before + added);
        // A rewritten branch keeps the commits that it had.
        server.edit(|world| world.force_push(0));
        lake.sync_with(&connection(&server), pages()).await.unwrap();
        assert_eq!(lake.git("commits").await.len(), before + added + 1);
    }
}

#[tokio::test]
async fn a_deployment_is_followed_to_its_end() {
    for kind in KINDS {
        let server = start(settings(kind, 6)).await;
        let lake = read(&server).await;
        let acme = connection(&server);
        let (id, last) = server.edit(|world| {
            world.advance_clock(TimeDelta::hours(1));
            world.deploy(0, "production", None);
            let deployments = &world.repos()[0].deployments;
            (deployments[deployments.len() - 1].id, deployments.len() - 1)
        });
        let mut found = Vec::new();
        for state in [None, Some(DeployState::Running), Some(DeployState::Failure)] {
            server.edit(|world| {
                world.advance_clock(TimeDelta::hours(1));
                state
                    .into_iter()
                    .for_each(|state| world.progress(0, last, state));
            });
            lake.sync_with(&acme, pages()).await.unwrap();
            let rows = lake.git("deployments").await;
            let row = rows.iter().find(|row| row["deployment_id"] == id).unwrap();
            found.push(row["status"].as_str().unwrap().to_string());
        }
        assert_eq!(found, ["pending", "running", "failure"]);
        server.clear_requests();
        let again = lake.sync_with(&acme, pages()).await.unwrap();
        assert_eq!(again.changed(), 0);
        let asked = server.requests();
        assert!(
            !asked
                .iter()
                .any(|one| one.path.contains(&format!("/deployments/{id}")))
        );
    }
}

#[tokio::test]
async fn a_renamed_repository_stays_and_a_deleted_one_goes() {
    for kind in KINDS {
        let server = start(settings(kind, 4)).await;
        let lake = read(&server).await;
        let mut named = connection(&server);
        named.projects = vec!["acme/service-0".into(), "acme/service-1".into()];
        server.edit(|world| {
            world.rename_repo(0, "renamed");
            world.advance_clock(TimeDelta::minutes(10));
            world.open_pull(0);
        });
        // Under its old name, which the settings still say.
        let report = lake.sync_with(&named, pages()).await.unwrap();
        assert!(report.notes.is_empty(), "{report:?}");
        let pulls = report.stream("pull_requests").unwrap();
        assert_eq!(pulls.inserted, 1, "{kind:?} {report:?}");
        let rows = lake.git("repositories").await;
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().any(|row| row["full_name"] == "acme/renamed"));
        server.edit(|world| world.delete_repo(1));
        let report = lake.sync_with(&named, pages()).await.unwrap();
        assert!(
            report.notes[0]
                .text
                .contains("does not see 'acme/service-1'")
        );
        let rows = lake.git("repositories").await;
        let gone: Vec<_> = rows
            .iter()
            .filter(|row| !row["deleted_at"].is_null())
            .collect();
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0]["full_name"], "acme/service-1");
        assert!(
            !lake
                .git("pull_requests")
                .await
                .iter()
                .any(|row| !row["deleted_at"].is_null())
        );
        // A name that never was one is a mistake.
        named.projects = vec!["acme/typo".into()];
        let error = lake
            .sync_with(&named, pages())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("does not see a repository 'acme/typo'; correct projects"));
        for odd in ["acme", "acme/..", "acme/x?y"] {
            named.projects = vec![odd.into()];
            let error = lake
                .sync_with(&named, pages())
                .await
                .unwrap_err()
                .to_string();
            assert!(error.contains("write it like owner/name"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_record_of_the_future_hides_nothing() {
    for kind in KINDS {
        let server = start(settings(kind, 2)).await;
        server.edit(|world| {
            let repo = &mut world.repos_mut()[0];
            repo.pulls[0].updated += TimeDelta::days(900);
        });
        let lake = read(&server).await;
        server.edit(|world| {
            world.advance_clock(TimeDelta::hours(1));
            world.retitle(0, 1, "after it");
        });
        let acme = connection(&server);
        lake.sync_with(&acme, pages()).await.unwrap();
        let rows = lake.git("pull_requests").await;
        assert!(rows.iter().any(|row| row["title"] == "after it"));
    }
}

#[tokio::test]
async fn a_change_within_the_second_of_the_last_reading_is_not_missed() {
    let server = start(settings(ForgeKind::GitHub, 2)).await;
    server.edit(|world| world.open_pull(0));
    let lake = read(&server).await;
    server.edit(|world| {
        let pull = world.repos()[0].pulls.len() - 1;
        world.advance_clock(TimeDelta::milliseconds(400));
        world.retitle(0, pull, "within the second");
    });
    lake.sync_with(&connection(&server), pages()).await.unwrap();
    let rows = lake.git("pull_requests").await;
    assert!(rows.iter().any(|row| row["title"] == "within the second"));
    server.edit(|world| world.advance_clock(TimeDelta::minutes(1)));
    lake.sync_with(&connection(&server), pages()).await.unwrap();
    let versions = lake.versions().await;
    lake.sync_with(&connection(&server), pages()).await.unwrap();
    assert_eq!(lake.versions().await, versions, "and then it is known");
}

#[tokio::test]
async fn a_first_load_of_commits_goes_on_where_it_stopped() {
    for kind in KINDS {
        let page = ForgeSettings {
            page: 3,
            repositories: 1,
            ..settings(kind, 4)
        };
        let server = start(page).await;
        let lake = Lake::open().await;
        let options = SyncOptions {
            streams: vec!["commits".into()],
            batch_issues: 3,
            ..options()
        };
        let path = match kind {
            ForgeKind::GitHub => "/commits",
            ForgeKind::GitLab => "/repository/commits",
        };
        let long = Some(Duration::from_secs(2));
        let busy = FaultKind::TooManyRequests { retry_after: long };
        server.inject(Fault::new(path, busy).nth(6));
        let mut hasty = options.clone();
        hasty.limits.longest_wait = Duration::from_secs(1);
        lake.sync_with(&connection(&server), hasty)
            .await
            .unwrap_err();
        // Meanwhile the branch moves on.
        server.edit(|world| {
            world.advance_clock(TimeDelta::hours(1));
            world.push(0, TimeDelta::zero());
        });
        server.clear_requests();
        lake.sync_with(&connection(&server), options).await.unwrap();
        let asked = server.requests();
        let pages = asked.iter().filter_map(|one| {
            let page = one
                .query
                .split('&')
                .find_map(|pair| pair.strip_prefix("page="))?;
            page.parse::<u64>().ok()
        });
        assert_eq!(pages.min(), Some(5), "{asked:?}");
        let commits = lake.git("commits").await.len();
        let expected = server.edit(|world| {
            let repo = &world.repos()[0];
            repo.reachable(repo.head.as_deref().unwrap(), None).len()
        });
        assert_eq!(commits, expected);
    }
}

#[tokio::test]
async fn a_repository_that_hides_a_stream_is_noted_and_the_rest_is_read() {
    let server = start(settings(ForgeKind::GitHub, 4)).await;
    let lake = Lake::open().await;
    for _ in 0..2 {
        server.inject(Fault::status("/deployments", 403));
    }
    let report = lake.sync_with(&connection(&server), pages()).await.unwrap();
    assert_eq!(report.notes.len(), 2, "{report:?}");
    assert!(
        report.notes[0]
            .text
            .contains("shows no deployments to this account: 403")
    );
    assert!(lake.git("deployments").await.is_empty());
    assert!(!lake.git("commits").await.is_empty());
    lake.sync_with(&connection(&server), pages()).await.unwrap();
    assert!(!lake.git("deployments").await.is_empty());
}

#[tokio::test]
async fn wrong_settings_are_told_in_one_sentence() {
    for kind in KINDS {
        let server = start(settings(kind, 1)).await;
        let lake = Lake::open().await;
        let mut wrong = connection(&server);
        wrong.token = Secret::new("nope");
        let error = lake.sync(&wrong).await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
        let mut basic = connection(&server);
        basic.auth = Auth::Basic;
        basic.email = "a@example.org".into();
        let error = lake.sync(&basic).await.unwrap_err().to_string();
        assert!(error.contains("write auth = \"bearer\""), "{error}");
        let mut elsewhere = connection(&server);
        elsewhere.url = format!("{}/elsewhere", server.url());
        let error = lake.sync(&elsewhere).await.unwrap_err().to_string();
        assert!(error.contains("was not answered by Git"), "{error}");
        let stream = SyncOptions {
            streams: vec!["issues".into()],
            ..options()
        };
        let error = lake
            .sync_with(&connection(&server), stream)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("there is no stream 'issues'"));
    }
}

#[tokio::test]
async fn the_token_goes_nowhere_else() {
    let server = start(settings(ForgeKind::GitHub, 1)).await;
    let lake = Lake::open().await;
    let mut acme = connection(&server);
    // The server names itself by its number; the settings by another name of the same machine.
    acme.url = acme.url.replace("127.0.0.1", "localhost");
    let error = lake.sync_with(&acme, pages()).await.unwrap_err();
    assert!(matches!(error, Error::Redirected { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("is redirected to http://127.0.0.1"),
        "{error}"
    );
}

#[tokio::test]
async fn discovery_tells_the_repositories_and_that_there_are_no_fields() {
    for (kind, version) in [
        (ForgeKind::GitHub, "GitHub REST"),
        (ForgeKind::GitLab, "GitLab 18.6.0-ee"),
    ] {
        let server = start(settings(kind, 1)).await;
        let mut acme = connection(&server);
        let found = ingest::discover(&acme).await.unwrap();
        assert_eq!(found.projects, ["acme/service-0", "acme/service-1"]);
        assert_eq!(
            (found.account.as_str(), found.version.as_str()),
            ("ada", version)
        );
        assert!(found.boards.is_empty() && found.fields.is_empty());
        assert_eq!(found.source_time, server.edit(|world| world.now()));
        acme.projects = vec!["acme/none".into()];
        let found = ingest::discover(&acme).await.unwrap();
        assert!(found.notes[0].text.contains("does not see 'acme/none'"));
    }
}

#[tokio::test]
async fn a_merge_by_any_way_leads_to_its_commit() {
    for kind in KINDS {
        let server = start(settings(kind, 9)).await;
        server.edit(|world| {
            for way in [Way::Merge, Way::Squash, Way::FastForward] {
                world.advance_clock(TimeDelta::minutes(10));
                world.open_pull(0);
                let pull = world.repos()[0].pulls.len() - 1;
                world.merge(0, pull, way);
            }
        });
        let lake = read(&server).await;
        let commits = lake.git("commits").await;
        let on_branch = |sha: &Value| {
            let found = commits.iter().find(|row| row["sha"] == *sha);
            found.is_some_and(|row| row["is_on_default_branch"] == json!(true))
        };
        let merged = lake.git("pull_requests").await;
        let merged: Vec<_> = merged
            .iter()
            .filter(|row| row["state"] == "merged")
            .collect();
        assert!(merged.len() >= 3);
        assert!(merged.iter().all(|row| on_branch(&row["merge_commit_sha"])));
    }
}
