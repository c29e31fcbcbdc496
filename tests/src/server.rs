//! A running `serve`, and what its clients get.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::{Ended, Product};

/// A server of a product, stopped when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: Option<std::thread::JoinHandle<String>>,
    http: String,
    postgres: String,
    client: reqwest::Client,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: reqwest::header::HeaderMap,
    /// Body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// A header as text; empty without it.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

/// A connection over the PostgreSQL protocol; dropped, it breaks off, whatever is under way.
#[derive(Debug)]
pub struct Postgres {
    client: tokio_postgres::Client,
    connection: JoinHandle<()>,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// An error that the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its SQLSTATE.
    pub sqlstate: String,
    /// What it says.
    pub message: String,
}

impl Postgres {
    /// Rows of a text query, as text; `None` is null.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Refused> {
        let messages = self.client.simple_query(sql).await.map_err(refused)?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(rows
            .map(|row| {
                (0..row.len())
                    .map(|column| row.get(column).map(str::to_string))
                    .collect()
            })
            .collect())
    }

    /// The driver itself, for prepared statements and cancelling.
    pub fn driver(&self) -> &tokio_postgres::Client {
        &self.client
    }
}

/// What a driver's error says; an error that the server did not send has the state `lost`.
pub fn refused(error: tokio_postgres::Error) -> Refused {
    match error.as_db_error() {
        Some(error) => Refused {
            sqlstate: error.code().code().to_string(),
            message: error.message().to_string(),
        },
        None => Refused {
            sqlstate: "lost".to_string(),
            message: error.to_string(),
        },
    }
}

impl Server {
    /// Starts `serve` on free ports.
    pub fn start(product: &Product) -> Self {
        Self::start_with(product, &[])
    }

    /// The same with variables in its environment.
    pub fn start_with(product: &Product, environment: &[(&str, &str)]) -> Self {
        Self::start_as("serve", product, environment)
    }

    /// Starts a command that serves: `serve`, or `all`.
    pub fn start_as(command: &str, product: &Product, environment: &[(&str, &str)]) -> Self {
        let arguments = [command, "--port-http", "0", "--port-postgres", "0"];
        let mut child = product
            .command(&arguments)
            .envs(environment.iter().copied())
            .spawn()
            .expect("the binary starts");
        // Read all the time: a full pipe would stop the server.
        let mut errors = child.stderr.take().expect("a pipe");
        let log = std::thread::spawn(move || {
            let mut log = Vec::new();
            errors.read_to_end(&mut log).expect("a pipe");
            String::from_utf8_lossy(&log).into_owned()
        });
        let out = child.stdout.take().expect("a pipe");
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        let mut address = |scheme: &str| {
            let start = format!("listening on {scheme}://");
            let line = lines.find(|line| line.starts_with(&start));
            line.and_then(|line| line.strip_prefix(&start).map(str::to_string))
        };
        let http = address("http");
        let postgres = address("postgres");
        let (Some(http), Some(postgres)) = (http, postgres) else {
            drop(child.kill());
            panic!("serve ended: {}", log.join().expect("a log"));
        };
        Self {
            child,
            log: Some(log),
            http,
            postgres,
            client: reqwest::Client::new(),
        }
    }

    /// Address of HTTP.
    pub fn http(&self) -> &str {
        &self.http
    }

    /// Answer to a GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// Answer to a GET with headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.get(format!("http://{}{path}", self.http));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request).await
    }

    /// Answer to a POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, body, &[]).await
    }

    /// Answer to a POST of JSON with headers.
    pub async fn post_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = self
            .client
            .post(format!("http://{}{path}", self.http))
            .json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request).await
    }

    /// Answer to a POST of any body, with these headers only.
    pub async fn send(
        &self,
        path: &str,
        body: impl Into<reqwest::Body>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self
            .client
            .post(format!("http://{}{path}", self.http))
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request).await
    }

    /// A new connection over the PostgreSQL protocol.
    pub async fn postgres(&self) -> Postgres {
        let url = format!("postgres://analyst@{}", self.postgres);
        let (client, connection) = tokio_postgres::connect(&url, NoTls)
            .await
            .expect("a connection");
        // What breaks it is seen by the client as well.
        let connection = tokio::spawn(async move { drop(connection.await) });
        Postgres { client, connection }
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Processor time that the process has used, in seconds.
    pub fn processor_seconds(&self) -> f64 {
        let path = format!("/proc/{}/stat", self.child.id());
        let text = std::fs::read_to_string(path).expect("a process has its figures");
        let after_name = text.rsplit(')').next().unwrap_or_default();
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |index: usize| fields[index].parse::<f64>().expect("a number");
        // User and system time, in hundredths.
        (ticks(11) + ticks(12)) / 100.0
    }

    /// Kills the process, as a loss of power would.
    pub fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("an end");
    }

    /// Whether the process has ended by itself, waiting a little for it.
    pub fn has_died(&mut self) -> bool {
        (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            !self.is_alive()
        })
    }

    /// Asks the process to stop and waits for its end.
    pub fn stop(mut self) -> Ended {
        let pid = self.child.id().to_string();
        let asked = std::process::Command::new("kill").arg(pid).status();
        asked.expect("kill runs");
        let code = self.child.wait().expect("an end").code();
        let log = self.log.take().expect("it was not stopped before");
        Ended {
            code,
            out: String::new(),
            err: log.join().expect("a log"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let body = response.text().await.expect("a body");
    Answer {
        status,
        headers,
        body,
    }
}
