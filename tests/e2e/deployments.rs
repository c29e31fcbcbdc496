//! What deployments brought, against what the simulated forge knows of its own history.

use std::collections::BTreeMap;

use simulator::forge::{DeployState, Forge, ForgeKind, ForgeSettings, ForgeWorld};
use tests::{Product, now};

/// The first production deployment that contains each commit, by repository and hash: everything that
/// the deployed commits can reach, in the order in which they reached production.
fn firsts(world: &ForgeWorld) -> BTreeMap<(u64, String), u64> {
    let mut found = BTreeMap::new();
    for repo in world.repos() {
        let mut deployed: Vec<_> = repo
            .deployments
            .iter()
            .filter(|one| one.environment == "production")
            .filter_map(|one| {
                let reached = one
                    .statuses
                    .iter()
                    .find(|(_, state, _)| *state == DeployState::Success);
                reached.map(|(_, _, at)| (*at, one.id, one.sha.as_str()))
            })
            .collect();
        deployed.sort();
        for (_, id, sha) in deployed {
            for commit in repo.reachable(sha, None) {
                found.entry((repo.id, commit.sha.clone())).or_insert(id);
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_commit_belongs_to_the_first_deployment_that_reaches_it() {
    for (kind, name) in [(ForgeKind::GitHub, "github"), (ForgeKind::GitLab, "gitlab")] {
        let settings = ForgeSettings {
            days: 40,
            ..ForgeSettings::small(kind, 3, now())
        };
        let token = settings.token.clone();
        let forge = Forge::start(settings).await.unwrap();
        let (expected, repositories) = forge.edit(|world| {
            let names: Vec<String> = world
                .repos()
                .iter()
                .map(|repo| format!("\"{}\"", repo.full_name()))
                .collect();
            (firsts(world), names.join(", "))
        });
        let product = Product::new();
        product.write(
            "sprint-reports.toml",
            &format!(
                "[[connections]]\nname = \"forge\"\nkind = \"{name}\"\nurl = \"{}\"\n\
                 auth = \"bearer\"\ntoken = \"{token}\"\nprojects = [{repositories}]\n",
                forge.url()
            ),
        );
        product.run(&["sync"]).ok();
        product.run(&["refresh"]).ok();
        let found: BTreeMap<(u64, String), u64> = product
            .sql(
                "select repository_id, sha, deployment_id \
                 from intermediate.int_git__commit_deployments where found_by = 'parents'",
            )
            .into_iter()
            .map(|row| {
                let sha = row["sha"].as_str().unwrap().to_owned();
                let key = (row["repository_id"].as_u64().unwrap(), sha);
                (key, row["deployment_id"].as_u64().unwrap())
            })
            .collect();
        assert!(found.len() > 100, "{name}: {} commits", found.len());
        assert_eq!(found, expected, "{name}");
        // All commits are read, so nothing is found by time; squashed ones go with their request.
        let others = product.sql(
            "select distinct found_by from intermediate.int_git__commit_deployments \
             where found_by <> 'parents'",
        );
        assert!(
            others.iter().all(|row| row["found_by"] == "pull_request"),
            "{name}: {others:?}"
        );
        let deployed = product.value("select count(deployed_at) as n from marts.deployments");
        let weekly = product.value("select sum(deployments) as n from marts.dora_weekly");
        assert_eq!(deployed, weekly, "{name}");
    }
}
