//! Deployments, what they brought and whether they failed; where the time of pull requests went.
//! January 2026: the 5th, 12th and 19th are Mondays.

use serde_json::{Value, json};

use crate::history::{History, at};

fn sha(n: u32) -> String {
    format!("{n:040x}")
}

/// A commit on the default branch of a repository.
fn commit(h: &mut History, repository: i64, n: u32, day: f64, parents: &[u32]) {
    commit_with(h, repository, n, day, parents, json!({}));
}

fn commit_with(h: &mut History, repository: i64, n: u32, day: f64, parents: &[u32], more: Value) {
    let parents: Vec<_> = parents.iter().map(|parent| sha(*parent)).collect();
    let mut row = json!({"connection": "forge", "repository_id": repository, "sha": sha(n),
        "is_on_default_branch": true, "author_email": "dev@example.org", "authored_at": at(day),
        "committed_at": at(day), "title": format!("Change {n}"), "message": format!("Change {n}"),
        "parent_shas": parents});
    row.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    h.add("git.commits", row);
}

fn deployment(h: &mut History, id: i64, repository: i64, n: u32, day: f64, more: Value) {
    let mut row = json!({"connection": "forge", "deployment_id": id, "repository_id": repository,
        "sha": sha(n), "environment": "production", "is_production": true, "status": "success",
        "status_at": at(day), "created_at": at(day - 0.01)});
    row.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    h.add("git.deployments", row);
}

fn repository(h: &mut History, id: i64) {
    h.add(
        "git.repositories",
        json!({"connection": "forge", "repository_id": id, "full_name": format!("acme/app{id}"),
            "name": format!("app{id}"), "default_branch": "main"}),
    );
}

/// A pull request whose commits are named in their order.
fn pull_request(h: &mut History, id: i64, repository: i64, commits: &[u32], more: Value) {
    let mut row = json!({"connection": "forge", "pull_request_id": id, "repository_id": repository,
        "number": id, "title": format!("Request {id}"), "state": "open", "base_branch": "main",
        "created_at": at(5.0), "updated_at": at(8.0)});
    row.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    h.add("git.pull_requests", row);
    for (position, n) in commits.iter().enumerate() {
        h.add(
            "git.pull_request_commits",
            json!({"connection": "forge", "pull_request_id": id, "sha": sha(*n),
                "repository_id": repository, "position": position}),
        );
    }
}

async fn rows(h: &History, sql: &str) -> Vec<Value> {
    h.sql(sql).await.into_iter().map(Value::Object).collect()
}

/// Every number is computed by hand in the comments; hours are those of whole days of the fixture.
#[tokio::test(flavor = "multi_thread")]
async fn the_four_keys_of_a_repository() {
    let mut h = History::new().await;
    repository(&mut h, 1);
    // Deployment 1 on the 6th brings commits 1 (24 h before) and 2 (12 h).
    commit(&mut h, 1, 1, 5.0, &[]);
    commit(&mut h, 1, 2, 5.5, &[1]);
    deployment(&mut h, 1, 1, 2, 6.0, json!({}));
    // Deployment 2 on the 9th brings commit 3 (48 h) and, by merge 6, the branch of commits 4 (78 h;
    // older than deployment 1) and 5 (24 h). The merge is no change.
    commit(&mut h, 1, 3, 7.0, &[2]);
    commit(&mut h, 1, 4, 5.75, &[1]);
    commit(&mut h, 1, 5, 8.0, &[4]);
    commit(&mut h, 1, 6, 8.5, &[3, 5]);
    deployment(&mut h, 2, 1, 6, 9.0, json!({}));
    // Deployment 3 on the 10th goes back to commit 2: nothing new.
    deployment(&mut h, 3, 1, 2, 10.0, json!({}));
    // An incident after deployment 2: resolved on the 9th, re-opened, resolved on the 11th.
    h.issue_with(
        50,
        3,
        None,
        &[],
        json!({"issue_type": "Incident", "created_at": at(9.5)}),
    );
    h.status(50, 9.75, 1, 3);
    h.status(50, 10.25, 3, 2);
    h.status(50, 11.0, 2, 3);
    // Deployment 4 (12th, noon) brings commit 7 (12 h); deployment 5 (13th, 6:00) takes it back (6 h).
    commit(&mut h, 1, 7, 12.0, &[6]);
    deployment(&mut h, 4, 1, 7, 12.5, json!({}));
    let message = format!("Revert \"Change 7\"\n\nThis reverts commit {}.", sha(7));
    let revert = json!({"title": "Revert \"Change 7\"", "message": message});
    commit_with(&mut h, 1, 8, 13.0, &[7], revert);
    deployment(&mut h, 5, 1, 8, 13.25, json!({}));
    // Deployment 6 brings commit 9 (12 h) and, named by its title only, what takes it back (6 h).
    commit(&mut h, 1, 9, 14.0, &[8]);
    let revert = json!({"title": "Revert \"Change 9\" (#4)", "message": "Reverts acme/app1#3"});
    commit_with(&mut h, 1, 10, 14.25, &[9], revert);
    deployment(&mut h, 6, 1, 10, 14.5, json!({}));
    // 7 did not reach production, 8 is not production, 9 is by its name, and repeats what is there.
    deployment(&mut h, 7, 1, 10, 15.0, json!({"status": "failure"}));
    deployment(&mut h, 8, 1, 10, 15.1, json!({"is_production": false}));
    let by_name = json!({"is_production": null, "environment": "eu-prod"});
    deployment(&mut h, 9, 1, 10, 15.5, by_name);
    deployment(
        &mut h,
        10,
        1,
        10,
        15.6,
        json!({"is_production": null, "environment": "products"}),
    );
    // An incident by its label, not resolved yet; a sub-task is none, nor is another label.
    h.issue_with(
        51,
        2,
        None,
        &[],
        json!({"labels": ["web", "Incident"], "created_at": at(16.0)}),
    );
    h.issue_with(
        52,
        2,
        None,
        &[],
        json!({"labels": ["incident"], "created_at": at(12.6), "is_subtask": true}),
    );
    h.issue_with(
        53,
        2,
        None,
        &[],
        json!({"labels": ["no-incident"], "created_at": at(12.6)}),
    );
    // Not deployed; the forge knows of nothing later.
    commit(&mut h, 1, 11, 21.0, &[10]);
    h.refresh().await.unwrap();

    let seen = rows(
        &h,
        "select deployment_id, commits, lead_time_p50_hours as p50, lead_time_max_hours as most, \
         failed, incidents, reverts, recovered_at, recovery_time_hours as recovery \
         from marts.deployments order by deployment_id",
    )
    .await;
    let row = |id: i64, commits: i64, p50: Value, most: Value, failed: Value| {
        json!({"deployment_id": id, "commits": commits, "p50": p50, "most": most, "failed": failed,
            "incidents": 0, "reverts": 0, "recovered_at": null, "recovery": null})
    };
    let mut second = row(2, 3, json!(48.0), json!(78.0), json!(true));
    second["incidents"] = json!(1);
    second["recovered_at"] = json!("2026-01-11T00:00:00Z");
    second["recovery"] = json!(48.0);
    let mut fourth = row(4, 1, json!(12.0), json!(12.0), json!(true));
    fourth["reverts"] = json!(1);
    fourth["recovered_at"] = json!("2026-01-13T06:00:00Z");
    fourth["recovery"] = json!(18.0);
    let mut ninth = row(9, 0, Value::Null, Value::Null, json!(true));
    ninth["incidents"] = json!(1);
    let expected = [
        row(1, 2, json!(18.0), json!(24.0), json!(false)),
        second,
        row(3, 0, Value::Null, Value::Null, json!(false)),
        fourth,
        row(5, 1, json!(6.0), json!(6.0), json!(false)),
        row(6, 2, json!(9.0), json!(12.0), json!(false)),
        row(7, 0, Value::Null, Value::Null, Value::Null),
        ninth,
    ];
    assert_eq!(seen, expected);

    let weeks = rows(
        &h,
        "select week, provisional, deployments as n, deployment_frequency as frequency, commits, \
         lead_time_for_changes_p50_hours as lead, change_fail_rate as rate, \
         recovery_time_p50_hours as recovery from marts.dora_weekly order by week",
    )
    .await;
    let expected = [
        // Leads 12, 24, 24, 48, 78. One of three failed.
        json!({"week": "2026-01-05", "provisional": false, "n": 3, "frequency": 3.0, "commits": 5,
            "lead": 24.0, "rate": 1.0 / 3.0, "recovery": 48.0}),
        // Leads 6, 6, 12, 12. Deployments 4 and 9 of four failed; 9 has not recovered.
        json!({"week": "2026-01-12", "provisional": false, "n": 4, "frequency": 4.0, "commits": 4,
            "lead": 9.0, "rate": 0.5, "recovery": 18.0}),
        json!({"week": "2026-01-19", "provisional": true, "n": 0, "frequency": 0.0, "commits": 0,
            "lead": null, "rate": null, "recovery": null}),
    ];
    assert_eq!(weeks, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn weeks_begin_where_the_site_is() {
    let mut h = History::new().await;
    h.add("sites", json!({"time_zone": "America/New_York"}));
    repository(&mut h, 1);
    commit(&mut h, 1, 1, 11.0, &[]);
    // Monday the 12th at 3:00 UTC is Sunday evening there.
    deployment(&mut h, 1, 1, 1, 12.125, json!({}));
    h.refresh().await.unwrap();
    let weeks = rows(&h, "select week, time_zone from marts.dora_weekly").await;
    assert_eq!(
        weeks,
        [json!({"week": "2026-01-05", "time_zone": "America/New_York"})]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deployment_brought_where_parents_do_not_say_it() {
    let mut h = History::new().await;
    // Repository 1: request 1 (commits 2 and 3) is squashed into commit 4.
    repository(&mut h, 1);
    let off = json!({"is_on_default_branch": false});
    commit(&mut h, 1, 1, 4.0, &[]);
    deployment(&mut h, 1, 1, 1, 4.5, json!({}));
    commit_with(&mut h, 1, 2, 5.0, &[1], off.clone());
    commit_with(&mut h, 1, 3, 5.5, &[2], off.clone());
    commit(&mut h, 1, 4, 6.5, &[1]);
    let merged = json!({"state": "merged", "created_at": at(5.75), "first_review_at": at(6.0),
        "merged_at": at(6.5), "closed_at": at(6.5), "merge_commit_sha": sha(4)});
    pull_request(&mut h, 1, 1, &[2, 3], merged);
    // Request 2 (commit 5) is rebased: commit 6 is its copy.
    let writing = json!({"authored_at": at(6.0), "title": "Copied", "is_on_default_branch": false});
    commit_with(&mut h, 1, 5, 6.0, &[1], writing);
    let copy = json!({"authored_at": at(6.0), "title": "Copied"});
    commit_with(&mut h, 1, 6, 6.75, &[4], copy);
    let merged = json!({"state": "merged", "created_at": at(5.5), "merged_at": at(6.75),
        "closed_at": at(6.75), "merge_commit_sha": sha(6)});
    pull_request(&mut h, 2, 1, &[5], merged);
    deployment(&mut h, 2, 1, 6, 7.0, json!({}));
    // Request 3 is open and reviewed.
    commit_with(&mut h, 1, 7, 7.0, &[6], off);
    let open = json!({"created_at": at(7.25), "first_review_at": at(7.5)});
    pull_request(&mut h, 3, 1, &[7], open);

    // Repository 2: what was deployed was not read. Commit 21 goes by its time; 22, committed before the
    // first deployment, came into the branch after it.
    repository(&mut h, 2);
    commit(&mut h, 2, 21, 7.0, &[]);
    deployment(&mut h, 3, 2, 900, 8.0, json!({}));
    commit(&mut h, 2, 22, 7.5, &[21]);
    let merged = json!({"state": "merged", "created_at": at(7.75), "merged_at": at(9.5),
        "closed_at": at(9.5)});
    pull_request(&mut h, 4, 2, &[22], merged);
    deployment(&mut h, 4, 2, 901, 10.0, json!({}));
    h.refresh().await.unwrap();

    let found = rows(
        &h,
        "select repository_id as r, sha, deployment_id as d, found_by as f, lead_time_hours as h \
         from intermediate.int_git__commit_deployments order by repository_id, sha",
    )
    .await;
    let row = |r: i64, n: u32, d: i64, f: &str, hours: Option<f64>| json!({"r": r, "sha": sha(n), "d": d, "f": f, "h": hours});
    let expected = [
        row(1, 1, 1, "parents", Some(12.0)),
        row(1, 2, 2, "pull_request", Some(48.0)),
        row(1, 3, 2, "pull_request", Some(36.0)),
        row(1, 4, 2, "parents", None),
        row(1, 5, 2, "pull_request", Some(24.0)),
        row(1, 6, 2, "parents", None),
        row(2, 21, 3, "time", Some(24.0)),
        row(2, 22, 4, "time", Some(60.0)),
    ];
    assert_eq!(found, expected);

    let flow = rows(
        &h,
        "select pull_request_id as id, coding_hours as coding, pickup_hours as pickup, \
         review_hours as review, merge_hours as merge, deploy_hours as deploy, \
         cycle_time_hours as cycle, deployment_id as d \
         from marts.pull_request_flow order by pull_request_id",
    )
    .await;
    let expected = [
        // Commit 5.0, opened 5.75, reviewed 6.0, merged 6.5, deployed 7.0.
        json!({"id": 1, "coding": 18.0, "pickup": 6.0, "review": 12.0, "merge": 18.0, "deploy": 12.0,
            "cycle": 48.0, "d": 2}),
        // Opened 5.5, half a day before the first commit; no review; merged 6.75, deployed 7.0.
        json!({"id": 2, "coding": 0.0, "pickup": null, "review": null, "merge": 30.0, "deploy": 6.0,
            "cycle": 36.0, "d": 2}),
        json!({"id": 3, "coding": 6.0, "pickup": 6.0, "review": null, "merge": null, "deploy": null,
            "cycle": null, "d": null}),
        // Commit 7.5, opened 7.75, merged 9.5, deployed 10.0 with its only commit.
        json!({"id": 4, "coding": 6.0, "pickup": null, "review": null, "merge": 42.0, "deploy": 12.0,
            "cycle": 60.0, "d": 4}),
    ];
    assert_eq!(flow, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_requests_know_their_issues_and_incidents_their_repository() {
    let mut h = History::new().await;
    for id in [1, 2] {
        repository(&mut h, id);
        let n = u32::try_from(id).unwrap();
        commit(&mut h, id, n, 5.0, &[]);
        deployment(&mut h, id, id, n, 6.0, json!({}));
    }
    pull_request(&mut h, 1, 1, &[1], json!({}));
    h.issue_with(1, 1, None, &[10], json!({"project_id": 7}));
    // Issue 2 was OLD-7 before it was moved; issue 3 of another site has the key of issue 1.
    h.issue_with(2, 1, None, &[10, 11], json!({"project_id": 7}));
    h.add(
        "changelog_items",
        json!({"history_id": 700, "ordinal": 0, "issue_id": 2, "changed_at": at(3.0),
        "field": "Key", "from_string": "OLD-7", "to_string": "A-2"}),
    );
    h.add(
        "issues",
        json!({"connection": "other", "issue_id": 3, "issue_key": "A-1", "is_subtask": false,
        "created_at": at(1.0), "updated_at": at(1.0), "sprint_ids": [90]}),
    );
    for (kind, text, key) in [
        ("pull_request", "1".to_owned(), "A-1"),
        ("branch", "1".to_owned(), "A-1"),
        ("commit", sha(1), "OLD-7"),
        ("pull_request", "1".to_owned(), "UTF-8"),
    ] {
        h.add(
            "git.issue_references",
            json!({"connection": "forge", "repository_id": 1, "kind": kind, "ref_id": text,
                "issue_key": key, "position": 0}),
        );
    }
    // Repository 2 names incident 60 itself; 61 is of a project that repository 1 names; of 62 nobody
    // knows; 63 was there before any deployment.
    h.add(
        "git.issue_references",
        json!({"connection": "forge", "repository_id": 2, "kind": "commit", "ref_id": sha(2),
            "issue_key": "A-60", "position": 0}),
    );
    for (id, project, day) in [(60, 9, 7.0), (61, 7, 7.0), (62, 8, 7.0), (63, 7, 5.0)] {
        h.issue_with(
            id,
            1,
            None,
            &[],
            json!({"issue_type": "Production Incident", "project_id": project, "created_at": at(day)}),
        );
    }
    h.refresh().await.unwrap();
    let flow = rows(
        &h,
        "select issue_ids, issue_keys, sprint_ids from marts.pull_request_flow",
    )
    .await;
    assert_eq!(
        flow,
        [json!({"issue_ids": [1, 2, 3], "issue_keys": ["A-1", "A-2"], "sprint_ids": [10, 11, 90]})]
    );
    let links = rows(
        &h,
        "select issue_connection as site, issue_id as id, in_title, in_branch, in_commit \
         from marts.pull_request_issues order by issue_id",
    )
    .await;
    let link = |site: &str, id: i64, places: [bool; 3]| json!({"site": site, "id": id, "in_title": places[0], "in_branch": places[1], "in_commit": places[2]});
    let expected = [
        link("acme", 1, [true, true, false]),
        link("acme", 2, [false, false, true]),
        link("other", 3, [true, true, false]),
    ];
    assert_eq!(links, expected);
    let incidents = rows(
        &h,
        "select issue_id, deployment_id, linked_by from intermediate.int_git__deployment_incidents \
         order by issue_id",
    )
    .await;
    assert_eq!(
        incidents,
        [
            json!({"issue_id": 60, "deployment_id": 2, "linked_by": "mentioned"}),
            json!({"issue_id": 61, "deployment_id": 1, "linked_by": "project"}),
        ]
    );
}
