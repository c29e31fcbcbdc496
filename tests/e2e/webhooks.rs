//! Webhooks, from the HTTP request to the rows.

use simulator::signature;
use tests::{Answer, Product, Server};
use warehouse::meta::InboxRow;

use crate::Opened;

const PATH: &str = "/api/v1/webhooks/jira";
const SECRET: &str = "It's a Secret to Everybody";
/// A site that nobody asks.
const NOWHERE: &str = "http://127.0.0.1:9";

/// Delivers a body, signed with a secret.
async fn deliver(
    server: &Server,
    path: &str,
    secret: &str,
    identifier: &str,
    body: &str,
) -> Answer {
    let signature = signature(secret, body.as_bytes());
    let headers = [
        ("x-hub-signature", signature.as_str()),
        ("x-atlassian-webhook-identifier", identifier),
    ];
    server.send(path, body.to_string(), &headers).await
}

fn code(answer: &Answer) -> String {
    answer.json()["error"]["code"].as_str().unwrap().to_string()
}

/// What the inbox of a product holds, the oldest first.
async fn events(product: &Product) -> Vec<InboxRow> {
    let warehouse = product.warehouse().await;
    let mut events = warehouse.meta().inbox(100_000).await.unwrap();
    events.reverse();
    events
}

/// Sends a body in chunks, so that its length isn't known in advance; gives the status line.
async fn send_in_chunks(server: &Server, signature: &str, body: &str) -> String {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let stream = tokio::net::TcpStream::connect(server.http()).await.unwrap();
    let (read, mut write) = stream.into_split();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\nx-hub-signature: {signature}\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    let body = body.to_string();
    let sending = tokio::spawn(async move {
        write.write_all(head.as_bytes()).await?;
        for chunk in body.as_bytes().chunks(60_000) {
            let size = format!("{:x}\r\n", chunk.len());
            write.write_all(size.as_bytes()).await?;
            write.write_all(chunk).await?;
            write.write_all(b"\r\n").await?;
        }
        write.write_all(b"0\r\n\r\n").await
    });
    let mut line = String::new();
    BufReader::new(read).read_line(&mut line).await.unwrap();
    // The server may have stopped reading.
    drop(sending.await.unwrap());
    line
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_signed_is_kept_and_once() {
    let product = Product::accepting(NOWHERE, SECRET);
    let mut server = Server::start(&product);
    // The example of the vendor's documentation.
    let documented = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9";
    let headers = [("x-hub-signature", documented)];
    let answer = server.send(PATH, "Hello World!", &headers).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["status"], "stored");
    // The same bytes again, without an identifier: the same event.
    let answer = server.send(PATH, "Hello World!", &headers).await;
    assert_eq!(
        (answer.status, &answer.json()["status"]),
        (200, &"duplicate".into())
    );

    let body = r#"{"webhookEvent":"jira:issue_updated","issue":{"id":"1"}}"#;
    for path in [PATH.to_string(), format!("{PATH}/site"), format!("{PATH}/")] {
        let answer = deliver(&server, &path, SECRET, &path, body).await;
        assert_eq!(
            (answer.status, &answer.json()["status"]),
            (200, &"stored".into())
        );
        let again = deliver(&server, &path, SECRET, &path, body).await;
        assert_eq!(
            (again.status, &again.json()["status"]),
            (200, &"duplicate".into())
        );
    }
    let kept = events(&product).await;
    assert_eq!(kept.len(), 4, "{kept:?}");
    assert!(
        kept.iter()
            .all(|event| event.state == "pending" && event.connection == "site")
    );

    // Wrong or missing signatures: nothing is kept, and nothing is told.
    let good = signature(SECRET, body.as_bytes());
    let other = signature("another", body.as_bytes());
    let spaced = body.replace(':', ": ");
    let wrong: [(&str, &[(&str, &str)]); 6] = [
        (body, &[]),
        (body, &[("x-hub-signature", &other)]),
        (body, &[("x-hub-signature", &good[7..])]),
        (
            body,
            &[("x-hub-signature", &good), ("x-hub-signature", &good)],
        ),
        // The same JSON in other bytes.
        (&spaced, &[("x-hub-signature", &good)]),
        ("", &[("x-hub-signature", &good)]),
    ];
    for (body, headers) in wrong {
        for path in [PATH, "/api/v1/webhooks/jira/site"] {
            let answer = server.send(path, body.to_string(), headers).await;
            assert_eq!(
                (answer.status, code(&answer)),
                (401, "UNAUTHORIZED".into()),
                "{headers:?}"
            );
            assert!(!answer.body.contains("Everybody") && !answer.body.contains(&good[7..]));
        }
    }
    let answer = deliver(&server, "/api/v1/webhooks/jira/nobody", SECRET, "n", body).await;
    assert_eq!((answer.status, code(&answer)), (404, "WEBHOOKS_OFF".into()));
    // Too large, said in advance or found out on the way.
    let large = "x".repeat((10 << 20) + 1);
    let answer = deliver(&server, PATH, SECRET, "large", &large).await;
    assert_eq!(
        (answer.status, code(&answer)),
        (413, "BODY_TOO_LARGE".into())
    );
    let signed = signature(SECRET, large.as_bytes());
    let answer = send_in_chunks(&server, &signed, &large).await;
    assert!(answer.contains("413"), "{answer}");
    // Larger than other requests may be, and any bytes.
    let fine = format!("\u{0}{}", "y".repeat(9 << 20));
    let answer = deliver(&server, PATH, SECRET, "fine", &fine).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(events(&product).await.len(), 5);
    assert!(server.is_alive());
    let metrics = server.get("/metrics").await.body;
    for line in [
        "sprint_reports_webhooks_total{outcome=\"stored\"} 5",
        "sprint_reports_webhooks_total{outcome=\"duplicate\"} 4",
        "sprint_reports_webhook_events{connection=\"site\",state=\"pending\"} 5",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    let ended = server.stop();
    assert!(!ended.err.contains("Everybody"), "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_secret_nothing_is_accepted_and_with_several_the_signature_decides() {
    let server = Server::start(tests::filled().await);
    for path in [PATH.to_string(), format!("{PATH}/site")] {
        let answer = deliver(&server, &path, "", "a", "{}").await;
        assert_eq!((answer.status, code(&answer)), (404, "WEBHOOKS_OFF".into()));
        assert!(answer.body.contains("webhook_secret"), "{}", answer.body);
    }
    let product = Product::new();
    let connection = |name: &str, secret: &str| {
        format!(
            "[[connections]]\nname = \"{name}\"\nurl = \"{NOWHERE}\"\ntoken = \"t\"\n\
             webhook_secret = \"{secret}\"\n"
        )
    };
    let all = ["one:1st", "two:2nd", "three:shared", "four:shared", "five:"]
        .map(|pair| pair.split_once(':').unwrap())
        .map(|(name, secret)| connection(name, secret));
    product.write("sprint-reports.toml", &all.concat());
    let server = Server::start(&product);
    for (path, secret, status, owner) in [
        (PATH, "1st", 200, "one"),
        (PATH, "2nd", 200, "two"),
        (PATH, "3rd", 401, ""),
        (PATH, "shared", 409, ""),
        ("/api/v1/webhooks/jira/four", "shared", 200, "four"),
        ("/api/v1/webhooks/jira/one", "2nd", 401, ""),
        ("/api/v1/webhooks/jira/five", "", 404, ""),
    ] {
        let identifier = format!("{path} {secret}");
        let answer = deliver(&server, path, secret, &identifier, "{}").await;
        assert_eq!(answer.status, status, "{identifier}: {}", answer.body);
        if status == 200 {
            let last = events(&product).await.pop().unwrap();
            assert_eq!(last.connection, owner, "{identifier}");
        }
    }
    // A secret that is empty where the setting points to is no secret.
    let product = Product::accepting(NOWHERE, "env:HOOK_SECRET")
        .with_environment(vec![("HOOK_SECRET".into(), String::new())]);
    let ended = product.run(&["serve", "--port-http", "0"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(
        ended
            .err
            .contains("connections.site.webhook_secret is empty"),
        "{}",
        ended.err
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_is_refused_until_there_is_room() {
    let product = Product::accepting(NOWHERE, SECRET);
    let few = [("SPRINT_REPORTS__SERVE__MAX_PENDING_WEBHOOKS", "2")];
    let server = Server::start_with(&product, &few);
    for identifier in ["a", "b"] {
        assert_eq!(
            deliver(&server, PATH, SECRET, identifier, "{}")
                .await
                .status,
            200
        );
    }
    let full = deliver(&server, PATH, SECRET, "c", "{}").await;
    assert_eq!((full.status, code(&full)), (503, "INBOX_FULL".into()));
    assert_eq!(full.header("retry-after"), "60");
    // What it has, it has.
    assert_eq!(deliver(&server, PATH, SECRET, "a", "{}").await.status, 200);
    drop(server);
    let server = Server::start(&product);
    assert_eq!(deliver(&server, PATH, SECRET, "c", "{}").await.status, 200);
}

/// Killed before or after an event is durable, the source gets no answer and sends it again; it is
/// there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_answer_was_lost_is_there_once() {
    for (point, then) in [
        ("inbox.before_commit", "stored"),
        ("inbox.committed", "duplicate"),
    ] {
        let product = Product::accepting(NOWHERE, SECRET);
        let fault = format!("kill@{point}");
        let mut server = Server::start_with(&product, &[("SPRINT_REPORTS_FAULT", &fault)]);
        let url = format!("http://{}{PATH}", server.http());
        let signed = signature(SECRET, b"{}");
        let request = reqwest::Client::new()
            .post(url)
            .header("x-hub-signature", &signed)
            .header("x-atlassian-webhook-identifier", "a")
            .body("{}");
        assert!(
            request.send().await.is_err(),
            "{point}: there was an answer"
        );
        assert!(server.has_died(), "{point}");
        let server = Server::start(&product);
        let again = deliver(&server, PATH, SECRET, "a", "{}").await;
        assert_eq!(again.json()["status"], then, "{point}");
        assert_eq!(events(&product).await.len(), 1, "{point}");
    }
}
