//! Settings: default < file < environment < flag. Unknown keys are errors with a suggestion.

mod key;
mod merge;
mod secret;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::{Table, Value};

pub(crate) use key::make_key;
pub(crate) use secret::resolve_secret;

/// Every setting with its default and what it means.
pub(crate) const DEFAULTS: &str = include_str!("../../default.toml");
/// Settings file looked for in the working directory.
const FILE: &str = "sprint-reports.toml";

/// A setting that can't be used; the text says where and what to write.
#[derive(Debug)]
pub(crate) struct SettingsError(pub(crate) String);

impl std::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
    pub(crate) maintain: Maintain,
    #[serde(default)]
    pub(crate) connections: Vec<Connection>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Store {
    pub(crate) url: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) url: String,
    pub(crate) key_file: String,
    pub(crate) replicas: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Cache {
    pub(crate) redis: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Serve {
    pub(crate) http: String,
    pub(crate) postgres: String,
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
                SettingsError(format!("settings file {}: {error}", path.display()))
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
        for (key, value) in [
            ("cache.redis", &self.cache.redis),
            ("cluster.url", &self.cluster.url),
        ] {
            if !value.is_empty() {
                return Err(SettingsError(format!(
                    "{key} = \"{value}\": this version has no support for it; leave it empty"
                )));
            }
        }
        if !self.metadata.replicas.is_empty() {
            return Err(SettingsError(
                "metadata.replicas: this version has no support for it; leave it empty".to_string(),
            ));
        }
        Ok(warehouse::Config {
            store_url: self.store.url.clone(),
            store_options: store_options(),
            metadata_url: self.metadata.url.clone(),
            key: self.key()?,
            memory_bytes: self.query.memory_mib << 20,
            query_deadline: Duration::from_secs(self.query.deadline_seconds),
            query_rows: self.query.max_rows,
            ..warehouse::Config::default()
        })
    }
}

impl Settings {
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
