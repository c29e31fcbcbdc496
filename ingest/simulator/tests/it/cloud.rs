//! The Cloud API: search, bulk fetches, reference data, boards.

use reqwest::StatusCode;
use serde_json::{Value, json};
use simulator::{Edit, Settings};

use crate::client::{Client, settings, small};

#[tokio::test]
async fn pages_through_every_issue_once() {
    let client = Client::start(settings()).await;
    let expected: Vec<String> = client
        .simulator
        .edit(|world| world.issues().map(|i| i.id.to_string()).collect());
    for (fields, page) in [("id", 300), ("summary", 100)] {
        let found = client
            .search("project in (ATLAS, NOVA) ORDER BY id", fields, page)
            .await;
        let ids: Vec<String> = found
            .iter()
            .map(|issue| issue["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids, expected);
    }
    let by_update = client
        .search("updated >= 0 ORDER BY updated ASC, key", "id", 777)
        .await;
    assert_eq!(by_update.len(), expected.len());
    let count = client
        .post(
            "/rest/api/3/search/approximate-count",
            json!({"jql": "id > 0"}),
        )
        .await;
    assert_eq!(count["count"], expected.len());
}

#[tokio::test]
async fn refuses_what_jira_refuses() {
    let client = Client::start(small()).await;
    let (status, message) = client
        .refused("/rest/api/3/search/jql?jql=order+by+id")
        .await;
    assert_eq!(status, 400);
    assert!(message.starts_with("Unbounded JQL queries are not allowed here."));
    let (status, message) = client.refused("/rest/api/2/search?jql=id>0").await;
    assert_eq!(status, 410);
    assert!(message.starts_with("The requested API has been removed."));
    let (status, _) = client
        .refused("/rest/api/3/search/jql?jql=id>0&nextPageToken=abc")
        .await;
    assert_eq!(status, 400);
    assert_eq!(client.raw("/rest/api/3/issue/NOPE-1").await.status(), 404);
    assert_eq!(client.raw("/rest/api/3/nothing").await.status(), 404);
    let url = format!("{}/rest/api/3/myself", client.simulator.url());
    let anonymous = reqwest::get(&url).await.unwrap();
    assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED);
    assert!(anonymous.json::<Value>().await.unwrap()["errorMessages"].is_array());
    let bearer = reqwest::Client::new()
        .get(&url)
        .bearer_auth("simulator-token")
        .send()
        .await
        .unwrap();
    assert_eq!(bearer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_token_belongs_to_its_query() {
    let client = Client::start(small()).await;
    let page = client
        .get("/rest/api/3/search/jql?jql=id>0&maxResults=2")
        .await;
    let token = page["nextPageToken"].as_str().unwrap();
    let other = format!("/rest/api/3/search/jql?jql=id>1&maxResults=2&nextPageToken={token}");
    assert_eq!(client.refused(&other).await.0, 400);
    let same = format!("/rest/api/3/search/jql?jql=id>0&maxResults=2&nextPageToken={token}");
    assert_eq!(
        client.get(&same).await["issues"].as_array().unwrap().len(),
        2
    );
    client.simulator.advance(chrono::TimeDelta::days(8));
    assert_eq!(client.refused(&same).await.0, 400);
}

#[tokio::test]
async fn bulk_fetch_follows_moves_and_omits_the_missing() {
    let client = Client::start(settings()).await;
    let (moved, old, gone) = client.simulator.edit(|world| {
        let atlas = world.projects()[0].id;
        let mut issues = world
            .issues()
            .filter(|issue| issue.project == atlas && !issue.is_subtask());
        let (first, second) = (issues.next().unwrap(), issues.last().unwrap());
        let (moved, old, gone) = (first.id, first.key.clone(), second.id);
        let target = world.projects()[1].id;
        world
            .apply_now(Edit::Move {
                issue: moved,
                project: target,
            })
            .unwrap();
        world.apply_now(Edit::Delete { issue: gone }).unwrap();
        (moved, old, gone)
    });
    let asked = json!({"issueIdsOrKeys": [gone.to_string(), old], "fields": ["*all"]});
    let found = client.post("/rest/api/3/issue/bulkfetch", asked).await;
    assert_eq!(found["issues"].as_array().unwrap().len(), 1);
    assert_eq!(found["issues"][0]["id"], moved.to_string());
    assert!(
        found["issues"][0]["key"]
            .as_str()
            .unwrap()
            .starts_with("NOVA-")
    );
    assert_eq!(found["issues"][0]["fields"]["project"]["key"], "NOVA");
    let asked = json!({"issueIdsOrKeys": [moved.to_string()]});
    let logs = client.post("/rest/api/3/changelog/bulkfetch", asked).await;
    let last = logs["issueChangeLogs"][0]["changeHistories"]
        .as_array()
        .unwrap()
        .last()
        .unwrap();
    let fields: Vec<&str> = last["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields[..3], ["Key", "project", "Workflow"]);
    assert!(last["created"].is_i64());
}

#[tokio::test]
async fn changelogs_agree_on_every_way_to_read_them() {
    let client = Client::start(small()).await;
    let ids: Vec<String> = client
        .simulator
        .edit(|world| world.issues().map(|i| i.id.to_string()).collect());
    let mut bulk: Vec<(String, String)> = Vec::new();
    let mut token = Value::Null;
    let mut pages = 0;
    loop {
        let asked = json!({"issueIdsOrKeys": ids, "maxResults": 25, "nextPageToken": token});
        let page = client.post("/rest/api/3/changelog/bulkfetch", asked).await;
        for log in page["issueChangeLogs"].as_array().unwrap() {
            for history in log["changeHistories"].as_array().unwrap() {
                bulk.push((
                    log["issueId"].as_str().unwrap().into(),
                    history["id"].as_str().unwrap().into(),
                ));
            }
        }
        pages += 1;
        match page.get("nextPageToken") {
            Some(next) => token = next.clone(),
            None => break,
        }
    }
    assert!(pages > 2);
    let mut single = Vec::new();
    for id in &ids {
        let page = client
            .get(&format!("/rest/api/3/issue/{id}/changelog?maxResults=1000"))
            .await;
        assert_eq!(page["maxResults"], 100);
        for history in page["values"].as_array().unwrap() {
            single.push((id.clone(), history["id"].as_str().unwrap().to_owned()));
        }
    }
    bulk.sort();
    single.sort();
    assert_eq!(bulk, single);
}

#[tokio::test]
async fn reference_data_names_what_issues_use() {
    let client = Client::start(settings()).await;
    assert_eq!(
        client.get("/rest/api/3/serverInfo").await["deploymentType"],
        "Cloud"
    );
    assert_eq!(
        client.get("/rest/api/3/myself").await["timeZone"],
        "Europe/Berlin"
    );
    let fields = client.get("/rest/api/3/field").await;
    let of = |custom: &str| {
        let fields = fields.as_array().unwrap();
        let field = fields
            .iter()
            .find(|field| field["schema"]["custom"] == *custom)
            .unwrap();
        field["id"].as_str().unwrap().to_owned()
    };
    let sprint = of("com.pyxis.greenhopper.jira:gh-sprint");
    let rank = of("com.pyxis.greenhopper.jira:gh-lexo-rank");
    assert_eq!(
        client
            .get("/rest/api/3/statuscategory")
            .await
            .as_array()
            .unwrap()
            .len(),
        4
    );
    assert_eq!(client.get("/rest/api/3/project/search").await["total"], 2);
    assert!(
        client
            .get("/rest/api/3/users/search")
            .await
            .as_array()
            .unwrap()
            .len()
            > 10
    );
    let boards = client.get("/rest/agile/1.0/board").await;
    assert_eq!(boards["total"], 4);
    let configuration = client.get("/rest/agile/1.0/board/1/configuration").await;
    assert_eq!(configuration["estimation"]["type"], "field");
    let points = configuration["estimation"]["field"]["fieldId"]
        .as_str()
        .unwrap();
    let (status, message) = client.refused("/rest/agile/1.0/board/4/sprint").await;
    assert_eq!(
        (status, message.as_str()),
        (400, "The board does not support sprints")
    );
    let sprints = client
        .get("/rest/agile/1.0/board/1/sprint?state=active")
        .await;
    let active = sprints["values"][0]["id"].as_u64().unwrap();
    let issues = client
        .get(&format!(
            "/rest/agile/1.0/sprint/{active}/issue?maxResults=100"
        ))
        .await;
    let first = &issues["issues"][0]["fields"];
    assert!(
        first[&sprint]
            .as_array()
            .unwrap()
            .iter()
            .any(|shown| shown["id"] == active)
    );
    assert!(first[&rank].as_str().unwrap().starts_with("0|"));
    assert!(first.get(points).is_some());
    assert_eq!(first["sprint"]["id"], active);
    let shared = client
        .get("/rest/agile/1.0/board/3/sprint?maxResults=100")
        .await;
    assert!(
        shared["values"]
            .as_array()
            .unwrap()
            .iter()
            .all(|sprint| sprint["originBoardId"] == 1)
    );
    assert_eq!(shared["maxResults"], 50);
}

#[tokio::test]
async fn the_index_lags_behind_what_bulk_fetch_shows() {
    let delay = std::time::Duration::from_secs(120);
    let client = Client::start(Settings {
        index_delay: delay,
        ..small()
    })
    .await;
    let (id, at) = client.simulator.edit(|world| {
        world.freeze_clock(true);
        let id = world.issues().next().unwrap().id;
        world.advance_clock(chrono::TimeDelta::hours(1));
        let edit = Edit::SetSummary {
            issue: id,
            summary: "Changed".to_owned(),
        };
        (id, world.apply_now(edit).unwrap().at)
    });
    let jql = format!("updated >= {} ORDER BY updated", at.timestamp_millis());
    assert!(client.search(&jql, "id", 10).await.is_empty());
    let asked = json!({"issueIdsOrKeys": [id.to_string()], "fields": ["summary"]});
    let fetched = client.post("/rest/api/3/issue/bulkfetch", asked).await;
    assert_eq!(fetched["issues"][0]["fields"]["summary"], "Changed");
    client.simulator.advance(chrono::TimeDelta::seconds(121));
    assert_eq!(client.search(&jql, "id", 10).await.len(), 1);
}
