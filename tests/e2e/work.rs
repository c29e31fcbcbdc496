//! From a change at the site, over its webhook, to the row: `all`, and `serve` beside `work`.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use simulator::{Edit, Simulator, Webhook};
use tests::{Product, Server, small_site};
use warehouse::Warehouse;

use crate::Opened;

const PATH: &str = "/api/v1/webhooks/jira";
const SECRET: &str = "a secret of some length";

/// The issues of a product's table: id → summary, deleted ones left out.
async fn summaries(warehouse: &Warehouse) -> BTreeMap<i64, String> {
    let table = "jira.issues".parse().unwrap();
    let filter = Some("deleted_at is null");
    let rows = warehouse.tables().rows(&table, filter).await.unwrap();
    let rows = rows.into_iter().map(|row| {
        let summary = row["summary"].as_str().unwrap_or_default().to_string();
        (row["issue_id"].as_i64().unwrap(), summary)
    });
    rows.collect()
}

/// The same of the site.
fn shown(site: &Simulator) -> BTreeMap<i64, String> {
    site.edit(|world| {
        let issues = world.issues();
        issues
            .map(|issue| (issue.id as i64, issue.summary.clone()))
            .collect()
    })
}

/// Delivers an event as the site does: again, until it is answered 200.
async fn deliver_for_sure(address: impl Fn() -> String, webhook: &Webhook) -> u32 {
    // One for all: making one takes longer than a delivery.
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(reqwest::Client::new);
    let mut delivery = webhook.clone();
    loop {
        let mut request = CLIENT.post(format!("http://{}{PATH}", address()));
        for (name, value) in delivery.headers(Some(SECRET)) {
            request = request.header(name, value);
        }
        let answer = request.body(delivery.body.clone()).send().await;
        if answer.is_ok_and(|answer| answer.status() == 200) {
            return delivery.retry;
        }
        assert!(delivery.retry < 500, "never accepted");
        tokio::time::sleep(Duration::from_millis(100)).await;
        delivery = delivery.again();
    }
}

/// Waits until nothing is pending, for a minute at most.
async fn settled(warehouse: &Warehouse) {
    for _ in 0..600 {
        let counts = warehouse.meta().inbox_counts().await.unwrap();
        if counts.iter().all(|count| count.state != "pending") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!(
        "events wait: {:?}",
        warehouse.meta().inbox_counts().await.unwrap()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_at_the_site_is_in_the_table_within_seconds() {
    let site = small_site().await;
    let product = Product::accepting(site.url(), SECRET);
    product.run(&["sync"]).ok();
    let server = Server::start_as("all", &product, &[]);
    let warehouse = product.warehouse().await;
    let issue = *shown(&site).keys().next().unwrap();
    for round in 0..3 {
        let summary = format!("told {round}");
        let edit = Edit::SetSummary {
            issue: issue as u64,
            summary: summary.clone(),
        };
        let (_, webhooks) = site.apply(edit).unwrap();
        let begun = Instant::now();
        for webhook in &webhooks {
            deliver_for_sure(|| server.http().to_string(), webhook).await;
        }
        while summaries(&warehouse).await[&issue] != summary {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "not there after 20 s"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("from the delivery to the row: {:?}", begun.elapsed());
    }
    // Deleted at once, and told by `system.webhooks` and `check`.
    let (_, webhooks) = site
        .apply(Edit::Delete {
            issue: issue as u64,
        })
        .unwrap();
    for webhook in &webhooks {
        deliver_for_sure(|| server.http().to_string(), webhook).await;
    }
    settled(&warehouse).await;
    assert_eq!(summaries(&warehouse).await, shown(&site));
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let check = product.run(&["check", "--json"]).ok().json();
    let found = check
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["what"] == "webhooks site");
    assert_eq!(found.unwrap()["says"], "none wait");
    // A refresh, without a sync, publishes what was told.
    product.run(&tests::REFRESH).ok();
    let rows = product.sql("select state, count(*) as n from system.webhooks group by state");
    assert_eq!((rows.len(), &rows[0]["state"]), (1, &"done".into()));
    let gone = format!("select deleted_reason from jira.issues where issue_id = {issue}");
    assert_eq!(product.value(&gone), "deleted");
    let runs = product.sql("select status from system.runs where pipeline = 'webhooks'");
    assert_eq!(runs[0]["status"], "succeeded");
}

/// `serve` keeps what `work`, another process, works off; asked to stop, it finishes what is under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_works_off_what_a_server_keeps() {
    let site = small_site().await;
    let product = Product::accepting(site.url(), SECRET);
    let server = Server::start(&product);
    let warehouse = product.warehouse().await;
    let mut work = product.command(&["work"]).spawn().unwrap();
    let issue = *shown(&site).keys().next().unwrap() as u64;
    let edit = Edit::SetSummary {
        issue,
        summary: "told".into(),
    };
    for webhook in &site.apply(edit).unwrap().1 {
        deliver_for_sure(|| server.http().to_string(), webhook).await;
    }
    // Before the first load there is nothing that an issue could be mapped with.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(warehouse.meta().inbox_counts().await.unwrap()[0].events, 1);
    product.run(&["sync"]).ok();
    settled(&warehouse).await;
    assert_eq!(summaries(&warehouse).await, shown(&site));
    let pid = work.id().to_string();
    let asked = std::process::Command::new("kill")
        .arg(pid)
        .status()
        .unwrap();
    assert!(asked.success());
    assert_eq!(work.wait().unwrap().code(), Some(0));
}

/// Killed at a border of its work, and started again, it works off the same events to the same rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_working_it_begins_again() {
    for point in [
        "inbox.landed",
        "ingest.batch.landed",
        "jira.issues.committed",
        "inbox.reacted",
        "inbox.settled",
    ] {
        let site = small_site().await;
        let product = Product::accepting(site.url(), SECRET);
        product.run(&["sync"]).ok();
        let warehouse = product.warehouse().await;
        let fault = format!("kill@{point}");
        let mut server = Server::start_as("all", &product, &[("SPRINT_REPORTS_FAULT", &fault)]);
        let issue = *shown(&site).keys().next().unwrap() as u64;
        let edit = Edit::SetSummary {
            issue,
            summary: "told".into(),
        };
        for webhook in &site.apply(edit).unwrap().1 {
            deliver_for_sure(|| server.http().to_string(), webhook).await;
        }
        assert!(server.has_died(), "{point}");
        let server = Server::start_as("all", &product, &[]);
        settled(&warehouse).await;
        assert_eq!(summaries(&warehouse).await, shown(&site), "{point}");
        assert_eq!(server.stop().code, Some(0), "{point}");
        let runs = warehouse.meta().runs(10).await.unwrap();
        let of = |status: &str| {
            runs.iter()
                .any(|run| run.pipeline == "webhooks" && run.status == status)
        };
        assert!(of("failed"), "{point}: {runs:?}");
    }
}

/// Sends events at a rate, kills the product in the middle, and fails unless every event was worked off
/// and the table is what the site shows.
async fn sustained(events: usize, per_minute: u64) {
    let site = small_site().await;
    let product = Product::accepting(site.url(), SECRET);
    product.run(&["sync"]).ok();
    let warehouse = product.warehouse().await;
    let server = Mutex::new(Some(Server::start_as("all", &product, &[])));
    let address = || {
        let server = server.lock().unwrap();
        server.as_ref().map_or("127.0.0.1:9".to_string(), |server| {
            server.http().to_string()
        })
    };
    let issues: Vec<i64> = shown(&site).into_keys().collect();
    let gap = Duration::from_secs(60) / u32::try_from(per_minute).unwrap();
    let begun = Instant::now();
    let mut again = 0;
    for number in 0..events {
        let due = gap * u32::try_from(number).unwrap();
        tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
        if number == events / 2 {
            let killed = server.lock().unwrap().take();
            killed.unwrap().kill();
            let started = Server::start_as("all", &product, &[]);
            *server.lock().unwrap() = Some(started);
        }
        let issue = issues[number % issues.len()] as u64;
        let edit = Edit::SetSummary {
            issue,
            summary: format!("told {number}"),
        };
        let (_, webhooks) = site.apply(edit).unwrap();
        for webhook in &webhooks {
            again += deliver_for_sure(address, webhook).await;
        }
    }
    let sent = begun.elapsed();
    settled(&warehouse).await;
    assert_eq!(summaries(&warehouse).await, shown(&site));
    let rows = warehouse.meta().inbox(100_000).await.unwrap();
    assert_eq!(rows.len(), events);
    assert!(rows.iter().all(|row| row.state == "done"), "{rows:?}");
    let mut took: Vec<i64> = rows
        .iter()
        .map(|row| (row.finished_at.unwrap() - row.received_at).num_milliseconds())
        .collect();
    took.sort_unstable();
    println!(
        "{events} events in {sent:?} ({per_minute} a minute wanted, {:.0} reached), one kill -9, {again} repeated deliveries; \
         from accepted to done: p50 {} ms, p95 {} ms, longest {} ms; all worked off {:?} after the last",
        events as f64 * 60.0 / sent.as_secs_f64(),
        took[took.len() / 2],
        took[took.len() * 95 / 100],
        took[took.len() - 1],
        begun.elapsed() - sent
    );
    let server = server.lock().unwrap().take();
    assert_eq!(server.unwrap().stop().code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_with_a_kill_in_the_middle_loses_nothing() {
    sustained(300, 3000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes three minutes"]
async fn a_thousand_events_a_minute_are_sustained_across_a_kill() {
    sustained(3000, 1000).await;
}
