//! Sends requests again that a client made (one JSON object a line, as `jira-simulator --requests`
//! writes them), several at a time, and throws the answers away: what the site and the network take
//! without any work on the answers. Prints one JSON object.
//!
//! `bare-reader URL FILE CONCURRENCY`, with `AUTHORIZATION` in the environment.

use std::io::{Error, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::Value;

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Work {
    client: reqwest::Client,
    base: String,
    requests: Vec<Value>,
    next: AtomicUsize,
    bytes: AtomicU64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, base, file, concurrency] = arguments.as_slice() else {
        return Err(Error::other("usage: bare-reader URL FILE CONCURRENCY").into());
    };
    let concurrency: usize = concurrency.parse()?;
    let text = std::fs::read_to_string(file)?;
    let requests = text.lines().map(serde_json::from_str);
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("authorization", std::env::var("AUTHORIZATION")?.parse()?);
    headers.insert("accept", "application/json".parse()?);
    let work = Arc::new(Work {
        client: reqwest::Client::builder()
            .default_headers(headers)
            .build()?,
        base: base.clone(),
        requests: requests.collect::<Result<_, _>>()?,
        next: AtomicUsize::new(0),
        bytes: AtomicU64::new(0),
    });
    let begun = Instant::now();
    let workers: Vec<_> = (0..concurrency)
        .map(|_| tokio::spawn(work_off(Arc::clone(&work))))
        .collect();
    for worker in workers {
        worker.await??;
    }
    let told = serde_json::json!({
        "seconds": begun.elapsed().as_secs_f64(),
        "requests": work.requests.len(),
        "bytes": work.bytes.load(Ordering::Relaxed),
    });
    writeln!(std::io::stdout(), "{told}")?;
    Ok(())
}

async fn work_off(work: Arc<Work>) -> Result<(), Failure> {
    loop {
        let number = work.next.fetch_add(1, Ordering::Relaxed);
        let Some(request) = work.requests.get(number) else {
            return Ok(());
        };
        let part = |name: &str| request[name].as_str().unwrap_or_default();
        let mut url = format!("{}{}", work.base, part("path"));
        if !part("query").is_empty() {
            url = format!("{url}?{}", part("query"));
        }
        let asked = match part("method") {
            "POST" => work
                .client
                .post(url)
                .header("content-type", "application/json")
                .body(part("body").to_string()),
            _ => work.client.get(url),
        };
        let response = asked.send().await?;
        let status = response.status().as_u16();
        if Some(u64::from(status)) != request["status"].as_u64() {
            let text = format!("{request}: {status} now, and not the status of then");
            return Err(Error::other(text).into());
        }
        let body = response.bytes().await?;
        work.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
    }
}
