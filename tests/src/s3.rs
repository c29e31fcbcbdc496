//! S3 servers: a real one, and one that lies.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::binary;

/// An S3 server with an empty bucket `lake`, stopped when dropped.
#[derive(Debug)]
pub struct S3 {
    child: Child,
    endpoint: String,
}

impl S3 {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let build = binary();
        let target = build.parent().and_then(|profile| profile.parent());
        let program = target
            .expect("target/PROFILE")
            .join("services/venv/bin/moto_server");
        assert!(
            program.is_file(),
            "{} is missing; run tests/services/install.sh first",
            program.display()
        );
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a free port");
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the S3 server starts");
        let server = Self {
            child,
            endpoint: format!("http://{address}"),
        };
        let started = Instant::now();
        loop {
            if let Ok(mut stream) = TcpStream::connect(address) {
                let request =
                    b"PUT /lake HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                let mut answer = String::new();
                let done = stream
                    .write_all(request)
                    .and_then(|()| stream.read_to_string(&mut answer));
                if done.is_ok() && answer.contains(" 200 ") {
                    return server;
                }
            }
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "the S3 server does not answer"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Environment of a product whose lake is in the bucket, below a prefix.
    pub fn environment(&self, prefix: &str) -> Vec<(String, String)> {
        environment(&self.endpoint, prefix)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn environment(endpoint: &str, prefix: &str) -> Vec<(String, String)> {
    [
        ("SPRINT_REPORTS__STORE__URL", format!("s3://lake/{prefix}")),
        ("AWS_ACCESS_KEY_ID", "test".to_string()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_string()),
        ("AWS_REGION", "us-east-1".to_string()),
        ("AWS_ENDPOINT", endpoint.to_string()),
        ("AWS_ALLOW_HTTP", "true".to_string()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .to_vec()
}

/// Environment of a bucket that accepts every write, whatever its conditions say. The thread behind
/// it ends with the process.
pub fn lying_bucket() -> Vec<(String, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || accept_all(stream));
        }
    });
    environment(&endpoint, "lied")
}

fn accept_all(mut stream: TcpStream) {
    let Ok(copy) = stream.try_clone() else { return };
    let mut reader = BufReader::new(copy);
    loop {
        let mut length = 0;
        let mut lines = 0;
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => lines += 1,
            }
            let line = line.trim().to_lowercase();
            if line.is_empty() && lines > 1 {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        let answer = b"HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 0\r\n\r\n";
        if reader.read_exact(&mut body).is_err() || stream.write_all(answer).is_err() {
            return;
        }
    }
}
