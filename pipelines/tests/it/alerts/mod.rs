//! Alerts: raised, told once, tried again, in the formats of their receivers.

mod delivery;
mod doubles;
mod formats;

use std::time::Duration;

use chrono::{DateTime, Utc};
use ingest::Secret;
use pipelines::alerts::{Alert, Alerts, Channel, ChannelSettings, Delivery, FailedRun};
use warehouse::MetaDb;
use warehouse::meta::AlertRow;

/// Texts that somebody could write in a source, and that would do harm if they were understood.
const HOSTILE: &str = "<!channel> <@U024BE7LH> <https://evil.example|your bank> @here *bold* \
    [click](https://evil.example) <at>all</at> <script>alert(1)</script> & \"quoted\" {{DATE(2026-01-01)}}";

fn quick() -> Delivery {
    Delivery {
        first_pause: Duration::from_millis(20),
        longest_pause: Duration::from_millis(100),
        tries: 200,
        poll: Duration::from_millis(10),
        ..Delivery::default()
    }
}

fn settings(name: &str, kind: &str, url: &str) -> ChannelSettings {
    ChannelSettings {
        name: name.into(),
        kind: kind.into(),
        url: Secret::new(url),
        wait: Duration::from_secs(2),
        ..ChannelSettings::default()
    }
}

fn alerts(meta: &MetaDb, settings: &[ChannelSettings]) -> Alerts {
    let channels = settings.iter().map(|one| Channel::new(one).unwrap());
    Alerts::new(meta.clone(), channels.collect(), quick())
        .with_links("https://reports.example.org/")
}

fn started() -> DateTime<Utc> {
    "2026-03-02T04:05:06Z".parse().unwrap()
}

fn failed(pipeline: &str, step: &str) -> Alert {
    Alert::run_failed(FailedRun {
        pipeline,
        run_id: "0198-run",
        step: Some(step),
        reason: "the site fails (503)",
        started_at: started(),
        release: Some("r12"),
    })
}

async fn rows(meta: &MetaDb) -> Vec<AlertRow> {
    meta.alerts(1000).await.unwrap()
}

/// Waits until something is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within ten seconds");
}

#[test]
fn settings_that_can_not_be_used_say_what_to_write() {
    let secret = "https://10.0.0.8/hunter2";
    let mail = ChannelSettings {
        smtp: Secret::new("smtps://bot:hunter2@mail.example.org"),
        from: "reports@example.org".into(),
        to: vec!["ops@example.org".into()],
        ..settings("ops", "email", "")
    };
    let with = |change: fn(&mut ChannelSettings)| {
        let mut changed = mail.clone();
        change(&mut changed);
        changed
    };
    for (settings, says) in [
        (
            settings("ops", "slak", ""),
            "write one of log, webhook, slack",
        ),
        (settings("ops", "slack", ""), "url is missing"),
        (settings("ops", "slack", secret), "private = true"),
        (
            settings("ops", "teams", "http://example.org/hunter2"),
            "plain http",
        ),
        (
            settings("ops", "log", "https://example.org/hunter2"),
            "url has no meaning",
        ),
        (with(|one| one.to.clear()), "to is missing"),
        (
            with(|one| one.from = "reports\r\nBcc: x@y.z".into()),
            "is no mail address",
        ),
        (
            with(|one| one.smtp = Secret::new("smtp://192.168.1.1")),
            "private network",
        ),
        (
            with(|one| one.smtp = Secret::new("http://u:hunter2@h")),
            "write smtp or smtps",
        ),
        (with(|one| one.on = vec!["run_fails".into()]), "run_failed"),
        (
            with(|one| one.min_severity = "bad".into()),
            "info, warning or error",
        ),
    ] {
        let error = Channel::new(&settings).unwrap_err().to_string();
        assert!(error.starts_with("alerts 'ops': "), "{error}");
        assert!(error.contains(says), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let channel = Channel::new(&mail).unwrap();
    let shown = format!("{channel:?}");
    assert!(
        shown.contains("ops@example.org by mail.example.org:465"),
        "{shown}"
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}
