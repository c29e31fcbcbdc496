//! The Data Center API: `startAt` pages, users by name, sprints as strings, and no Cloud paths.

use serde_json::{Value, json};
use simulator::{Deployment, Edit, Settings, WorldSettings};

use crate::client::{Client, small};

async fn data_center() -> Client {
    Client::start(Settings {
        deployment: Deployment::DataCenter,
        ..small()
    })
    .await
}

#[tokio::test]
async fn pages_by_start_with_whole_changelogs() {
    let client = data_center().await;
    assert_eq!(
        client.get("/rest/api/2/serverInfo").await["deploymentType"],
        "Server"
    );
    let expected = client.simulator.edit(|world| world.issues().count());
    let mut seen = Vec::new();
    while seen.len() < expected {
        let path = format!(
            "/rest/api/2/search?jql=created>=0+ORDER+BY+created+ASC,id+ASC&startAt={}&maxResults=20&expand=changelog",
            seen.len()
        );
        let page = client.get(&path).await;
        assert_eq!(page["total"], expected);
        seen.extend(page["issues"].as_array().unwrap().clone());
    }
    let mut ids: Vec<u64> = seen
        .iter()
        .map(|issue| issue["id"].as_str().unwrap().parse().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), expected);
    client.simulator.edit(|world| {
        for issue in &seen {
            let known = world.find_issue(issue["key"].as_str().unwrap()).unwrap();
            assert_eq!(
                issue["changelog"]["histories"].as_array().unwrap().len(),
                known.histories.len()
            );
        }
    });
}

#[tokio::test]
async fn shows_old_forms_of_sprints_and_people() {
    let client = data_center().await;
    let field = client
        .simulator
        .edit(|world| world.site().fields.sprint.clone());
    let page = client
        .get("/rest/api/2/search?jql=sprint+is+not+empty&maxResults=1")
        .await;
    let fields = &page["issues"][0]["fields"];
    let sprint = fields[&field][0].as_str().unwrap();
    assert!(sprint.starts_with("com.atlassian.greenhopper.service.sprint.Sprint@"));
    assert!(sprint.contains("rapidViewId=1,state="));
    assert!(
        fields["reporter"]["key"]
            .as_str()
            .unwrap()
            .starts_with("JIRAUSER")
    );
    assert_eq!(fields["reporter"]["accountId"], Value::Null);
    assert!(fields["description"].is_string());
    let name = fields["reporter"]["name"].as_str().unwrap();
    let user = client
        .get(&format!("/rest/api/2/user?username={name}"))
        .await;
    assert_eq!(user["key"], fields["reporter"]["key"]);
}

#[tokio::test]
async fn compares_ids_within_a_project_only() {
    let client = Client::start(Settings {
        deployment: Deployment::DataCenter,
        world: WorldSettings {
            projects: 2,
            ..small().world
        },
        ..small()
    })
    .await;
    let (first, of_project, all) = client.simulator.edit(|world| {
        let first = world.issues().find(|issue| issue.number() == 1).unwrap();
        let of_project = world
            .issues()
            .filter(|issue| issue.project == first.project);
        (first.id, of_project.count(), world.issues().count())
    });
    let found = async |jql: String| {
        let page = client.post(
            "/rest/api/2/search",
            json!({"jql": jql, "validateQuery": false}),
        );
        page.await["total"].as_u64().unwrap() as usize
    };
    assert!(of_project < all);
    assert_eq!(found(format!("id > {first}")).await, of_project - 1);
    assert_eq!(found("id > 1".into()).await, 0, "there is no issue 1");
    assert_eq!(found(format!("id in (1, {first})")).await, 1);
    let (status, message) = client
        .refused(&format!("/rest/api/2/search?jql=id+in+(1,{first})"))
        .await;
    assert_eq!(status, 400);
    assert_eq!(
        message,
        "A value with ID '1' does not exist for the field 'id'."
    );
}

#[tokio::test]
async fn lists_without_pages() {
    let client = data_center().await;
    let project = client.simulator.edit(|world| {
        let project = world.projects()[0].id;
        world.apply_now(Edit::ArchiveProject { project }).unwrap();
        project
    });
    assert_eq!(client.get("/rest/api/2/project").await, json!([]));
    let archived = client
        .get("/rest/api/2/project?includeArchived=true&expand=lead")
        .await;
    assert_eq!(archived[0]["archived"], true);
    assert!(archived[0]["lead"]["key"].is_string());
    for part in ["versions", "components"] {
        let path = format!("/rest/api/2/project/{project}/{part}");
        assert!(client.get(&path).await.is_array(), "{path}");
    }
    let everybody = client
        .get("/rest/api/2/user/search?username=.&includeInactive=true&maxResults=1000")
        .await;
    let users = client.simulator.edit(|world| world.site().users.len());
    assert_eq!(everybody.as_array().unwrap().len(), users);
    assert_eq!(
        client.get("/rest/api/2/user/search?username=").await,
        json!([])
    );
    assert_eq!(client.raw("/rest/api/2/user/search").await.status(), 400);
    let types = client.get("/rest/api/2/issuetype").await;
    assert_eq!(types[0]["hierarchyLevel"], Value::Null);
}

#[tokio::test]
async fn has_no_cloud_paths() {
    let client = data_center().await;
    for path in [
        "/rest/api/3/myself",
        "/rest/api/2/search/jql?jql=id>0",
        "/rest/api/2/project/search",
        "/rest/api/2/field/search",
        "/rest/api/2/issue/ATLAS-1/changelog",
        "/rest/software/1.0/sprint/1/issue",
        "/rest/agile/1.0/board/1/features",
    ] {
        assert_eq!(client.raw(path).await.status(), 404, "{path}");
    }
    assert_eq!(
        client.get("/rest/agile/1.0/board/1/sprint").await["isLast"],
        true
    );
}
