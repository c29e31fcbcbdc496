//! What receivers are sent, checked against what they publish.

use std::path::PathBuf;
use std::process::Command;

use chrono::TimeDelta;
use ingest::Secret;
use pipelines::alerts::{Alert, Channel, ChannelSettings, Over, Told};
use serde_json::{Value, json};
use warehouse::MetaDb;

use super::doubles::{Mail, MailServer, Receiver, Request};
use super::{HOSTILE, alerts, failed, rows, settings, started};
use crate::open;

/// One of each kind, one with everything that is bad, one that is too long, and an end.
async fn raise_all(meta: &MetaDb, channel: ChannelSettings) -> Told {
    let alerts = alerts(meta, &[channel]);
    let mut bad = failed("bad", HOSTILE);
    bad.lines = vec![
        HOSTILE.to_string(),
        format!("a\r\nBcc: x@y.z\r\n.\r\n{HOSTILE}"),
    ];
    bad.connection = Some(HOSTILE.to_string());
    let mut long = failed("long", &"é&<".repeat(2000));
    long.lines = vec!["<&>\u{1f600}".repeat(2000); 40];
    let late = started() + TimeDelta::minutes(90);
    for alert in [
        failed("hourly", "sync"),
        Alert::data_test_failed(
            "sprints_unique",
            Some("marts.sprints"),
            3,
            Some("0198-run"),
            None,
        ),
        Alert::freshness_passed("acme", started(), 60, Some("r12"), late),
        Alert::visible_issues_dropped("acme", "PROJ", 1200, 40, None),
        bad,
        long,
    ] {
        assert_eq!(alerts.raise(&alert, &[]).await.unwrap(), 1);
    }
    alerts.over(&Over::fresh_again("acme")).await.unwrap();
    let mut told = alerts.deliver().await.unwrap();
    // What ends is claimed in the same go, after what began.
    told.delivered += alerts.deliver().await.unwrap().delivered;
    told
}

async fn sent(kind: &str) -> Vec<Request> {
    let (meta, _folder) = open().await;
    let receiver = Receiver::start([]).await;
    let told = raise_all(&meta, settings("ops", kind, &receiver.url())).await;
    assert_eq!(told.delivered, 7, "{:?}", rows(&meta).await);
    receiver.requests()
}

/// Every string of a JSON value.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().flat_map(strings).collect(),
        Value::Object(map) => map.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// Runs what the receivers publish over messages.
fn check(messages: &Value) -> Result<(), String> {
    // Tests are built into `target/PROFILE/deps`.
    let binary = std::env::current_exe().unwrap();
    let folder: PathBuf = binary.ancestors().nth(3).unwrap().join("services/formats");
    assert!(
        folder.join("node_modules").is_dir(),
        "{} is missing; run tests/services/install.sh first",
        folder.display()
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), messages.to_string()).unwrap();
    let output = Command::new("node")
        .arg(folder.join("check.mjs"))
        .arg(file.path())
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[tokio::test]
async fn cards_and_blocks_are_those_that_are_published() {
    let mut messages = Vec::new();
    for kind in ["teams", "slack"] {
        let sent = sent(kind).await;
        messages.extend(
            sent.iter()
                .map(|one| json!({"kind": kind, "message": one.json()})),
        );
    }
    assert_eq!(messages.len(), 14);
    let messages = Value::Array(messages);
    check(&messages).unwrap();
    // The check can fail.
    let text = messages.to_string();
    for (right, wrong) in [
        ("\"bolder\"", "\"boldest\""),
        ("\"verbatim\"", "\"verbatm\""),
    ] {
        let changed = serde_json::from_str(&text.replace(right, wrong)).unwrap();
        assert!(check(&changed).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn slack_shows_what_people_wrote_and_understands_none_of_it() {
    for request in sent("slack").await {
        let message = request.json();
        let blocks = message["blocks"].as_array().unwrap();
        let header = blocks[0]["text"]["text"].as_str().unwrap();
        assert!((1..=150).contains(&header.chars().count()), "{header}");
        let mut links = 0;
        for text in strings(&message) {
            assert!(text.chars().count() <= 3000, "{}", text.chars().count());
            if text.starts_with("<https://reports.example.org/api/v1/runs/") {
                assert_eq!(text.matches(['<', '>', '|']).count(), 3, "{text}");
                links += 1;
                continue;
            }
            assert!(!text.contains(['<', '>']), "{text}");
        }
        for text in [header, message["text"].as_str().unwrap()] {
            assert!(!text.contains('@'), "{text}");
        }
        let has_run = message.to_string().contains("Run: ");
        assert_eq!(links, usize::from(has_run), "{message}");
        for block in &blocks[1..] {
            let texts = block.get("elements").map_or(vec![&block["text"]], |all| {
                all.as_array().unwrap().iter().collect()
            });
            assert!(texts.iter().all(|text| text["verbatim"] == true), "{block}");
        }
    }
}

#[tokio::test]
async fn teams_is_sent_runs_of_text_which_it_does_not_read_as_markdown() {
    for request in sent("teams").await {
        let message = request.json();
        assert!(request.body.len() < 28 << 10, "{}", request.body.len());
        let card = &message["attachments"][0]["content"];
        for block in card["body"].as_array().unwrap() {
            assert_eq!(block["type"], "RichTextBlock");
            for run in block["inlines"].as_array().unwrap() {
                assert_eq!(run["type"], "TextRun");
                assert!(!run["text"].as_str().unwrap().contains("{{"), "{run}");
            }
        }
        if message.to_string().contains("0198-run") {
            let url = "https://reports.example.org/api/v1/runs/0198-run";
            assert_eq!(card["actions"][0]["url"], url);
        }
    }
}

#[tokio::test]
async fn a_webhook_is_signed_and_says_all() {
    let (meta, _folder) = open().await;
    let receiver = Receiver::start([]).await;
    let signed = ChannelSettings {
        secret: Secret::new("s3cret"),
        ..settings("ops", "webhook", &receiver.url())
    };
    raise_all(&meta, signed).await;
    let request = &receiver.requests()[0];
    assert_eq!(request.path, "/services/hunter2secret");
    assert_eq!(request.headers["content-type"], "application/json");
    let mut message = request.json();
    let id = message["alert_id"].as_str().unwrap().to_string();
    assert_eq!(request.headers["idempotency-key"], id);
    for varying in ["alert_id", "occurred_at", "raised_at"] {
        assert!(message[varying].take().is_string(), "{varying}");
    }
    let lines = message["lines"].take();
    assert_eq!(lines[0], "Why: the site fails (503)");
    assert_eq!(lines[1], "The run began at 2026-03-02T04:05:06Z.");
    assert!(
        lines[2]
            .as_str()
            .unwrap()
            .starts_with("Release r12 stays published")
    );
    let expected = json!({
        "version": 1, "alert_id": null, "kind": "run_failed", "severity": "error", "status": "open",
        "resolves": null, "condition": "run_failed/hourly/sync",
        "subject": "Pipeline hourly failed at step sync", "lines": null, "pipeline": "hourly",
        "run_id": "0198-run", "connection": null, "occurred_at": null, "raised_at": null,
        "link": "https://reports.example.org/api/v1/runs/0198-run", "attempt": 1,
    });
    assert_eq!(message, expected);

    // The signature is what another program computes.
    let timestamp = &request.headers["x-sprint-reports-timestamp"];
    let script = "import sys, hmac, hashlib; data = sys.stdin.buffer.read(); \
                  print('sha256=' + hmac.new(b's3cret', data, hashlib.sha256).hexdigest(), end='')";
    let mut data = format!("{timestamp}.").into_bytes();
    data.extend_from_slice(&request.body);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), data).unwrap();
    let output = Command::new("python3")
        .args(["-c", script])
        .stdin(std::fs::File::open(file.path()).unwrap())
        .output()
        .unwrap();
    let theirs = String::from_utf8(output.stdout).unwrap();
    assert_eq!(request.headers["x-sprint-reports-signature"], theirs);
}

fn mail_settings(port: u16) -> ChannelSettings {
    ChannelSettings {
        smtp: Secret::new(format!("smtp://bot:p%40ss+word@127.0.0.1:{port}")),
        from: "Sprint Reports <reports@example.org>".into(),
        to: vec!["ops@example.org".into(), "Lead <lead@example.org>".into()],
        ..settings("mail", "email", "")
    }
}

/// The parts of a mail, as Python's mail reader sees them.
fn read(mail: &Mail) -> Value {
    let script = "import sys, json, email, email.policy; \
        m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default); \
        print(json.dumps({'headers': [[k, str(v)] for k, v in m.items()], \
        'defects': [str(d) for d in m.defects], \
        'parts': [[p.get_content_type(), p.get_content()] for p in m.iter_parts()]}))";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &mail.text).unwrap();
    let output = Command::new("python3")
        .args(["-c", script])
        .stdin(std::fs::File::open(file.path()).unwrap())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn mails_are_well_formed_whatever_they_tell() {
    let (meta, _folder) = open().await;
    let server = MailServer::start([]).await;
    let told = raise_all(&meta, mail_settings(server.port)).await;
    assert_eq!(told.delivered, 7, "{:?}", rows(&meta).await);
    let mails = server.mails();
    assert_eq!(mails.len(), 7);
    for mail in &mails {
        // Basic: an empty identity, the user and the decoded password.
        assert_eq!(mail.auth, "AUTH PLAIN AGJvdABwQHNzK3dvcmQ=");
        let envelope = mail.envelope.join("\n");
        assert!(
            envelope.starts_with("MAIL FROM:<reports@example.org>"),
            "{envelope}"
        );
        assert!(
            envelope.ends_with("<ops@example.org>\nRCPT TO:<lead@example.org>"),
            "{envelope}"
        );
        let read = read(mail);
        assert_eq!(read["defects"], json!([]), "{read}");
        let names: Vec<_> = read["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|header| header[0].as_str().unwrap().to_ascii_lowercase())
            .collect();
        assert!(!names.contains(&"bcc".to_string()), "{names:?}");
        for one in [
            "subject",
            "message-id",
            "from",
            "to",
            "date",
            "auto-submitted",
        ] {
            assert_eq!(
                names.iter().filter(|name| *name == one).count(),
                1,
                "{one} {names:?}"
            );
        }
        let parts = read["parts"].as_array().unwrap();
        assert_eq!(
            (&parts[0][0], &parts[1][0]),
            (&json!("text/plain"), &json!("text/html"))
        );
        let html = parts[1][1].as_str().unwrap();
        assert!(
            !html.contains("<script>") && !html.contains("<at>"),
            "{html}"
        );
    }
    let first = read(&mails[0]);
    let header = |name: &str| {
        let headers = first["headers"].as_array().unwrap();
        let found = headers.iter().find(|header| header[0] == name);
        found.map_or(String::new(), |header| {
            header[1].as_str().unwrap().to_string()
        })
    };
    assert_eq!(
        header("Subject"),
        "Error: Pipeline hourly failed at step sync"
    );
    let rows = rows(&meta).await;
    let oldest = rows.last().unwrap();
    let id = format!("<{}.sprint-reports@example.org>", oldest.alert_id);
    assert_eq!(header("Message-ID"), id);
    let text = first["parts"][0][1].as_str().unwrap();
    assert!(
        text.contains("The run: https://reports.example.org/api/v1/runs/0198-run"),
        "{text}"
    );
    let bad = read(&mails[4]);
    let html = bad["parts"][1][1].as_str().unwrap();
    assert!(
        html.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quoted&quot;"),
        "{html}"
    );
    // The end of a condition is an answer to its beginning.
    let end = read(&mails[6]);
    assert!(end.to_string().contains("In-Reply-To"), "{end}");
}

#[tokio::test]
async fn mail_servers_that_refuse_and_those_that_are_busy() {
    let (meta, _folder) = open().await;
    let server = MailServer::start(["", "451 busy", "", "550 no such user"]).await;
    let alerts = alerts(&meta, &[mail_settings(server.port)]);
    alerts.raise(&failed("hourly", "sync"), &[]).await.unwrap();
    assert_eq!(alerts.deliver().await.unwrap().postponed, 1);
    let late = rows(&meta).await[0].reason.clone().unwrap();
    assert!(late.contains("451") || late.contains("busy"), "{late}");
    tokio::time::sleep(std::time::Duration::from_millis(40)).await;
    assert_eq!(alerts.deliver().await.unwrap().failed, 1);
    let reason = rows(&meta).await[0].reason.clone().unwrap();
    assert!(reason.contains("no such user"), "{reason}");
    assert!(server.mails().is_empty());
    // Elsewhere than here a password needs encryption.
    let plain = ChannelSettings {
        smtp: Secret::new("smtp://bot:x@10.0.0.1"),
        ..mail_settings(1)
    };
    assert!(Channel::new(&plain).is_err());
}
