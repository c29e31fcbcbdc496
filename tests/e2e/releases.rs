//! Readers and a publisher at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use schemas::TableName;
use serde_json::json;
use tests::{Product, Server};
use warehouse::{Commit, Config, NewRelease, TableState, Warehouse};

/// Publishes a release in which boards and sprints both have this many rows.
async fn publish(lake: &Warehouse, generation: i64) {
    let mut content = NewRelease::default();
    for (table, id) in [("boards", "board_id"), ("sprints", "sprint_id")] {
        let table = TableName::new("jira", table);
        let row = json!({"connection": "acme", id: generation, "name": "x", "state": "closed"});
        let mut row = row.as_object().unwrap().clone();
        if id == "board_id" {
            row.remove("state");
        }
        lake.tables()
            .upsert(&table, vec![row], &Commit::default())
            .await
            .unwrap();
        let version = lake.tables().version(&table).await.unwrap().unwrap();
        content.tables.insert(table, TableState { version });
    }
    lake.releases().publish(content, "run", None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_never_sees_a_mix_of_two_releases() {
    const RELEASES: i64 = 25;
    let product = Product::new();
    let path = product.path().display().to_string();
    let config = Config {
        store_url: format!("file:{path}/data/lake"),
        metadata_url: format!("sqlite:{path}/data/meta.db"),
        ..Config::default()
    };
    std::fs::create_dir_all(product.path().join("data")).unwrap();
    let lake = Warehouse::open(&config).await.unwrap();
    publish(&lake, 1).await;
    let server = Arc::new(Server::start(&product));
    let stop = Arc::new(AtomicBool::new(false));
    let sql =
        "select (select count(*) from jira.boards) as b, (select count(*) from jira.sprints) as s,
        (select count(*) from jira.boards x join jira.sprints y on x.board_id = y.sprint_id) as j";
    let mut readers = Vec::new();
    for reader in 0..4 {
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        readers.push(tokio::spawn(async move {
            let postgres = server.postgres().await;
            let mut seen = Vec::new();
            let mut ending = false;
            while !ending {
                // One more read after the last release.
                ending = stop.load(Ordering::Relaxed);
                if reader == 0 {
                    let answer = server.post("/api/v1/sql", &json!({"query": sql})).await;
                    let row = answer.json()["rows"][0].clone();
                    assert_eq!(
                        (&row["b"], &row["s"]),
                        (&row["s"], &row["j"]),
                        "{}",
                        answer.body
                    );
                    seen.push(row["b"].as_i64().unwrap());
                } else if reader == 1 {
                    // Two statements of a transaction see the same release.
                    let text = format!("begin; {sql}; {sql}; commit");
                    let rows = postgres.rows(&text).await.unwrap();
                    assert_eq!(rows[0], rows[1], "a transaction is a snapshot");
                    seen.push(rows[0][0].clone().unwrap().parse().unwrap());
                } else {
                    let rows = postgres.rows(sql).await.unwrap();
                    assert_eq!(
                        (&rows[0][0], &rows[0][1]),
                        (&rows[0][1], &rows[0][2]),
                        "{rows:?}"
                    );
                    seen.push(rows[0][0].clone().unwrap().parse().unwrap());
                }
            }
            assert!(seen.is_sorted(), "time does not go back: {seen:?}");
            seen
        }));
    }
    for generation in 2..=RELEASES {
        publish(&lake, generation).await;
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        let seen = reader.await.unwrap();
        assert_eq!(
            seen.last(),
            Some(&RELEASES),
            "the newest release is seen at once"
        );
        let mut distinct = seen.clone();
        distinct.dedup();
        assert!(
            distinct.len() > 2,
            "the readers read while it was published: {seen:?}"
        );
    }
}
