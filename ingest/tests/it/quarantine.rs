//! Records that no table took: set aside, told, and read once they can be.

use serde_json::{Value, json};
use warehouse::meta::Quarantined;

use crate::engine::site;
use crate::site::START;
use crate::{Lake, SyncOptions, connection, options};

/// A record as an older version would have set it aside.
fn refused(stream: &str, key: &str, payload: &Value) -> Quarantined {
    Quarantined {
        connection: "acme".into(),
        stream: stream.into(),
        key: key.into(),
        run_id: "before".into(),
        error: "an older version could not read it".into(),
        payload: payload.to_string(),
        seen_at: chrono::Utc::now(),
        mapping_version: 0,
    }
}

async fn keys(lake: &Lake) -> Vec<(String, String)> {
    let found = lake.warehouse.meta().quarantined(100).await.unwrap();
    let mut keys: Vec<_> = found.into_iter().map(|one| (one.stream, one.key)).collect();
    keys.sort();
    keys
}

#[tokio::test]
async fn what_an_older_version_refused_is_read_by_the_next_sync() {
    let site = site(2).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    lake.sync(&acme).await.unwrap();
    let history = json!({"id": "999", "created": "2026-03-01T12:00:00.000+0000",
        "items": [{"field": "labels", "fieldId": "labels", "from": null, "to": "x"}]});
    let link =
        json!({"id": "5", "type": {"id": "1", "name": "Blocks"}, "outwardIssue": {"id": "10002"}});
    let worklog = json!({"id": "77", "issueId": "10001", "timeSpentSeconds": 60});
    for one in [
        refused("changelogs", "10001/999", &history),
        refused("changelogs", "10001/1000", &json!({"id": "1000"})),
        refused("comments", "10001/0", &json!({"id": "3", "body": "b"})),
        refused("issue_links", "10001/0", &link),
        refused("worklogs", "77", &worklog),
    ] {
        lake.warehouse.meta().quarantine(&one).await.unwrap();
    }
    let report = lake.sync(&acme).await.unwrap();
    let told = |text: &str| report.notes.iter().any(|note| note.text.contains(text));
    assert!(told(
        "5 records that an older version refused were read again; 1 stay"
    ));
    let items = lake.table("changelog_items").await;
    assert!(items.iter().any(|row| row["history_id"] == 999));
    let (comments, links, worklogs) = (
        lake.table("comments").await,
        lake.table("issue_links").await,
        lake.table("worklogs").await,
    );
    assert_eq!((comments.len(), links.len(), worklogs.len()), (1, 1, 1));
    assert_eq!(comments[0]["issue_id"], json!(10_001));
    let left = lake.warehouse.meta().quarantined(10).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].error, "changed_at is missing");
    assert!(left[0].mapping_version > 0, "it is not tried again");
    let again = lake.sync(&acme).await.unwrap();
    let told = again
        .notes
        .iter()
        .any(|note| note.text.contains("read again"));
    assert!(!told && again.changed() == 0, "{again:?}");
}

/// A replay reads everything landed; what this version can read leaves the quarantine.
#[tokio::test]
async fn a_replay_releases_what_can_be_read_now() {
    let site = site(2).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    lake.sync(&acme).await.unwrap();
    let rows = lake.rows().await;
    let history = lake.table("changelog_items").await.remove(0);
    let history = format!("{}/{}", history["issue_id"], history["history_id"]);
    for (stream, key) in [
        ("issues", "10001"),
        ("changelogs", history.as_str()),
        ("statuses", "1"),
    ] {
        let one = refused(stream, key, &json!("unreadable then"));
        lake.warehouse.meta().quarantine(&one).await.unwrap();
    }
    let replay = SyncOptions {
        replay: true,
        ..options()
    };
    lake.sync_with(&acme, replay).await.unwrap();
    assert_eq!(keys(&lake).await, []);
    assert_eq!(lake.rows().await, rows);
}

#[tokio::test]
async fn parts_of_an_issue_leave_with_their_fault_or_with_themselves() {
    let site = site(1).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    let comments = |list: Value| {
        let total = list.as_array().unwrap().len();
        let comment = json!({"comments": list, "total": total});
        site.change(10_001, "comment", comment);
    };
    comments(json!([{"body": "no id"}, {"body": "none either"}, {"id": "3"}]));
    lake.sync(&acme).await.unwrap();
    let of_comments = |position: &str| ("comments".to_string(), format!("10001/{position}"));
    assert_eq!(keys(&lake).await, [of_comments("0"), of_comments("1")]);
    // The first is healed, the second is gone.
    comments(json!([{"id": "1", "body": "healed"}]));
    lake.sync(&acme).await.unwrap();
    assert_eq!(keys(&lake).await, []);
}

/// A worklog that is deleted while it is in quarantine does not come back with a version that reads it.
#[tokio::test]
async fn a_deleted_worklog_leaves_the_quarantine() {
    let site = site(1).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    site.edit(|state| {
        let worklog = json!({"id": "4", "timeSpentSeconds": 60});
        state.worklogs.insert(4, (START, worklog));
    });
    lake.sync(&acme).await.unwrap();
    assert_eq!(
        keys(&lake).await,
        [("worklogs".to_string(), "4".to_string())]
    );
    site.edit(|state| {
        state.worklogs.remove(&4);
        state.worklogs_gone.insert(4, START + 1000);
    });
    lake.sync(&acme).await.unwrap();
    assert_eq!(keys(&lake).await, []);
    let files = lake.warehouse.raw().files("acme", "worklog_deletions");
    assert_eq!(files.await.unwrap().len(), 1, "a replay knows of it");
}
