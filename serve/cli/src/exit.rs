//! Outcomes, exit codes and the one place where errors are shown.

use std::process::ExitCode;

use schemas::Blame;
use serde_json::json;

use crate::settings::SettingsError;

/// The command failed.
pub(crate) const FAILED: ExitCode = ExitCode::FAILURE;

/// Exit code of bad usage or settings.
pub(crate) const USAGE: u8 = 2;

/// Exit code of a command that did part of its work.
const PARTLY: u8 = 3;

/// How a command ended that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything was done.
    Done,
    /// Part was done; the text says what is missing.
    Partly(String),
}

/// The error is a wrong command line.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Shows how a command ended and gives its exit code.
pub(crate) fn report(outcome: anyhow::Result<Outcome>, json: bool) -> ExitCode {
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Partly(missing)) => {
            eprintln!("partly done: {missing}");
            ExitCode::from(PARTLY)
        }
        Err(error) => {
            let (kind, blame) = classify(&error);
            tracing::debug!(?error, "command failed");
            if json {
                let body = json!({"error": {"message": one_line(&error), "blame": blame}});
                eprintln!("{body}");
            } else {
                eprintln!("error: {}", one_line(&error));
            }
            kind
        }
    }
}

fn classify(error: &anyhow::Error) -> (ExitCode, Blame) {
    let (is_usage, blame) = if let Some(error) = error.downcast_ref::<warehouse::Error>() {
        use warehouse::Error as E;
        let is_setting = matches!(
            error,
            E::StoreUrl { .. } | E::MetadataUrl { .. } | E::RedisUrl { .. }
        );
        (is_setting, error.blame())
    } else if let Some(error) = error.downcast_ref::<ingest::Error>() {
        let is_setting = matches!(error, ingest::Error::Settings { .. });
        (is_setting, error.blame())
    } else if let Some(error) = error.downcast_ref::<transform::Error>() {
        let is_argument = matches!(error, transform::Error::UnknownModel(_));
        (is_argument, error.blame())
    } else if let Some(error) = error.downcast_ref::<pipelines::Error>() {
        use pipelines::Error as E;
        let is_usage = matches!(
            error,
            E::Definition { .. } | E::Folder { .. } | E::Unknown { .. }
        );
        (is_usage, error.blame())
    } else if error.is::<SettingsError>() || error.is::<UsageError>() {
        (true, Blame::User)
    } else {
        (false, Blame::Us)
    };
    let code = if is_usage {
        ExitCode::from(USAGE)
    } else {
        FAILED
    };
    (code, blame)
}

/// The error in one sentence, its context first.
fn one_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    // Text from a source may hold control characters; a terminal must not obey them.
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
