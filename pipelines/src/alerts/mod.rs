//! Alerts: what went wrong, told to those who want to know.
//!
//! [`Alerts::raise`] writes a row for each channel that wants the alert, and nothing else: no run waits for
//! a receiver. [`Alerts::run`] tells what is due until it is stopped, [`Alerts::deliver`] once.
//!
//! An alert is a condition, named by its dedupe key: while it is open in a channel it is not told again.
//! [`Alerts::over`] closes it, and tells those who heard of it that it is over. What is told twice is told
//! under the same id (`Idempotency-Key`, `Message-ID`): a process that dies between the answer of a receiver
//! and its record of it leaves the alert to be told again.

mod channel;
mod deliver;
mod format;
mod smtp;

use chrono::{DateTime, SecondsFormat, Utc};
use warehouse::meta::{MetaDb, NewAlert};

use crate::Result;

pub use channel::{CHANNEL_KINDS, Channel, ChannelSettings};
pub use deliver::{Delivery, Told};

/// Longest subject, in characters.
const SUBJECT: usize = 140;
/// Longest line of an alert, in characters.
const LINE: usize = 1000;
/// Most lines of an alert.
const LINES: usize = 12;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertKind {
    /// A run of a pipeline failed.
    RunFailed,
    /// A data test failed.
    DataTestFailed,
    /// The data of a connection is older than its limit.
    FreshnessPassed,
    /// A project shows far fewer issues than before.
    VisibleIssuesDropped,
}

impl AlertKind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::RunFailed,
        Self::DataTestFailed,
        Self::FreshnessPassed,
        Self::VisibleIssuesDropped,
    ];

    /// As settings and tables write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RunFailed => "run_failed",
            Self::DataTestFailed => "data_test_failed",
            Self::FreshnessPassed => "freshness_passed",
            Self::VisibleIssuesDropped => "visible_issues_dropped",
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look at it.
    Warning,
    /// Somebody must act.
    Error,
}

impl Severity {
    /// All of them, the mildest first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Error];

    /// As settings and tables write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What happened.
    pub kind: AlertKind,
    /// How bad it is.
    pub severity: Severity,
    /// One line.
    pub subject: String,
    /// What happened, since when, what stays valid, what to do.
    pub lines: Vec<String>,
    /// Pipeline that it is about.
    pub pipeline: Option<String>,
    /// Run that it is about.
    pub run_id: Option<String>,
    /// Connection that it is about.
    pub connection: Option<String>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// Where to read more.
    pub link: Option<String>,
    /// What makes two alerts the same condition.
    pub dedupe_key: String,
}

/// A run that failed.
#[derive(Debug, Clone, Copy)]
pub struct FailedRun<'a> {
    /// The pipeline.
    pub pipeline: &'a str,
    /// The run.
    pub run_id: &'a str,
    /// The step that failed, if it was one.
    pub step: Option<&'a str>,
    /// Why.
    pub reason: &'a str,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Release that stays published.
    pub release: Option<&'a str>,
}

impl Alert {
    /// A run failed. The same step of the same pipeline is one condition until a run succeeds
    /// ([`Over::run_succeeded`]); another step is another one.
    pub fn run_failed(run: FailedRun<'_>) -> Self {
        let step = run.step.unwrap_or("run");
        let place = match run.step {
            Some(step) => format!(" at step {step}"),
            None => String::new(),
        };
        let mut alert = Self::new(
            AlertKind::RunFailed,
            Severity::Error,
            format!("Pipeline {} failed{place}", run.pipeline),
            format!("run_failed/{}/{step}", run.pipeline),
        );
        alert.lines = vec![
            format!("Why: {}", run.reason),
            format!("The run began at {}.", instant(run.started_at)),
            stays(run.release),
            format!(
                "Further failures of this step are not told until a run of {} succeeds. To see its runs: \
                 select * from system.runs where pipeline = '{}'",
                run.pipeline, run.pipeline
            ),
        ];
        alert.pipeline = Some(run.pipeline.to_string());
        alert.run_id = Some(run.run_id.to_string());
        alert
    }

    /// A data test failed. One condition for each test until it passes ([`Over::data_test_passed`]).
    pub fn data_test_failed(
        test: &str,
        table: Option<&str>,
        failing_rows: u64,
        run_id: Option<&str>,
        release: Option<&str>,
    ) -> Self {
        let of = table.map_or_else(String::new, |table| format!(" of {table}"));
        let mut alert = Self::new(
            AlertKind::DataTestFailed,
            Severity::Error,
            format!("Data test {test}{of} failed"),
            format!("data_test_failed/{test}"),
        );
        alert.lines = vec![
            format!("{failing_rows} rows fail it, so nothing new was published."),
            stays(release),
            "Correct the data at its source, or the model, and refresh again.".to_string(),
        ];
        alert.run_id = run_id.map(ToString::to_string);
        alert
    }

    /// The data of a connection is older than its limit. One condition for each connection until it is
    /// fresh ([`Over::fresh_again`]).
    pub fn freshness_passed(
        connection: &str,
        source_time: DateTime<Utc>,
        limit_minutes: u64,
        release: Option<&str>,
        now: DateTime<Utc>,
    ) -> Self {
        let age = (now - source_time).num_minutes().max(0);
        let mut alert = Self::new(
            AlertKind::FreshnessPassed,
            Severity::Warning,
            format!("Data of {connection} is {age} min old; the limit is {limit_minutes} min"),
            format!("freshness_passed/{connection}"),
        );
        alert.lines = vec![
            format!("It is complete up to {}.", instant(source_time)),
            stays(release),
            "See why runs fail or wait: select * from system.runs; `sprint-reports check` tests the connection."
                .to_string(),
        ];
        alert.connection = Some(connection.to_string());
        alert.occurred_at = now;
        alert
    }

    /// Far fewer issues of a project are visible than before. One condition for each project until
    /// [`Over::issues_visible`]; whoever compares says when that is.
    pub fn visible_issues_dropped(
        connection: &str,
        project: &str,
        before: u64,
        after: u64,
        run_id: Option<&str>,
    ) -> Self {
        let mut alert = Self::new(
            AlertKind::VisibleIssuesDropped,
            Severity::Warning,
            format!("Visible issues of {project} ({connection}) dropped from {before} to {after}"),
            format!("visible_issues_dropped/{connection}/{project}"),
        );
        alert.lines = vec![
            "Issues that the account no longer sees are marked deleted, and figures no longer count them."
                .to_string(),
            format!(
                "If nobody deleted or moved them, give the account of {connection} its permissions back; the \
                 next complete sync brings them again."
            ),
        ];
        alert.connection = Some(connection.to_string());
        alert.run_id = run_id.map(ToString::to_string);
        alert
    }

    fn new(kind: AlertKind, severity: Severity, subject: String, dedupe_key: String) -> Self {
        Self {
            kind,
            severity,
            subject,
            lines: Vec::new(),
            pipeline: None,
            run_id: None,
            connection: None,
            occurred_at: Utc::now(),
            link: None,
            dedupe_key,
        }
    }

    /// As it is kept. The link is to the run, on the server at this address, if there is no other.
    fn to_row(&self, public_url: &str) -> NewAlert {
        let base = public_url.trim().trim_end_matches('/');
        let run = self.run_id.as_deref().filter(|_| is_web(base));
        let of_run = || run.map(|run_id| format!("{base}/api/v1/runs/{run_id}"));
        NewAlert {
            kind: self.kind.name().to_string(),
            severity: self.severity.name().to_string(),
            dedupe_key: self.dedupe_key.clone(),
            subject: one_line(&self.subject, SUBJECT),
            lines: self
                .lines
                .iter()
                .take(LINES)
                .map(|line| one_line(line, LINE))
                .collect(),
            pipeline: self.pipeline.clone(),
            run_id: self.run_id.clone(),
            connection: self.connection.clone(),
            link: self
                .link
                .clone()
                .filter(|link| is_web(link))
                .or_else(of_run),
            occurred_at: self.occurred_at,
        }
    }
}

/// The end of a condition, or of all conditions below a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
    key: String,
    end: Option<Alert>,
}

impl Over {
    /// A pipeline succeeded: nothing of it fails any more.
    pub fn run_succeeded(pipeline: &str, run_id: &str) -> Self {
        let subject = format!("Pipeline {pipeline} succeeds again");
        let mut over = Self::of(
            AlertKind::RunFailed,
            format!("run_failed/{pipeline}"),
            subject,
        );
        if let Some(end) = &mut over.end {
            end.pipeline = Some(pipeline.to_string());
            end.run_id = Some(run_id.to_string());
        }
        over
    }

    /// A data test passes.
    pub fn data_test_passed(test: &str) -> Self {
        let subject = format!("Data test {test} passes again");
        let key = format!("data_test_failed/{test}");
        Self::of(AlertKind::DataTestFailed, key, subject)
    }

    /// All data tests pass.
    pub fn data_tests_passed() -> Self {
        let subject = "All data tests pass again".to_string();
        Self::of(
            AlertKind::DataTestFailed,
            "data_test_failed".to_string(),
            subject,
        )
    }

    /// As many issues of all projects of a connection are visible as should be.
    pub fn all_issues_visible(connection: &str) -> Self {
        let subject = format!("All issues of {connection} are visible again");
        let key = format!("visible_issues_dropped/{connection}");
        let mut over = Self::of(AlertKind::VisibleIssuesDropped, key, subject);
        if let Some(end) = &mut over.end {
            end.connection = Some(connection.to_string());
        }
        over
    }

    /// The data of a connection is fresh.
    pub fn fresh_again(connection: &str) -> Self {
        let subject = format!("Data of {connection} is fresh again");
        let key = format!("freshness_passed/{connection}");
        let mut over = Self::of(AlertKind::FreshnessPassed, key, subject);
        if let Some(end) = &mut over.end {
            end.connection = Some(connection.to_string());
        }
        over
    }

    /// As many issues of a project are visible as should be.
    pub fn issues_visible(connection: &str, project: &str, now: u64) -> Self {
        let subject = format!("{now} issues of {project} ({connection}) are visible again");
        let key = format!("visible_issues_dropped/{connection}/{project}");
        let mut over = Self::of(AlertKind::VisibleIssuesDropped, key, subject);
        if let Some(end) = &mut over.end {
            end.connection = Some(connection.to_string());
        }
        over
    }

    /// Nobody is told: the condition only may be raised again.
    #[must_use]
    pub fn silently(mut self) -> Self {
        self.end = None;
        self
    }

    fn of(kind: AlertKind, key: String, subject: String) -> Self {
        let mut end = Alert::new(kind, Severity::Info, subject, String::new());
        end.lines = vec![format!("It was over at {}.", instant(end.occurred_at))];
        Self {
            key,
            end: Some(end),
        }
    }
}

/// Who is told, and what is to be told. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Alerts {
    meta: MetaDb,
    channels: std::sync::Arc<[Channel]>,
    public_url: String,
    delivery: Delivery,
}

impl Alerts {
    /// Alerts to these channels; without any, to the log.
    pub fn new(meta: MetaDb, mut channels: Vec<Channel>, delivery: Delivery) -> Self {
        if channels.is_empty() {
            channels.push(Channel::log("log"));
        }
        Self {
            meta,
            channels: channels.into(),
            public_url: String::new(),
            delivery,
        }
    }

    /// With links to runs, on the server that people reach at this address; empty: without.
    #[must_use]
    pub fn with_links(mut self, public_url: &str) -> Self {
        self.public_url = public_url.to_string();
        self
    }

    /// Raises an alert in the channels that want it, of these names only if there are any (as the definition
    /// of a pipeline has them). Says in how many it is new.
    pub async fn raise(&self, alert: &Alert, named: &[String]) -> Result<u64> {
        let channels: Vec<&str> = self
            .channels
            .iter()
            .filter(|channel| named.is_empty() || named.iter().any(|name| name == channel.name()))
            .filter(|channel| channel.wants(alert))
            .map(Channel::name)
            .collect();
        Ok(self
            .meta
            .raise_alert(&alert.to_row(&self.public_url), &channels)
            .await?)
    }

    /// Closes a condition; who heard of it is told. Costs one statement where nothing was open.
    pub async fn over(&self, over: &Over) -> Result<u64> {
        let end = over.end.as_ref().map(|end| end.to_row(&self.public_url));
        Ok(self.meta.close_alerts(&over.key, end.as_ref()).await?)
    }

    /// Those of the names that are no channel.
    pub fn unknown<'a>(&self, named: &'a [String]) -> Vec<&'a str> {
        let is_known = |name: &str| self.channels.iter().any(|channel| channel.name() == name);
        let named = named.iter().map(String::as_str);
        named.filter(|name| !is_known(name)).collect()
    }
}

fn stays(release: Option<&str>) -> String {
    match release {
        Some(release) => {
            format!("Release {release} stays published; its figures are valid as of its time.")
        }
        None => "Nothing is published yet.".to_string(),
    }
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn is_web(link: &str) -> bool {
    url::Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// A text on one line without control characters, cut to a length.
fn one_line(text: &str, most: usize) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let plain: String = words
        .join(" ")
        .chars()
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .collect();
    cut(&plain, most)
}

/// Characters that turn the direction of a text or hide in it.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// At most so many characters.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_string(),
        Some(_) => {
            let end = text.char_indices().nth(most.saturating_sub(1));
            let end = end.map_or(text.len(), |(at, _)| at);
            format!("{}…", &text[..end])
        }
    }
}
