//! From a request to its query, from a run to its steps: the ids in the log.

use serde_json::Value;
use tests::{Product, Server, filled, small_site};

const LOGGED: [(&str, &str); 2] = [
    ("SPRINT_REPORTS_LOG", "info"),
    ("SPRINT_REPORTS_LOG_FORMAT", "json"),
];

/// The lines of a log with this message, as JSON; progress stands between them.
fn lines(log: &str, message: &str) -> Vec<Value> {
    log.lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str::<Value>(line).expect("every line is JSON"))
        .map(|line| line["fields"].clone())
        .filter(|fields| fields["message"] == message)
        .collect()
}

/// Without a terminal, progress is one JSON object a line, and results stay alone on standard output.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_is_json_lines_without_a_terminal() {
    let site = small_site().await;
    let product = Product::reading(&site);
    let synced = product.run(&["sync", "--json"]);
    let events = |err: &str| -> Vec<Value> {
        let lines = err.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("every line is JSON"))
            .collect()
    };
    let seen = events(&synced.err);
    let of = |kind: &str| seen.iter().filter(|event| event["event"] == kind).count();
    assert_eq!((of("connected"), of("planned")), (1, 1));
    let issues = seen
        .iter()
        .find(|event| event["event"] == "finished" && event["stream"] == "issues");
    assert!(issues.unwrap()["changed"].as_u64().unwrap() > 0);
    let report: Value = serde_json::from_str(&synced.out).expect("the report alone");
    assert_eq!(report[0]["connection"], "site");
    let refreshed = events(&product.run(&["refresh", "--select", "+velocity"]).err);
    assert_eq!(refreshed.last().unwrap()["event"], "refreshed");
    assert!(refreshed.iter().any(|event| event["event"] == "building"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_leads_to_its_queries() {
    let server = Server::start_with(filled().await, &LOGGED);
    let given = [("x-correlation-id", "from-the-client-1")];
    let sprints = server.get_with("/api/v1/sprints/", &given).await;
    assert_eq!(sprints.header("x-correlation-id"), "from-the-client-1");
    // What may not stand in a log is replaced.
    let hostile = [("x-correlation-id", "a b\"}")];
    let other = server.get_with("/api/v1/sprints/", &hostile).await;
    assert_eq!(other.header("x-correlation-id").len(), 36);
    let postgres = server.postgres().await;
    let seen = postgres
        .rows(
            "select query_id, protocol, status, rows > 0 from system.queries
             where request_id = 'from-the-client-1'",
        )
        .await
        .unwrap();
    assert_eq!(seen.len(), 1, "{seen:?}");
    let text = |column: usize| seen[0][column].as_deref();
    assert_eq!(
        (text(1), text(2), text(3)),
        (Some("http"), Some("succeeded"), Some("t"))
    );
    let ended = server.stop();
    let requests = lines(&ended.err, "request");
    let request = requests
        .iter()
        .find(|line| line["request_id"] == "from-the-client-1")
        .unwrap();
    assert_eq!(
        (&request["path"], &request["status"]),
        (&"/api/v1/sprints".into(), &200.into())
    );
    let queries = lines(&ended.err, "query");
    let query = queries
        .iter()
        .find(|line| line["request_id"] == "from-the-client-1")
        .unwrap();
    assert_eq!(query["query_id"].as_str(), text(0));
    assert_eq!(query["release_id"], "r1");
    let wire = queries.iter().filter(|line| line["protocol"] == "postgres");
    assert!(wire.clone().count() > 0);
    assert!(wire.clone().all(|line| line["request_id"].is_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_leads_to_its_steps_and_its_release() {
    let site = small_site().await;
    let logged = LOGGED.map(|(name, value)| (name.to_string(), value.to_string()));
    let product = Product::reading(&site).with_environment(logged.to_vec());
    for (command, step) in [("sync", "issues"), ("refresh", "publish")] {
        let ended = match command {
            "refresh" => product.run(&["refresh", "--select", "+velocity"]).ok(),
            _ => product.run(&[command]).ok(),
        };
        let started = lines(&ended.err, "run started");
        assert_eq!(started.len(), 1, "{command}");
        let run_id = started[0]["run_id"].as_str().unwrap();
        let steps = lines(&ended.err, "step");
        assert!(steps.iter().all(|line| line["run_id"] == run_id));
        assert!(
            steps
                .iter()
                .any(|line| line["step"].as_str().unwrap().contains(step)),
            "{steps:?}"
        );
        let finished = lines(&ended.err, "run finished");
        assert_eq!(
            (&finished[0]["run_id"], &finished[0]["status"]),
            (&run_id.into(), &"succeeded".into())
        );
        if command == "refresh" {
            let published = lines(&ended.err, "release published");
            assert_eq!(published[0]["run_id"], run_id);
            // What the log says, SQL says as well.
            let same = format!(
                "select count(*) as n from system.releases l join system.runs r on r.run_id = l.run_id
                 join system.steps s on s.run_id = r.run_id
                 where r.run_id = '{run_id}' and s.step = 'publish' and s.status = 'succeeded'"
            );
            assert_eq!(product.value(&same), 1);
        }
    }
}
