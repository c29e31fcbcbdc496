//! Statements that would write, read what they must not, or take the server down: the corpus in
//! `escapes.txt` over every protocol.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::json;
use tests::{Product, Server, filled, refused};

struct Escape {
    sqlstate: String,
    status: u16,
    sql: String,
}

/// The corpus; `{N*TEXT}` stands for a text N times.
fn corpus() -> Vec<Escape> {
    include_str!("escapes.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut parts = line.splitn(3, ' ');
            let mut part = || parts.next().unwrap();
            Escape {
                sqlstate: part().to_string(),
                status: part().parse().unwrap(),
                sql: expanded(part()),
            }
        })
        .collect()
}

fn expanded(text: &str) -> String {
    let Some((before, rest)) = text.split_once('{') else {
        return text.to_string();
    };
    let (pattern, after) = rest.split_once('}').unwrap();
    let (times, piece) = pattern.split_once('*').unwrap();
    let many = piece.repeat(times.parse().unwrap());
    format!("{before}{many}{}", expanded(after))
}

/// Files of a folder with size and time of change.
fn state(folder: &Path) -> BTreeMap<String, (u64, SystemTime)> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path().display().to_string();
                files.insert(path, (meta.len(), meta.modified().unwrap()));
            }
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_escape_is_refused_on_every_protocol() {
    let product = filled().await;
    let lake = product.path().join("data/lake");
    let before = state(&lake);
    let mut server = Server::start(product);
    let postgres = server.postgres().await;
    let corpus = corpus();
    assert!(corpus.len() > 40);
    let mut wrong = Vec::new();
    for escape in &corpus {
        let short: String = escape.sql.chars().take(90).collect();
        let mut check = |protocol: &str, found: String, wanted: &str| {
            if found != wanted {
                wrong.push(format!(
                    "{protocol}: {short}: found {found}, expected {wanted}"
                ));
            }
        };
        let state = |outcome: Result<(), tests::Refused>| match outcome {
            Ok(()) => "accepted".to_string(),
            Err(error) => error.sqlstate,
        };
        let simple = postgres.rows(&escape.sql).await.map(drop);
        check("simple", state(simple), &escape.sqlstate);
        let extended = postgres.driver().query(&escape.sql, &[]).await;
        let extended = extended.map(drop).map_err(refused);
        check("extended", state(extended), &escape.sqlstate);
        let body = json!({"query": escape.sql});
        let answer = server.post("/api/v1/sql", &body).await;
        check(
            "http",
            answer.status.to_string(),
            &escape.status.to_string(),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The command line starts a process for each: several at a time.
    let share = corpus.len().div_ceil(4);
    std::thread::scope(|scope| {
        for part in corpus.chunks(share) {
            scope.spawn(move || {
                for escape in part {
                    let ended = product.run(&["sql", &escape.sql]);
                    let said = format!("{}: {}{}", escape.sql, ended.out, ended.err);
                    assert_eq!(ended.code, Some(1), "{said}");
                    assert!(ended.err.starts_with("error: "), "{said}");
                    assert!(ended.out.is_empty(), "{said}");
                }
            });
        }
    });
    assert!(server.is_alive());
    assert_eq!(postgres.rows("select 1").await.unwrap().len(), 1);
    assert_eq!(server.get("/health/ready").await.status, 200);
    assert_eq!(state(&lake), before, "the lake is as it was");
    for file in [
        "/tmp/sprint_reports_escape",
        "/tmp/sprint_reports_escape.csv",
    ] {
        assert!(!Path::new(file).exists(), "{file} was written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_and_disconnect_stop_the_work() {
    let product = filled().await;
    let server = Server::start(product);
    let endless = "select count(*) from generate_series(1, 1000000) a cross join generate_series(1, 1000000) b";
    let postgres = server.postgres().await;
    let token = postgres.driver().cancel_token();
    let cancel = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        token.cancel_query(tokio_postgres::NoTls).await.unwrap();
    });
    let error = postgres.rows(endless).await.unwrap_err();
    cancel.await.unwrap();
    assert_eq!(error.sqlstate, "57014", "{error:?}");
    // The connection goes on.
    assert_eq!(postgres.rows("select 1").await.unwrap().len(), 1);

    let other = server.postgres().await;
    let abandoned = tokio::time::timeout(Duration::from_millis(500), other.rows(endless)).await;
    assert!(abandoned.is_err());
    drop(other);
    let status = "select status, count(*) from system.queries
        where query like '%cross join%' and query not like '%system%' group by status order by status";
    let expected = vec![vec![Some("cancelled".to_string()), Some("2".to_string())]];
    let mut found = Vec::new();
    for _ in 0..50 {
        found = postgres.rows(status).await.unwrap();
        if found == expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(found, expected);
    // And nothing of it still uses a processor.
    let before = server.processor_seconds();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let used = server.processor_seconds() - before;
    assert!(used < 0.5, "{used} s of processor time in 2 s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wire_listens_on_loopback_only_and_says_so() {
    let product = Product::new();
    product.write(
        "sprint-reports.toml",
        "[serve]\npostgres = \"0.0.0.0:0\"\nhttp = \"127.0.0.1:0\"\n",
    );
    let ended = product.run(&["serve"]);
    assert_ne!(ended.code, Some(0));
    assert!(ended.err.contains("loopback"), "{}", ended.err);
}
