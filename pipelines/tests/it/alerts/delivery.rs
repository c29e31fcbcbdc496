//! When alerts are told, and how often.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ingest::Secret;
use pipelines::alerts::{Alert, ChannelSettings, Over, Told};
use warehouse::{Config, Warehouse};

use super::doubles::{Receiver, Reply};
use super::{alerts, failed, rows, settings, until};
use crate::open;

fn subjects(receiver: &Receiver) -> Vec<String> {
    let requests = receiver.requests();
    let subjects = requests.iter().map(|one| one.json()["subject"].clone());
    subjects
        .map(|one| one.as_str().unwrap().to_string())
        .collect()
}

#[tokio::test]
async fn a_condition_is_told_once_until_it_is_over_and_then_its_end() {
    let (meta, _folder) = open().await;
    let receiver = Receiver::start([]).await;
    let alerts = alerts(&meta, &[settings("ops", "webhook", &receiver.url())]);
    for _ in 0..3 {
        alerts.raise(&failed("hourly", "sync"), &[]).await.unwrap();
        alerts.deliver().await.unwrap();
    }
    assert_eq!(subjects(&receiver), ["Pipeline hourly failed at step sync"]);
    // Another step, and another pipeline whose name begins alike, are other conditions.
    alerts
        .raise(&failed("hourly", "refresh"), &[])
        .await
        .unwrap();
    alerts
        .raise(&failed("hourly-2", "sync"), &[])
        .await
        .unwrap();
    alerts.deliver().await.unwrap();
    assert_eq!(receiver.requests().len(), 3);

    let over = Over::run_succeeded("hourly", "0198-good");
    assert_eq!(alerts.over(&over).await.unwrap(), 1);
    assert_eq!(alerts.over(&over).await.unwrap(), 0);
    alerts.deliver().await.unwrap();
    let ends = receiver.requests();
    let [_, sync_and, _, end] = ends.as_slice() else {
        panic!("{ends:?}");
    };
    let end = end.json();
    assert_eq!(end["status"], "resolved");
    assert_eq!(end["subject"], "Pipeline hourly succeeds again");
    assert_eq!(end["resolves"], sync_and.json()["alert_id"]);

    // What fails after that is new; what was never over is not.
    alerts.raise(&failed("hourly", "sync"), &[]).await.unwrap();
    alerts
        .raise(&failed("hourly-2", "sync"), &[])
        .await
        .unwrap();
    alerts.deliver().await.unwrap();
    assert_eq!(receiver.requests().len(), 5);
    // Where nobody was to be told, nobody is.
    alerts.over(&over.silently()).await.unwrap();
    assert_eq!(alerts.deliver().await.unwrap(), Told::default());
}

#[tokio::test]
async fn channels_hear_of_what_they_want() {
    let (meta, _folder) = open().await;
    let only = |name: &str, change: fn(&mut ChannelSettings)| {
        let mut one = settings(name, "log", "");
        change(&mut one);
        one
    };
    let alerts = alerts(
        &meta,
        &[
            only("all", |_| ()),
            only("tests", |one| one.on = vec!["data_test_failed".into()]),
            only("nightly", |one| one.pipelines = vec!["nightly".into()]),
            only("bad", |one| one.min_severity = "error".into()),
        ],
    );
    let told = async |alert: &Alert, named: &[String]| {
        let before: BTreeSet<_> = rows(&meta)
            .await
            .into_iter()
            .map(|row| row.alert_id)
            .collect();
        alerts.raise(alert, named).await.unwrap();
        let rows = rows(&meta).await;
        let mut new: Vec<_> = rows
            .into_iter()
            .filter(|row| !before.contains(&row.alert_id))
            .map(|row| row.channel)
            .collect();
        new.sort();
        new
    };
    let fresh = Alert::freshness_passed("acme", super::started(), 60, None, super::started());
    let test = Alert::data_test_failed("sprints_unique", None, 3, None, Some("r12"));
    assert_eq!(told(&failed("hourly", "sync"), &[]).await, ["all", "bad"]);
    assert_eq!(
        told(&failed("nightly", "sync"), &[]).await,
        ["all", "bad", "nightly"]
    );
    assert_eq!(told(&fresh, &[]).await, ["all"]);
    assert_eq!(told(&test, &[]).await, ["all", "bad", "tests"]);
    let named = ["bad".to_string(), "nowhere".to_string()];
    assert_eq!(told(&failed("weekly", "sync"), &named).await, ["bad"]);
    assert_eq!(alerts.unknown(&named), ["nowhere"]);
}

#[tokio::test]
async fn two_processes_tell_each_alert_once() {
    let (meta, folder) = open().await;
    let config = Config {
        store_url: format!("file:{}/lake", folder.path().display()),
        metadata_url: format!("sqlite:{}/meta.db", folder.path().display()),
        ..Config::default()
    };
    let other = Warehouse::open(&config).await.unwrap();
    let receiver = Receiver::start([]).await;
    let channels = [
        settings("a", "webhook", &receiver.url()),
        settings("b", "webhook", &receiver.url()),
    ];
    let (one, two) = (alerts(&meta, &channels), alerts(other.meta(), &channels));
    for number in 0..15 {
        // Both processes see the same failures.
        let alert = failed(&format!("p{number}"), "sync");
        let (left, right) = tokio::join!(one.raise(&alert, &[]), two.raise(&alert, &[]));
        assert_eq!(left.unwrap() + right.unwrap(), 2);
    }
    let told = async {
        until("all are told", || receiver.requests().len() >= 30).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let (stopping, stopped) = tokio::sync::watch::channel(false);
    let stop = || {
        let mut stopped = stopped.clone();
        async move { drop(stopped.wait_for(|stop| *stop).await) }
    };
    tokio::join!(one.run(stop()), two.run(stop()), async {
        told.await;
        stopping.send_replace(true);
    });
    let requests = receiver.requests();
    let keys: BTreeSet<_> = requests
        .iter()
        .map(|one| &one.headers["idempotency-key"])
        .collect();
    assert_eq!((requests.len(), keys.len()), (30, 30));
    assert!(rows(&meta).await.iter().all(|row| row.state == "delivered"));
}

#[tokio::test]
async fn one_who_died_while_telling_is_followed_by_another_under_the_same_id() {
    let (meta, _folder) = open().await;
    let receiver = Receiver::start([]).await;
    let alerts = alerts(&meta, &[settings("ops", "webhook", &receiver.url())]);
    alerts.raise(&failed("hourly", "sync"), &[]).await.unwrap();
    // It claims the alert and is not heard of again.
    let soon = chrono::Utc::now() + chrono::TimeDelta::milliseconds(200);
    let dead = meta.claim_alert("ops", soon).await.unwrap().unwrap();
    assert_eq!(alerts.deliver().await.unwrap(), Told::default());
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(alerts.deliver().await.unwrap().delivered, 1);
    let request = &receiver.requests()[0];
    assert_eq!(request.headers["idempotency-key"], dead.alert_id);
    assert_eq!(request.json()["attempt"], 2);
    // It was not dead, but late: its word no longer counts.
    assert!(!meta.alert_failed(&dead, "late").await.unwrap());
    assert_eq!(rows(&meta).await[0].state, "delivered");
}

#[tokio::test]
async fn what_fails_is_tried_again_and_what_is_refused_is_given_up() {
    let (meta, _folder) = open().await;
    let echo = "no such hook: /services/hunter2secret".to_string();
    let flaky = Receiver::start([Reply::Status(500)]).await;
    let wrong = Receiver::start([Reply::Says(404, echo)]).await;
    let alerts = alerts(
        &meta,
        &[
            settings("flaky", "slack", &flaky.url()),
            settings("wrong", "teams", &wrong.url()),
        ],
    );
    alerts.raise(&failed("hourly", "sync"), &[]).await.unwrap();
    let told = alerts.deliver().await.unwrap();
    assert_eq!((told.delivered, told.postponed, told.failed), (0, 1, 1));
    let now = rows(&meta).await;
    let of = |name: &str| now.iter().find(|row| row.channel == name).unwrap().clone();
    let late = of("flaky");
    assert_eq!((late.state.as_str(), late.attempts), ("pending", 1));
    assert_eq!(late.reason.unwrap(), "the receiver answered 500");
    let given_up = of("wrong");
    assert_eq!(given_up.state, "failed");
    let reason = given_up.reason.unwrap();
    assert!(
        reason.contains("refuses it with 404 'no such hook: ***'"),
        "{reason}"
    );

    tokio::time::sleep(Duration::from_millis(40)).await;
    assert_eq!(alerts.deliver().await.unwrap().delivered, 1);
    // The one who was never told hears of the next failure, the other doesn't.
    assert_eq!(
        alerts.raise(&failed("hourly", "sync"), &[]).await.unwrap(),
        1
    );
    assert_eq!(alerts.deliver().await.unwrap().delivered, 1);
    assert_eq!((flaky.requests().len(), wrong.requests().len()), (2, 2));
}

#[tokio::test]
async fn a_receiver_that_asks_to_wait_is_left_alone() {
    let (meta, _folder) = open().await;
    let receiver = Receiver::start([Reply::Wait(1)]).await;
    let alerts = alerts(&meta, &[settings("ops", "slack", &receiver.url())]);
    alerts.raise(&failed("a", "sync"), &[]).await.unwrap();
    alerts.raise(&failed("b", "sync"), &[]).await.unwrap();
    let begun = Instant::now();
    while receiver.requests().len() < 3 && begun.elapsed() < Duration::from_secs(10) {
        alerts.deliver().await.unwrap();
        let asked = receiver.requests().len();
        // Neither the alert that was refused nor the other one is sent before.
        assert!(
            asked <= 1 || begun.elapsed() >= Duration::from_millis(990),
            "{asked}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(rows(&meta).await.iter().all(|row| row.state == "delivered"));
}

#[tokio::test]
async fn a_receiver_that_is_down_hears_of_all_of_it_later() {
    let (meta, _folder) = open().await;
    let address = Receiver::start([]).await.address;
    let url = format!("http://{address}/hook");
    let alerts = alerts(&meta, &[settings("ops", "webhook", &url)]);
    alerts.raise(&failed("a", "sync"), &[]).await.unwrap();
    alerts.raise(&failed("b", "sync"), &[]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let alone = alerts.deliver().await.unwrap();
    assert_eq!((alone.delivered, alone.postponed), (0, 1));
    // It comes back while the end of one of them is raised: that is told after its beginning.
    alerts.over(&Over::run_succeeded("a", "r")).await.unwrap();
    let receiver = Receiver::at(address, []).await;
    let ended = until("all are told", || receiver.requests().len() == 3);
    alerts.run(ended).await;
    let subjects = subjects(&receiver);
    let at = |text: &str| subjects.iter().position(|one| one.contains(text)).unwrap();
    assert!(at("a failed") < at("a succeeds again"), "{subjects:?}");
    assert_eq!(subjects.len(), 3);
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_nobody() {
    let (meta, _folder) = open().await;
    let hanging = Receiver::start(vec![Reply::Hang; 50]).await;
    let good = Receiver::start([]).await;
    let alerts = alerts(
        &meta,
        &[
            settings("hanging", "webhook", &hanging.url()),
            settings("good", "webhook", &good.url()),
        ],
    );
    let begun = Instant::now();
    let work = async {
        for number in 0..5 {
            // A run that raises waits for nobody.
            let asked = Instant::now();
            alerts
                .raise(&failed(&format!("p{number}"), "sync"), &[])
                .await
                .unwrap();
            assert!(asked.elapsed() < Duration::from_secs(1));
        }
        until("the good one is told", || good.requests().len() == 5).await;
        assert!(
            begun.elapsed() < Duration::from_millis(1900),
            "{:?}",
            begun.elapsed()
        );
    };
    alerts.run(work).await;
    let rows = rows(&meta).await;
    let late = rows.iter().find(|row| row.reason.is_some()).unwrap();
    assert_eq!(late.reason.as_deref(), Some("no answer in time"));
    assert_eq!(
        (late.channel.as_str(), late.state.as_str()),
        ("hanging", "pending")
    );
}

#[tokio::test]
async fn channels_that_are_gone_are_given_up_after_a_while() {
    let (meta, _folder) = open().await;
    alerts(&meta, &[settings("old", "log", "")])
        .raise(&failed("a", "sync"), &[])
        .await
        .unwrap();
    let now = chrono::Utc::now();
    let past = now - chrono::TimeDelta::hours(1);
    assert_eq!(
        meta.drop_alerts_of_others(&["ops"], past, "gone")
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        meta.drop_alerts_of_others(&["old"], now, "gone")
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        meta.drop_alerts_of_others(&["ops"], now, "gone")
            .await
            .unwrap(),
        1
    );
    assert_eq!(rows(&meta).await[0].reason.as_deref(), Some("gone"));
    assert_eq!(meta.forget_alerts(past).await.unwrap(), 0);
    assert_eq!(meta.forget_alerts(chrono::Utc::now()).await.unwrap(), 1);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn secrets_are_neither_in_the_log_nor_in_the_table() {
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || written.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (meta, _folder) = open().await;
    let echo = "hunter2signature hunter2secret".to_string();
    let receiver = Receiver::start([Reply::Says(500, echo.clone()), Reply::Says(403, echo)]).await;
    let hook = ChannelSettings {
        secret: Secret::new("hunter2signature"),
        ..settings("hook", "webhook", &receiver.url())
    };
    let mail = ChannelSettings {
        // Nobody listens there.
        smtp: Secret::new("smtp://bot:hunter2password@127.0.0.1:9"),
        from: "reports@example.org".into(),
        to: vec!["ops@example.org".into()],
        ..settings("mail", "email", "")
    };
    let alerts = alerts(&meta, &[settings("log", "log", ""), hook, mail]);
    alerts.raise(&failed("hourly", "sync"), &[]).await.unwrap();
    alerts.deliver().await.unwrap();
    tokio::time::sleep(Duration::from_millis(40)).await;
    alerts.deliver().await.unwrap();
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        text.contains("alert: Pipeline hourly failed at step sync"),
        "{text}"
    );
    assert!(text.contains("alert given up"), "{text}");
    let table = serde_json::to_string(&rows(&meta).await).unwrap();
    for place in [text, table] {
        assert!(place.contains("*** ***"), "{place}");
        assert!(!place.contains("hunter2"), "{place}");
    }
}
