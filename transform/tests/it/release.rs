//! What a refresh publishes, and when it does not.

use serde_json::json;

use crate::history::History;

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
