//! Recorded payloads of a real site, served again. Skipped without `SPRINT_REPORTS_TEST_DATA`.

use std::collections::HashSet;
use std::path::PathBuf;

use serde_json::json;
use simulator::Simulator;

use crate::client::{Client, small};

async fn replay() -> Option<Client> {
    let Some(dir) = std::env::var_os("SPRINT_REPORTS_TEST_DATA") else {
        println!("skipped: SPRINT_REPORTS_TEST_DATA names no folder with recordings");
        return None;
    };
    let dir = PathBuf::from(dir).join("devlake/raw");
    Some(Client::of(Simulator::replay(&dir, small()).await.unwrap()))
}

#[tokio::test]
async fn serves_every_recorded_issue_and_history_item() {
    let Some(client) = replay().await else { return };
    let issues = client.search("project = EE ORDER BY id", "*all", 100).await;
    assert_eq!(issues.len(), 30);
    assert!(
        issues
            .iter()
            .all(|issue| issue["fields"]["project"]["id"] == "10003")
    );
    let ids: Vec<_> = issues.iter().map(|issue| issue["id"].clone()).collect();
    let logs = client
        .post(
            "/rest/api/3/changelog/bulkfetch",
            json!({"issueIdsOrKeys": ids}),
        )
        .await;
    let histories = logs["issueChangeLogs"].as_array().unwrap().iter();
    let histories: Vec<_> = histories
        .flat_map(|log| log["changeHistories"].as_array().unwrap())
        .collect();
    let items: usize = histories
        .iter()
        .map(|history| history["items"].as_array().unwrap().len())
        .sum();
    assert_eq!(items, 709);
    let distinct: HashSet<_> = histories
        .iter()
        .map(|history| history["id"].to_string())
        .collect();
    assert_eq!(distinct.len(), histories.len());
    let single = client.get("/rest/api/3/issue/EE-1/changelog").await;
    assert_eq!(single["total"], 25);
    assert_eq!(client.search("sprint = 7", "id", 50).await.len(), 27);
}

#[tokio::test]
async fn serves_recorded_reference_data_and_invents_none() {
    let Some(client) = replay().await else { return };
    let sprints = client.get("/rest/agile/1.0/board/8/sprint").await;
    assert_eq!(sprints["total"], 30);
    assert_eq!(
        client.get("/rest/agile/1.0/board").await["values"][0]["location"]["projectId"],
        10_003
    );
    assert_eq!(
        client
            .raw("/rest/agile/1.0/board/8/configuration")
            .await
            .status(),
        404
    );
    let fields = client.get("/rest/api/3/field").await;
    let sprint = fields
        .as_array()
        .unwrap()
        .iter()
        .find(|field| field["id"] == "customfield_10020")
        .unwrap();
    assert_eq!(
        sprint["schema"]["custom"],
        "com.pyxis.greenhopper.jira:gh-sprint"
    );
    assert!(
        client
            .get("/rest/api/3/status")
            .await
            .as_array()
            .unwrap()
            .len()
            > 40
    );
    assert_eq!(client.get("/rest/api/3/project/search").await["total"], 12);
    let worklogs = client.get("/rest/api/3/worklog/updated?since=0").await;
    assert_eq!(worklogs["values"].as_array().unwrap().len(), 30);
}
