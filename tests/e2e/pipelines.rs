//! Jobs: run by hand, by workers, over REST; killed and continued; told of to everybody.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{Product, Redis, Server, small_site};

/// A pipeline of few models, for tests that look at the run and not at figures.
const SMALL: &str = "description = \"a few models\"\n[[steps]]\nrun = \"sync\"\n[[steps]]\nrun = \"refresh\"\nselect = [\"+velocity\"]\n";

fn with_pipeline(product: Product, name: &str, text: &str) -> Product {
    std::fs::create_dir_all(product.path().join("pipelines")).unwrap();
    product.write(&format!("pipelines/{name}.toml"), text);
    let folder = (
        "SPRINT_REPORTS__PIPELINES__FOLDER".into(),
        "pipelines".into(),
    );
    product.with_environment(vec![folder])
}

/// Asks until the answer is right, for a minute.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(90),
            "{what}: not within 90 s"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn asked_for(server: &Server, pipeline: &str) -> String {
    let path = format!("/api/v1/pipelines/{pipeline}/runs");
    let answer = server.post(&path, &json!({})).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let run_id = answer.json()["run_id"].as_str().unwrap().to_string();
    assert_eq!(answer.header("location"), format!("/api/v1/runs/{run_id}"));
    run_id
}

async fn ended(server: &Server, run_id: &str) -> Value {
    until("the run ends", async || {
        let run = server.get(&format!("/api/v1/runs/{run_id}")).await.json();
        let is_over = !run["run"].is_null() && run["run"]["status"] != "running";
        is_over.then_some(run)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_reads_computes_and_publishes_and_is_recorded() {
    let site = small_site().await;
    let product = with_pipeline(Product::reading(&site), "small", SMALL);
    let ended = product.run(&["run", "small", "--json"]).ok().json();
    assert_eq!(ended["run"]["status"], "succeeded", "{ended}");
    let rows = product.sql(
        "select r.pipeline, r.trigger, r.status, s.step, s.status as went, s.rows_in, s.requests
         from system.runs r join system.steps s using (run_id) where s.step in ('sync', 'refresh') order by s.step desc",
    );
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (
            &rows[0]["pipeline"],
            &rows[0]["trigger"],
            &rows[0]["status"]
        ),
        (&json!("small"), &json!("command"), &json!("succeeded"))
    );
    assert!(
        rows[0]["rows_in"].as_i64().unwrap() > 100 && rows[0]["requests"].as_i64().unwrap() > 10
    );
    // The release says which run made it.
    let made = product.value("select count(*) from system.releases join system.runs using (run_id) where pipeline = 'small'");
    assert_eq!(made, 1);
    // Nothing changed: nothing is published.
    product.run(&["run", "small"]).ok();
    assert_eq!(product.releases(), 1);
    // Shown, and switched off and on.
    let list = product.run(&["pipeline", "list", "--json"]).ok().json();
    let names: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["hourly", "nightly", "small"]);
    let due = || {
        let ticks = product
            .run(&["schedule", "--json", "--next", "30"])
            .ok()
            .json();
        let ticks = ticks.as_array().unwrap().clone();
        ticks
            .iter()
            .map(|tick| tick["pipeline"].as_str().unwrap().to_string())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        due(),
        BTreeSet::from(["hourly".to_string(), "nightly".to_string()])
    );
    product.run(&["pipeline", "disable", "hourly"]).ok();
    assert_eq!(due(), BTreeSet::from(["nightly".to_string()]));
    product.run(&["pipeline", "enable", "hourly"]).ok();
    assert_eq!(due().len(), 2);
    let shown = product.run(&["pipeline", "show", "small"]).ok().out;
    assert!(
        shown.contains("a few models") && shown.contains("succeeded"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_definition_is_said_with_its_line() {
    let product = with_pipeline(
        Product::new(),
        "bad",
        "description = \"x\"\nschedule = \"5 * * *\"\n[[steps]]\nrun = \"sync\"\n",
    );
    for command in [["pipeline", "list"], ["run", "bad"]] {
        let ended = product.run(&command);
        assert_eq!(ended.code, Some(2), "{}", ended.err);
        assert!(
            ended.err.contains("pipelines/bad.toml:2:") && ended.err.contains("write five"),
            "{}",
            ended.err
        );
    }
}

/// Killed in the middle of its second step, the run is taken over by the next worker, which does not repeat the
/// first one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_process_was_killed_goes_on_with_the_next_worker() {
    let site = small_site().await;
    let product = with_pipeline(Product::reading(&site), "small", SMALL);
    let killed = product.run_with_fault(&["run", "small"], "kill@model.written:2");
    assert_eq!(killed.code, None, "{}", killed.err);
    let server = Server::start_as("all", &product, &[]);
    let runs = server.get("/api/v1/runs?pipeline=small").await.json();
    let run_id = runs["runs"][0]["run_id"].as_str().unwrap().to_string();
    let run = ended(&server, &run_id).await;
    assert_eq!(run["run"]["status"], "succeeded", "{run}");
    assert_eq!(run["job"]["takeovers"], 1);
    let of = |step: &str| {
        let steps = run["steps"].as_array().unwrap();
        steps
            .iter()
            .find(|row| row["step"] == step)
            .unwrap()
            .clone()
    };
    assert_eq!(of("sync")["attempts"], 1);
    let (sync, begun) = (of("sync"), of("refresh"));
    assert!(sync["finished_at"].as_str() < begun["started_at"].as_str());
    assert_eq!(
        runs["runs"].as_array().unwrap().len(),
        1,
        "it is the same run"
    );
    drop(server);
    assert_eq!(product.releases(), 1);
}

/// Of two workers one does what is asked for; asked three times, three runs follow each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_is_done_once_by_whichever_worker() {
    let site = small_site().await;
    let product = with_pipeline(Product::reading(&site), "small", SMALL);
    let (one, other) = (
        Server::start_as("all", &product, &[]),
        Server::start_as("all", &product, &[]),
    );
    let mut ids = Vec::new();
    for server in [&one, &other, &one] {
        ids.push(asked_for(server, "small").await);
    }
    let mut spans = Vec::new();
    for id in &ids {
        let run = ended(&other, id).await;
        assert_eq!(run["run"]["status"], "succeeded", "{run}");
        spans.push((
            run["run"]["started_at"].to_string(),
            run["run"]["finished_at"].to_string(),
        ));
    }
    spans.sort();
    for pair in spans.windows(2) {
        assert!(
            pair[0].1 <= pair[1].0,
            "two runs of one pipeline worked at once: {spans:?}"
        );
    }
    // What can't be asked for.
    let nobody = one.post("/api/v1/pipelines/nobody/runs", &json!({})).await;
    assert_eq!(
        (nobody.status, nobody.json()["error"]["code"].clone()),
        (404, json!("RESOURCE_NOT_FOUND"))
    );
    let form = [("content-type", "text/plain")];
    assert_eq!(
        one.send("/api/v1/pipelines/small/runs", "{}", &form)
            .await
            .status,
        415
    );
    let extra = one
        .post("/api/v1/pipelines/small/runs", &json!({"full": true}))
        .await;
    assert_eq!(extra.status, 422);
    let cancelled = one
        .post(&format!("/api/v1/runs/{}/cancel", ids[0]), &json!({}))
        .await;
    assert_eq!(cancelled.status, 409);
}

/// Names of the events of an answer that stays open, until one of them is the last that is waited for.
async fn heard(mut response: reqwest::Response, last: &str, within: Duration) -> Vec<String> {
    let mut names = Vec::new();
    let mut text = String::new();
    let listening = async {
        while let Some(part) = response.chunk().await.unwrap() {
            text.push_str(&String::from_utf8_lossy(&part));
            while let Some((line, rest)) = text.split_once('\n') {
                if let Some(name) = line.strip_prefix("event: ") {
                    names.push(name.to_string());
                }
                text = rest.to_string();
            }
            if names.iter().any(|name| name == last) {
                return;
            }
        }
    };
    let outcome = tokio::time::timeout(within, listening).await;
    assert!(
        outcome.is_ok(),
        "{last} was not told of within {within:?}; {names:?} were"
    );
    names
}

async fn listen(server: &Server, path: &str) -> reqwest::Response {
    let url = format!("http://{}{path}", server.http());
    let response = reqwest::get(url).await.unwrap();
    assert_eq!(response.status(), 200);
    response
}

/// Two servers beside a command that publishes: both tell their clients, over Redis at once; while Redis is
/// gone a few seconds later; and at once again when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_is_told_of_by_every_server_with_and_without_redis() {
    let mut redis = Redis::start();
    let site = small_site().await;
    let small = with_pipeline(Product::reading(&site), "small", SMALL);
    let product =
        small.with_environment(vec![("SPRINT_REPORTS__CACHE__REDIS".into(), redis.url())]);
    product.run(&["run", "small"]).ok();
    let servers = [Server::start(&product), Server::start(&product)];
    let publish = |value: usize| {
        site.edit(|world| {
            world.advance_clock(chrono::TimeDelta::minutes(10));
            let issue = world.issues().next().unwrap().id;
            let summary = format!("told {value}");
            world
                .apply_now(simulator::Edit::SetSummary { issue, summary })
                .unwrap();
        });
        product.run(&["run", "small"]).ok();
    };
    for (round, has_redis) in [(1, true), (2, false), (3, true)] {
        if has_redis && round > 1 {
            redis.restart();
            // Subscribed again within the longest pause.
            tokio::time::sleep(Duration::from_secs(7)).await;
        } else if !has_redis {
            redis.kill();
        }
        let mut listeners = Vec::new();
        for server in &servers {
            let response = listen(server, "/api/v1/events").await;
            listeners.push(tokio::spawn(heard(
                response,
                "release.published",
                Duration::from_secs(100),
            )));
        }
        tokio::task::block_in_place(|| publish(round));
        for listener in listeners {
            let names = listener.await.unwrap();
            if has_redis {
                assert!(names.contains(&"run.started".to_string()), "{names:?}");
                assert!(names.contains(&"issue.changed".to_string()), "{names:?}");
            }
        }
    }
    // An answer that stays open doesn't keep a server from stopping.
    let [server, _other] = servers;
    let _open = listen(&server, "/api/v1/events").await;
    let begun = Instant::now();
    let stopped = tokio::task::block_in_place(|| server.stop());
    assert_eq!(stopped.code, Some(0), "{}", stopped.err);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// A run that is followed tells each step, and its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_followed_tells_its_progress_and_its_end() {
    let site = small_site().await;
    let product = with_pipeline(Product::reading(&site), "small", SMALL);
    let server = Server::start_as("all", &product, &[]);
    let run_id = asked_for(&server, "small").await;
    let response = listen(&server, &format!("/api/v1/runs/{run_id}/events")).await;
    let names = heard(response, "ended", Duration::from_secs(90)).await;
    assert!(names.len() > 3, "{names:?}");
    assert!(
        names[..names.len() - 1]
            .iter()
            .all(|name| name == "progress")
    );
    assert_eq!(server.get("/api/v1/runs/nobody/events").await.status, 404);
}

/// Four workers on PostgreSQL, two of which look for what is due; one of them is killed every few seconds while
/// the site is edited. SOAK_SECONDS says for how long; five minutes if not given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes long; `make soak` runs it"]
async fn workers_that_are_killed_lose_nothing() {
    let seconds = std::env::var("SOAK_SECONDS").ok();
    let seconds = seconds
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or(300);
    let site = small_site().await;
    let database = tests::database();
    let text = format!("schedule = \"* * * * *\"\noverlap = \"queue\"\n{SMALL}");
    let product = with_pipeline(Product::reading(&site), "small", &text).with_environment(vec![(
        "SPRINT_REPORTS__METADATA__URL".into(),
        database.clone(),
    )]);
    for shipped in ["hourly", "nightly"] {
        product.run(&["pipeline", "disable", shipped]).ok();
    }
    let start = |place: usize| {
        let schedules = if place < 2 { "true" } else { "false" };
        Server::start_as(
            "all",
            &product,
            &[("SPRINT_REPORTS__PIPELINES__SCHEDULE", schedules)],
        )
    };
    let mut workers: Vec<Option<Server>> = (0..4).map(|place| Some(start(place))).collect();
    let begun = Instant::now();
    let mut kills = 0;
    while begun.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_secs(3 + kills % 3)).await;
        let place = usize::try_from(kills * 7 % 4).unwrap();
        if let Some(worker) = workers[place].take() {
            worker.kill();
        }
        workers[place] = Some(tokio::task::block_in_place(|| start(place)));
        kills += 1;
        site.edit(|world| {
            world.advance_clock(chrono::TimeDelta::minutes(1));
            let issues: Vec<u64> = world.issues().map(|issue| issue.id).collect();
            let issue = issues[usize::try_from(kills * 13).unwrap() % issues.len()];
            let summary = format!("kill {kills}");
            world
                .apply_now(simulator::Edit::SetSummary { issue, summary })
                .unwrap();
        });
    }
    // Left alone, what is under way ends; the last run reads what is left.
    let server = workers[3].as_ref().unwrap();
    let last = asked_for(server, "small").await;
    let run = ended(server, &last).await;
    assert_eq!(run["run"]["status"], "succeeded", "{run}");
    drop(workers);
    product.run(&["run", "small"]).ok();
    let minutes = tests::psql(
        &database,
        "select count(distinct scheduled_for) || '/' || count(*) from runs where pipeline = 'small' and scheduled_for is not null",
    );
    let (distinct, all) = minutes.trim().split_once('/').unwrap();
    assert_eq!(distinct, all, "a tick was run twice");
    println!("{kills} workers were killed; {all} ticks");
    assert!(
        all.parse::<u64>().unwrap() + 2 >= seconds / 60,
        "{all} ticks in {seconds} s"
    );
    let held = tests::psql(&database, "select count(*) from leases");
    assert_eq!(held.trim(), "0", "a lease is stuck");
    let fresh = with_pipeline(Product::reading(&site), "small", SMALL);
    fresh.run(&["run", "small"]).ok();
    for table in [
        "jira.issues",
        "jira.changelog_items",
        "jira.worklogs",
        "marts.velocity",
    ] {
        let columns = match table {
            "jira.issues" => "issue_id, summary, status, updated_at",
            _ => "count(*) as n",
        };
        let query = format!("select {columns} from {table} order by 1");
        assert_eq!(product.sql(&query), fresh.sql(&query), "{table}");
    }
}
