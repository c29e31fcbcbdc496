//! Who is told: the channels of the settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ingest::{Outbound, Reach, Secret};

use super::smtp::Mailer;
use super::{Alert, AlertKind, Severity};
use crate::{Error, Result};

/// Kinds of channels.
pub const CHANNEL_KINDS: [&str; 5] = ["log", "webhook", "slack", "teams", "email"];

/// A channel, as settings say it; secrets are resolved.
#[derive(Debug, Clone, Default)]
pub struct ChannelSettings {
    /// Its name.
    pub name: String,
    /// One of [`CHANNEL_KINDS`].
    pub kind: String,
    /// Address of `webhook`, `slack` and `teams`.
    pub url: Secret,
    /// What a `webhook` is signed with; empty: not signed.
    pub secret: Secret,
    /// Mail server: `smtps://user:password@host:465`, or `smtp://` for STARTTLS.
    pub smtp: Secret,
    /// Sender of mails.
    pub from: String,
    /// Receivers of mails.
    pub to: Vec<String>,
    /// Kinds of alerts; empty: all.
    pub on: Vec<String>,
    /// Pipelines; empty: all, and what belongs to none.
    pub pipelines: Vec<String>,
    /// The mildest that is told; empty: `info`.
    pub min_severity: String,
    /// Plain text beyond this machine is allowed.
    pub insecure: bool,
    /// The receiver may be at an address of a private network.
    pub private: bool,
    /// Longest time that one attempt takes; zero: ten seconds.
    pub wait: Duration,
}

/// Somebody who is told.
#[derive(Clone)]
pub struct Channel {
    name: String,
    pub(super) way: Way,
    on: Vec<AlertKind>,
    pipelines: Vec<String>,
    min_severity: Severity,
}

/// How somebody is told.
#[derive(Clone)]
pub(super) enum Way {
    Log,
    Webhook(Outbound, Secret),
    Slack(Outbound),
    Teams(Outbound),
    Email(Arc<Mailer>),
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({}: {})", self.name, self.receiver())
    }
}

impl Channel {
    /// Checks the settings of a channel; nothing is sent, and nobody is asked.
    pub fn new(settings: &ChannelSettings) -> Result<Self> {
        let name = &settings.name;
        let refuse = |reason: String| Error::Channel {
            channel: name.clone(),
            reason,
        };
        let wait = match settings.wait {
            Duration::ZERO => Duration::from_secs(10),
            wait => wait,
        };
        let reach = Reach {
            insecure: settings.insecure,
            private: settings.private,
        };
        let outbound = || {
            if settings.url.reveal().is_empty() {
                return Err(refuse(format!(
                    "url is missing: a {} channel needs the address that it posts to",
                    settings.kind
                )));
            }
            Outbound::new("url", settings.url.reveal(), reach, wait)
                .map_err(|error| refuse(error.to_string()))
        };
        let way = match settings.kind.as_str() {
            "log" => Way::Log,
            "webhook" => Way::Webhook(outbound()?, settings.secret.clone()),
            "slack" => Way::Slack(outbound()?),
            "teams" => Way::Teams(outbound()?),
            "email" => {
                let mailer = Mailer::new(
                    settings.smtp.reveal(),
                    &settings.from,
                    &settings.to,
                    reach,
                    wait,
                );
                Way::Email(Arc::new(mailer.map_err(refuse)?))
            }
            other => {
                return Err(refuse(format!(
                    "kind '{other}' is not known; write one of {}",
                    CHANNEL_KINDS.join(", ")
                )));
            }
        };
        for (key, is_set, kinds) in [
            (
                "url",
                !settings.url.reveal().is_empty(),
                &["webhook", "slack", "teams"][..],
            ),
            ("secret", !settings.secret.reveal().is_empty(), &["webhook"]),
            ("smtp", !settings.smtp.reveal().is_empty(), &["email"]),
            ("from", !settings.from.is_empty(), &["email"]),
            ("to", !settings.to.is_empty(), &["email"]),
        ] {
            if is_set && !kinds.contains(&settings.kind.as_str()) {
                return Err(refuse(format!(
                    "{key} has no meaning for kind '{}', only for {}",
                    settings.kind,
                    kinds.join(", ")
                )));
            }
        }
        let on = settings.on.iter().map(|on| kind(on).map_err(refuse));
        let min_severity = match settings.min_severity.as_str() {
            "" => Severity::Info,
            text => Severity::ALL
                .into_iter()
                .find(|severity| severity.name() == text)
                .ok_or_else(|| {
                    refuse(format!(
                        "min_severity '{text}' is not known; write info, warning or error"
                    ))
                })?,
        };
        Ok(Self {
            name: name.clone(),
            way,
            on: on.collect::<Result<_>>()?,
            pipelines: settings.pipelines.clone(),
            min_severity,
        })
    }

    /// A channel that writes into the log.
    pub fn log(name: &str) -> Self {
        Self {
            name: name.to_string(),
            way: Way::Log,
            on: Vec::new(),
            pipelines: Vec::new(),
            min_severity: Severity::Info,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who is told, without what is secret.
    pub fn receiver(&self) -> String {
        match &self.way {
            Way::Log => "log".to_string(),
            Way::Webhook(to, secret) => match secret.reveal() {
                "" => format!("webhook {}, not signed", to.origin()),
                _ => format!("webhook {}, signed", to.origin()),
            },
            Way::Slack(to) => format!("slack {}", to.origin()),
            Way::Teams(to) => format!("teams {}", to.origin()),
            Way::Email(mailer) => format!("email {mailer}"),
        }
    }

    /// Whether the channel wants an alert.
    pub(super) fn wants(&self, alert: &Alert) -> bool {
        let of_pipeline = || {
            let pipeline = alert.pipeline.as_ref();
            pipeline.is_some_and(|pipeline| self.pipelines.contains(pipeline))
        };
        alert.severity >= self.min_severity
            && (self.on.is_empty() || self.on.contains(&alert.kind))
            && (self.pipelines.is_empty() || of_pipeline())
    }
}

fn kind(text: &str) -> Result<AlertKind, String> {
    let mut kinds = AlertKind::ALL.into_iter();
    kinds.find(|kind| kind.name() == text).ok_or_else(|| {
        let known: Vec<_> = AlertKind::ALL.iter().map(|kind| kind.name()).collect();
        format!(
            "on '{text}' is not known; write some of {}",
            known.join(", ")
        )
    })
}
