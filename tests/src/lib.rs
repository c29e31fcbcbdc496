//! Harness of the tests from outside: the real binary in a folder of its own, its server on free
//! ports with clients of both protocols, a simulated Jira in this process, S3 and PostgreSQL servers.
#![expect(clippy::expect_used, clippy::panic, reason = "a harness of tests")]

mod database;
mod redis;
mod s3;
mod server;
mod site;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

pub use database::{Cluster, PASSWORD, certificate, database, psql};
pub use redis::Redis;
pub use s3::{S3, lying_bucket};
pub use server::{Answer, Postgres, Refused, Server, refused};
pub use site::{REFRESH, filled, large_site, now, small_site, small_site_in};

/// Path of the binary under test: beside the test's own target folder.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its path");
    let profile = test
        .parent()
        .and_then(Path::parent)
        .expect("target/PROFILE/deps/TEST");
    let path = profile.join("sprint-reports");
    assert!(
        path.is_file(),
        "{} is missing; run `cargo build --workspace` first",
        path.display()
    );
    path
}

/// Folder with recorded payloads, when the environment names one.
pub fn test_data() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("SPRINT_REPORTS_TEST_DATA")?);
    assert!(
        path.is_dir(),
        "SPRINT_REPORTS_TEST_DATA is not a folder: {}",
        path.display()
    );
    Some(path)
}

/// The product in a folder of its own.
#[derive(Debug)]
pub struct Product {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ended {
    /// Fails the test unless the command succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "out: {}\nerr: {}", self.out, self.err);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}\nout: {}\nerr: {}", self.out, self.err))
    }
}

impl Default for Product {
    fn default() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            environment: Vec::new(),
        }
    }
}

impl Product {
    /// In an empty folder, without settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one connection, to a Jira at a URL.
    pub fn connected(url: &str, email: &str, token: &str) -> Self {
        let product = Self::new();
        product.write(
            "sprint-reports.toml",
            &format!(
                "[[connections]]\nname = \"site\"\nkind = \"jira\"\nurl = \"{url}\"\n\
                 auth = \"basic\"\nemail = \"{email}\"\ntoken = \"{token}\"\n"
            ),
        );
        product
    }

    /// With one connection, to a Jira at a URL whose webhooks are signed with a secret.
    pub fn accepting(url: &str, secret: &str) -> Self {
        let account = simulator::Settings::default().account;
        let product = Self::connected(url, &account.email, &account.token);
        let path = product.path().join("sprint-reports.toml");
        let text = fs::read_to_string(path).expect("settings");
        let text = format!("{text}webhook_secret = \"{secret}\"\n");
        product.write("sprint-reports.toml", &text);
        product
    }

    /// With variables in its environment.
    pub fn with_environment(mut self, variables: Vec<(String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }

    /// The folder it runs in.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into its folder.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("writing into the test's folder");
    }

    /// A command of it, ready to be run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env_remove("SPRINT_REPORTS_FAULT")
            .env_remove("RUST_BACKTRACE")
            // Nothing starts by itself while a test looks.
            .env("SPRINT_REPORTS__PIPELINES__SCHEDULE", "false")
            .envs(self.environment.iter().cloned());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments).output().expect("the binary starts"))
    }

    /// Runs a command with a fault armed.
    pub fn run_with_fault(&self, arguments: &[&str], fault: &str) -> Ended {
        let mut command = self.command(arguments);
        ended(
            command
                .env("SPRINT_REPORTS_FAULT", fault)
                .output()
                .expect("the binary starts"),
        )
    }

    /// Rows of a query on the current release.
    #[track_caller]
    pub fn sql(&self, query: &str) -> Vec<Value> {
        let answer = self.run(&["sql", query, "--format", "json"]).ok().json();
        answer.as_array().expect("an array of rows").clone()
    }

    /// The single value of a query.
    #[track_caller]
    pub fn value(&self, query: &str) -> Value {
        let rows = self.sql(query);
        assert_eq!(rows.len(), 1, "{query}: {rows:?}");
        let row = rows[0].as_object().expect("a row");
        row.values().next().expect("a column").clone()
    }

    /// Number of releases.
    #[track_caller]
    pub fn releases(&self) -> usize {
        let list = self.run(&["release", "list", "--json"]).ok().json();
        list.as_array().expect("a list").len()
    }
}

fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
