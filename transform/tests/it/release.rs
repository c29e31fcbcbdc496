//! What a refresh publishes, and when it does not.

use std::collections::BTreeMap;

use serde_json::json;
use transform::{Error, Project, RefreshOptions};

use crate::history::{History, Silent};

/// A model over the boards, with a check that no board is named `bad`.
fn guarded() -> Project {
    let yml = "description: d\ngrain: board\nkey: [connection, board_id]\nmaterialisation: table\n\
               owner: o\ncolumns: {connection: c, board_id: i, name: n}\n";
    let files = [
        (
            "staging/b.sql",
            "select connection, board_id, name from jira.boards",
        ),
        ("staging/b.yml", yml),
        (
            "checks/no_bad_board.sql",
            "select board_id, name from staging.b where name = 'bad'",
        ),
    ];
    let files: BTreeMap<String, String> = files
        .map(|(name, text)| (name.to_string(), text.to_string()))
        .into();
    Project::from_files(&files).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_test_keeps_the_old_release_and_says_which_rows() {
    let mut h = History::new().await;
    h.write().await;
    let (project, options) = (guarded(), RefreshOptions::default());
    let refreshed = transform::refresh(&h.lake, &project, &options, &Silent)
        .await
        .unwrap();
    assert_eq!(refreshed.release.as_deref(), Some("r1"));

    h.add("boards", json!({"board_id": 7, "name": "bad"}));
    h.write().await;
    let error = transform::refresh(&h.lake, &project, &options, &Silent)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Checks(_)), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("no_bad_board (1 rows") && message.contains("\"board_id\":7"),
        "{message}"
    );
    assert_eq!(
        h.lake
            .releases()
            .latest()
            .await
            .unwrap()
            .unwrap()
            .release_id,
        "r1"
    );
    let boards = h.sql("select name from staging.b where name = 'bad'").await;
    assert!(boards.is_empty(), "the row that was refused is not visible");
    assert_eq!(h.lake.meta().runs(1).await.unwrap()[0].status, "failed");

    h.add("boards", json!({"board_id": 7, "name": "good"}));
    h.write().await;
    let refreshed = transform::refresh(&h.lake, &project, &options, &Silent)
        .await
        .unwrap();
    assert_eq!(refreshed.release.as_deref(), Some("r2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_of_unchanged_data_publishes_nothing() {
    let mut h = History::new().await;
    h.issue(1, 3, Some(5.0), &[10]);
    assert_eq!(h.refresh().await.unwrap().release.as_deref(), Some("r1"));
    let again = h.refresh().await.unwrap();
    assert_eq!(again.release, None);
    assert!(again.models.iter().all(|model| model.skipped));
    h.issue(2, 1, None, &[]);
    assert_eq!(h.refresh().await.unwrap().release.as_deref(), Some("r2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_mapped_to_two_columns_counts_an_issue_once() {
    let mut h = History::new().await;
    h.issue(1, 1, Some(5.0), &[10]);
    h.add(
        "board_columns",
        json!({"board_id": 1, "ordinal": 5, "status_id": 1, "status_key": "1", "name": "again",
            "is_last": false}),
    );
    h.refresh().await.unwrap();
    assert_eq!(
        h.sql("select count(*) as n from marts.sprint_scope").await[0]["n"],
        1
    );
}
