//! Receivers of alerts that note what they are sent, and answer as they are told.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How a receiver answers.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Status(u16),
    /// 429 with `Retry-After` in seconds.
    Wait(u64),
    /// This status with a text.
    Says(u16, String),
    /// Takes everything and says nothing.
    Hang,
}

/// A request, as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Shared<T> = Arc<Mutex<T>>;

/// Answers as scripted, then 200.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    requests: Shared<Vec<Request>>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), script).await
    }

    pub(crate) async fn at(address: SocketAddr, script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let script: Shared<VecDeque<Reply>> = Arc::new(Mutex::new(script.into_iter().collect()));
        let requests: Shared<Vec<Request>> = Arc::default();
        let noted = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream, Arc::clone(&script), Arc::clone(&noted)));
            }
        });
        Self {
            address,
            requests,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/services/hunter2secret", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    stream: TcpStream,
    script: Shared<VecDeque<Reply>>,
    requests: Shared<Vec<Request>>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let path = line.split(' ').nth(1)?.to_string();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_string());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    stream.read_exact(&mut body).await.ok()?;
    let request = Request {
        path,
        headers,
        body,
    };
    requests.lock().unwrap().push(request);
    let reply = script.lock().unwrap().pop_front();
    let (status, more, says) = match reply.unwrap_or(Reply::Status(200)) {
        Reply::Status(status) => (status, String::new(), String::new()),
        Reply::Says(status, says) => (status, String::new(), says),
        Reply::Wait(seconds) => (429, format!("retry-after: {seconds}\r\n"), String::new()),
        Reply::Hang => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            return None;
        }
    };
    let length = says.len();
    let text = format!(
        "HTTP/1.1 {status} x\r\n{more}connection: close\r\ncontent-length: {length}\r\n\r\n{says}"
    );
    stream.write_all(text.as_bytes()).await.ok()
}

/// A mail that arrived: who signed in, sender, receivers, and the mail itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mail {
    pub(crate) auth: String,
    pub(crate) envelope: Vec<String>,
    pub(crate) text: String,
}

/// A mail server without encryption; what it answers to receivers is scripted.
pub(crate) struct MailServer {
    pub(crate) port: u16,
    mails: Shared<Vec<Mail>>,
    task: tokio::task::JoinHandle<()>,
}

impl MailServer {
    pub(crate) async fn start(script: impl IntoIterator<Item = &'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script: Shared<VecDeque<&str>> = Arc::new(Mutex::new(script.into_iter().collect()));
        let mails: Shared<Vec<Mail>> = Arc::default();
        let noted = Arc::clone(&mails);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(talk(stream, Arc::clone(&script), Arc::clone(&noted)));
            }
        });
        Self { port, mails, task }
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap().clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn talk(
    stream: TcpStream,
    script: Shared<VecDeque<&'static str>>,
    mails: Shared<Vec<Mail>>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 double ESMTP\r\n").await.ok()?;
    let mut mail = Mail::default();
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let command = line.trim_end().to_string();
        let verb = command.get(..4).unwrap_or_default().to_ascii_uppercase();
        let reply = match verb.as_str() {
            "EHLO" => "250-double\r\n250-8BITMIME\r\n250 AUTH PLAIN",
            "AUTH" => {
                mail.auth = command;
                "235 ok"
            }
            "MAIL" | "RCPT" => {
                mail.envelope.push(command);
                let scripted = script.lock().unwrap().pop_front();
                scripted.filter(|_| verb == "RCPT").unwrap_or("250 ok")
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.ok()?;
                loop {
                    line.clear();
                    stream.read_line(&mut line).await.ok()?;
                    if line == ".\r\n" {
                        break;
                    }
                    mail.text.push_str(&line);
                }
                mails.lock().unwrap().push(std::mem::take(&mut mail));
                "250 kept"
            }
            "QUIT" => "221 bye",
            _ => "500 what?",
        };
        stream
            .write_all(format!("{reply}\r\n").as_bytes())
            .await
            .ok()?;
    }
}
