//! Settings: default < file < environment < flag. Unknown keys are errors with a suggestion.

mod key;
mod merge;
mod secret;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::{Table, Value};

pub(crate) use key::{make_key, write_key};
pub(crate) use secret::resolve_secret;

/// Every setting with its default and what it means.
pub(crate) const DEFAULTS: &str = include_str!("../../default.toml");
/// Settings file looked for in the working directory.
const FILE: &str = "sprint-reports.toml";

/// A setting that can't be used; the text says where and what to write.
#[derive(Debug)]
pub(crate) struct SettingsError(pub(crate) String);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Settings {
    pub(crate) store: Store,
    pub(crate) metadata: Metadata,
    pub(crate) cache: Cache,
    pub(crate) serve: Serve,
    pub(crate) cluster: Cluster,
    pub(crate) query: Query,
    pub(crate) pipelines: Pipelines,
    pub(crate) maintain: Maintain,
    #[serde(default)]
    pub(crate) connections: Vec<Connection>,
    #[serde(default)]
    pub(crate) alerts: Vec<AlertChannel>,
}

/// Who is told when something goes wrong.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AlertChannel {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) url: String,
    pub(crate) secret: String,
    pub(crate) smtp: String,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) on: Vec<String>,
    pub(crate) pipelines: Vec<String>,
    pub(crate) min_severity: String,
    pub(crate) insecure: bool,
    pub(crate) private: bool,
}

/// Keys of an alert channel.
const ALERT_KEYS: [&str; 12] = [
    "name",
    "kind",
    "url",
    "secret",
    "smtp",
    "from",
    "to",
    "on",
    "pipelines",
    "min_severity",
    "insecure",
    "private",
];

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Store {
    pub(crate) url: String,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Metadata {
    /// May hold a password, or name where the address is: never shown.
    url: String,
    password: String,
    connections: i64,
    pub(crate) key_file: String,
    replicas: Vec<String>,
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("connections", &self.connections)
            .field("key_file", &self.key_file)
            .field("replicas", &self.replicas.len())
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Cache {
    pub(crate) redis: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Serve {
    pub(crate) http: String,
    pub(crate) postgres: String,
    pub(crate) public_url: String,
    pub(crate) max_pending_webhooks: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) url: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Query {
    pub(crate) memory_mib: usize,
    pub(crate) deadline_seconds: u64,
    pub(crate) max_rows: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Pipelines {
    folder: String,
    pub(crate) schedule: bool,
    pub(crate) slots: usize,
    freshness_minutes: u64,
}

impl Pipelines {
    /// How old the data of a connection may be before people are told.
    pub(crate) fn freshness(&self) -> Option<Duration> {
        let minutes = self.freshness_minutes;
        (minutes > 0).then(|| Duration::from_secs(minutes * 60))
    }

    /// Folder of further definitions.
    pub(crate) fn folder(&self) -> Option<&Path> {
        (!self.folder.is_empty()).then(|| Path::new(&self.folder))
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Maintain {
    pub(crate) keep_releases_days: u32,
    pub(crate) keep_releases_months: u32,
    pub(crate) keep_raw_days: u32,
    pub(crate) keep_runs_days: u32,
    pub(crate) grace_hours: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Connection {
    pub(crate) name: String,
    #[serde(default = "jira")]
    pub(crate) kind: String,
    /// Empty for the public address of the kind.
    #[serde(default)]
    pub(crate) url: String,
    /// Empty for what the kind takes.
    #[serde(default)]
    pub(crate) auth: String,
    #[serde(default)]
    pub(crate) email: String,
    #[serde(default)]
    pub(crate) token: String,
    #[serde(default)]
    pub(crate) client_id: String,
    #[serde(default)]
    pub(crate) client_secret: String,
    #[serde(default)]
    pub(crate) refresh_token: String,
    pub(crate) token_url: Option<String>,
    #[serde(default)]
    pub(crate) cloud_id: String,
    pub(crate) gateway_url: Option<String>,
    #[serde(default)]
    pub(crate) webhook_secret: String,
    #[serde(default)]
    pub(crate) projects: Vec<String>,
    #[serde(default)]
    pub(crate) time_zone: String,
    #[serde(default)]
    pub(crate) insecure: bool,
    #[serde(default)]
    pub(crate) private: bool,
    #[serde(default = "eight")]
    pub(crate) concurrency: i64,
    #[serde(default)]
    pub(crate) requests_per_second: f64,
    #[serde(default)]
    pub(crate) fields: Fields,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Fields {
    pub(crate) story_points: Option<String>,
    pub(crate) sprint: Option<String>,
    pub(crate) rank: Option<String>,
    pub(crate) discipline_team: Option<String>,
    pub(crate) owner: Option<String>,
}

/// Keys of a connection; its only nested table is `fields`.
const CONNECTION_KEYS: [&str; 20] = [
    "name",
    "kind",
    "url",
    "auth",
    "email",
    "token",
    "client_id",
    "client_secret",
    "refresh_token",
    "token_url",
    "cloud_id",
    "gateway_url",
    "webhook_secret",
    "projects",
    "time_zone",
    "insecure",
    "private",
    "concurrency",
    "requests_per_second",
    "fields",
];
const FIELD_KEYS: [&str; 5] = ["story_points", "sprint", "rank", "discipline_team", "owner"];

fn jira() -> String {
    "jira".to_string()
}

fn eight() -> i64 {
    8
}

impl Settings {
    /// Loads the settings; `file` is the one named by `--config`.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        let mut table = defaults()?;
        let found = match file {
            Some(path) => Some(path.to_path_buf()),
            None => Some(PathBuf::from(FILE)).filter(|path| path.is_file()),
        };
        if let Some(path) = found {
            let text = std::fs::read_to_string(&path).map_err(|error| {
                SettingsError(format!("settings file {}: {error}", path.display()))
            })?;
            let given: Table = toml::from_str(&text).map_err(|error| {
                let place = merge::place(&text, &error);
                let reason = error.message();
                SettingsError(format!("settings file {}{place}: {reason}", path.display()))
            })?;
            let place = path.display().to_string();
            merge::file(&mut table, given, &place)?;
        }
        merge::environment(&mut table, std::env::vars())?;
        Value::Table(table)
            .try_into()
            .map_err(|error| SettingsError(format!("settings: {error}")))
    }

    /// Settings as they are without any file.
    #[cfg(test)]
    pub(crate) fn defaults_only() -> Result<Self, SettingsError> {
        let table = Value::Table(defaults()?);
        table
            .try_into()
            .map_err(|error| SettingsError(error.to_string()))
    }

    pub(crate) fn warehouse(&self) -> Result<warehouse::Config, SettingsError> {
        if !self.cluster.url.is_empty() {
            return Err(SettingsError(format!(
                "cluster.url = \"{}\": this version has no support for it; leave it empty",
                self.cluster.url
            )));
        }
        Ok(warehouse::Config {
            store_url: self.store.url.clone(),
            store_options: store_options(),
            metadata_url: resolve_secret("metadata.url", &self.metadata.url)?,
            metadata_options: self.metadata.options()?,
            redis_url: resolve_secret("cache.redis", &self.cache.redis)?,
            key: self.key()?,
            memory_bytes: self.query.memory_mib << 20,
            query_deadline: Duration::from_secs(self.query.deadline_seconds),
            query_rows: self.query.max_rows,
            ..warehouse::Config::default()
        })
    }
}

impl Metadata {
    fn options(&self) -> Result<warehouse::MetadataOptions, SettingsError> {
        let replicas = self.replicas.iter();
        let replicas = replicas.map(|url| resolve_secret("metadata.replicas", url));
        let password = resolve_secret("metadata.password", &self.password)?;
        let connections = u32::try_from(self.connections).ok();
        let connections = connections.filter(|many| (2..=1000).contains(many));
        Ok(warehouse::MetadataOptions {
            replicas: replicas.collect::<Result<_, _>>()?,
            password: Some(password).filter(|password| !password.is_empty()),
            connections: connections.ok_or_else(|| {
                SettingsError("metadata.connections: write a number from 2 to 1000".to_string())
            })?,
        })
    }
}

impl Settings {
    /// File of the key that secrets are stored with; `None` where the environment has it.
    pub(crate) fn key_file(&self) -> Option<&Path> {
        let is_given = std::env::var_os(key::VARIABLE).is_some();
        (!is_given).then(|| Path::new(&self.metadata.key_file))
    }

    /// Where that key is, in words.
    pub(crate) fn key_place(&self) -> String {
        match self.key_file() {
            Some(file) => format!("the file {}", file.display()),
            None => format!("the variable {}", key::VARIABLE),
        }
    }

    /// The key that secrets are stored with. One is made where a connection needs it.
    fn key(&self) -> Result<Option<warehouse::SecretKey>, SettingsError> {
        let path = Path::new(&self.metadata.key_file);
        let is_needed = self.connections.iter().any(|one| one.auth == "oauth");
        key::find(std::env::var(key::VARIABLE).ok(), path, is_needed)
    }
}

/// What the environment says of object stores, by the names that their tools share.
pub(crate) fn store_options() -> warehouse::StoreOptions {
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_str().filter(|name| name.starts_with("AWS_"))?;
        Some((name.to_string(), value.to_str()?.to_string()))
    });
    warehouse::StoreOptions::new(variables)
}

fn defaults() -> Result<Table, SettingsError> {
    toml::from_str(DEFAULTS).map_err(|error| SettingsError(format!("default settings: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_complete() {
        let settings = Settings::defaults_only().unwrap();
        assert_eq!(settings.store.url, "file:./data/lake");
        assert_eq!(settings.serve.http, "127.0.0.1:8080");
        assert!(settings.connections.is_empty());
        assert!(settings.warehouse().is_ok());
    }
}
