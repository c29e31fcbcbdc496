//! Definitions of pipelines: TOML files that say when, what, and what to do when it fails.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use include_dir::{Dir, include_dir};
use schemas::Blame;
use serde::{Deserialize, Serialize};
use toml::Spanned;
use warehouse::MetaDb;

use crate::{Error, Result, Schedule};

static SHIPPED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/definitions");
/// Names that runs by hand have in `system.runs`.
const TAKEN: [&str; 9] = [
    "sync", "replay", "refresh", "webhooks", "rollback", "maintain", "backup", "restore", "work",
];
/// Names of steps that are recorded by what they do.
const TAKEN_STEPS: [&str; 7] = [
    "tests", "publish", "compact", "releases", "vacuum", "raw", "metadata",
];

/// A pipeline.
#[derive(Debug, Clone)]
pub struct Definition {
    /// Its name: that of its file.
    pub name: String,
    /// Its file.
    pub file: String,
    /// What it is for.
    pub description: String,
    /// Who looks after it.
    pub owner: String,
    /// When it is due; by hand only without one.
    pub schedule: Option<Schedule>,
    /// Whether it runs when due, if nobody has said otherwise.
    pub enabled: bool,
    /// How long one attempt to run it may take.
    pub timeout: Duration,
    /// What a tick does while an earlier run is under way.
    pub overlap: Overlap,
    /// What becomes of ticks that were missed while nothing ran.
    pub catch_up: CatchUp,
    /// Names of the alert channels that are told; all without one.
    pub alerts: Vec<String>,
    /// How often a failed step is tried again.
    pub retry: Retries,
    /// What it does, in order.
    pub steps: Vec<Step>,
}

/// What a tick does while an earlier run of its pipeline is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// It is passed over.
    #[default]
    Skip,
    /// It waits for its turn.
    Queue,
    /// The earlier run is cancelled.
    Cancel,
}

/// What becomes of ticks that were missed while nothing ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CatchUp {
    /// They are passed over.
    None,
    /// The last of them is run, for all.
    #[default]
    Latest,
    /// Each is run, one after the other.
    All,
}

/// Whether the steps after a failed one are done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The run ends.
    #[default]
    Stop,
    /// They are done; the run has failed all the same.
    Continue,
}

/// How often a failed step is tried, by who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Retries {
    /// When settings or credentials are wrong.
    pub user: Tries,
    /// When a source fails.
    pub source: Tries,
    /// When this program, its store or its database fails.
    pub us: Tries,
}

/// How often something is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tries {
    /// Attempts in all.
    pub attempts: u32,
    /// Longest pause before the second, in seconds; it doubles with each further one, up to a quarter of an
    /// hour, and a random part of it is waited.
    pub wait_seconds: u64,
}

impl Default for Retries {
    fn default() -> Self {
        let tries = |attempts, wait_seconds| Tries {
            attempts,
            wait_seconds,
        };
        Self {
            user: tries(1, 0),
            source: tries(4, 60),
            us: tries(3, 30),
        }
    }
}

impl Retries {
    /// Those for an error.
    pub fn of(&self, blame: Blame) -> Tries {
        match blame {
            Blame::User => self.user,
            Blame::Source => self.source,
            Blame::Us => self.us,
        }
    }
}

/// A step of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name within the pipeline.
    pub name: String,
    /// What is done when it fails.
    pub on_failure: OnFailure,
    /// What it does.
    #[serde(flatten)]
    pub kind: StepKind,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "run", rename_all = "lowercase")]
pub enum StepKind {
    /// Reads what is new.
    Sync {
        /// Connections to read; all without one.
        connections: Vec<String>,
        /// Streams to read; all without one.
        streams: Vec<String>,
        /// Whether everything is read again.
        full: bool,
        /// Whether deleted issues are looked for now.
        sweep: bool,
    },
    /// Computes what changed, tests it, and publishes it.
    Refresh {
        /// Models; all without one.
        select: Vec<String>,
        /// Whether every model is rebuilt.
        full: bool,
    },
    /// Compacts tables, removes what retention does not keep, verifies the rest.
    Maintain {},
}

/// A file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    description: String,
    #[serde(default)]
    owner: String,
    schedule: Option<Spanned<String>>,
    #[serde(default = "utc")]
    time_zone: String,
    #[serde(default = "yes")]
    enabled: bool,
    timeout_minutes: Option<Spanned<u64>>,
    #[serde(default)]
    overlap: Overlap,
    #[serde(default)]
    catch_up: CatchUp,
    #[serde(default)]
    alerts: Vec<String>,
    #[serde(default)]
    retry: RetryTable,
    #[serde(default)]
    steps: Vec<Spanned<StepTable>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryTable {
    user: Option<Tries>,
    source: Option<Tries>,
    us: Option<Tries>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepTable {
    run: String,
    name: Option<String>,
    #[serde(default)]
    on_failure: OnFailure,
    connections: Option<Vec<String>>,
    streams: Option<Vec<String>>,
    select: Option<Vec<String>>,
    full: Option<bool>,
}

fn utc() -> String {
    "UTC".to_string()
}

fn yes() -> bool {
    true
}

/// All definitions, by name.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    all: Vec<Definition>,
}

impl Definitions {
    /// The definitions that come with the program, and those of a folder; one of the same name takes the
    /// place of what comes with the program.
    pub fn load(folder: Option<&Path>) -> Result<Self> {
        let mut definitions = Self::default();
        for file in SHIPPED.files() {
            let name = file.path().display().to_string();
            definitions.add(Definition::parse(
                &name,
                file.contents_utf8().unwrap_or_default(),
            )?);
        }
        let Some(folder) = folder else {
            return Ok(definitions);
        };
        let refuse = |error: std::io::Error| Error::Folder {
            folder: folder.display().to_string(),
            reason: error.to_string(),
        };
        for entry in std::fs::read_dir(folder).map_err(refuse)? {
            let path = entry.map_err(refuse)?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                let text = std::fs::read_to_string(&path).map_err(refuse)?;
                definitions.add(Definition::parse(&path.display().to_string(), &text)?);
            }
        }
        Ok(definitions)
    }

    /// These alone.
    pub fn of(all: Vec<Definition>) -> Self {
        let mut definitions = Self::default();
        all.into_iter().for_each(|one| definitions.add(one));
        definitions
    }

    fn add(&mut self, definition: Definition) {
        self.all.retain(|one| one.name != definition.name);
        self.all.push(definition);
        self.all.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Definition> {
        self.all.iter()
    }

    /// The one of a name; an error says which there are.
    pub fn find(&self, name: &str) -> Result<&Definition> {
        let found = self.all.iter().find(|one| one.name == name);
        found.ok_or_else(|| Error::Unknown {
            name: name.to_string(),
            known: self.names().map(ToString::to_string).collect(),
        })
    }

    /// Writes them down, so that servers and other workers know them.
    pub async fn announce(&self, meta: &MetaDb) -> Result<()> {
        let rows = self
            .iter()
            .map(|one| (one.name.clone(), one.to_json().to_string()));
        let rows: Vec<(String, String)> = rows.collect();
        Ok(meta.know_pipelines(&rows).await?)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|one| one.name.as_str())
    }
}

impl Definition {
    /// Reads a definition; its name is that of the file. An error names the line.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let reader = Reader { file, text };
        let raw: File = toml::from_str(text).map_err(|error| {
            let reason = error.message().to_string();
            reader.refuse(&error.span().unwrap_or_default(), reason)
        })?;
        let name = Path::new(file)
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        reader.check_name(&name)?;
        let schedule = match &raw.schedule {
            None => None,
            Some(given) => Some(
                Schedule::parse(given.get_ref(), &raw.time_zone)
                    .map_err(|reason| reader.refuse(&given.span(), reason))?,
            ),
        };
        let minutes = raw
            .timeout_minutes
            .as_ref()
            .map_or(60, |given| *given.get_ref());
        if let Some(given) = &raw.timeout_minutes
            && !(1..=7 * 24 * 60).contains(&minutes)
        {
            let reason = "timeout_minutes: write 1 to 10080 (a week)".to_string();
            return Err(reader.refuse(&given.span(), reason));
        }
        let usual = Retries::default();
        let retry = Retries {
            user: raw.retry.user.unwrap_or(usual.user),
            source: raw.retry.source.unwrap_or(usual.source),
            us: raw.retry.us.unwrap_or(usual.us),
        };
        Ok(Self {
            name,
            file: file.to_string(),
            description: raw.description,
            owner: raw.owner,
            schedule,
            enabled: raw.enabled,
            timeout: Duration::from_secs(minutes * 60),
            overlap: raw.overlap,
            catch_up: raw.catch_up,
            alerts: raw.alerts,
            retry,
            steps: reader.steps(&raw.steps)?,
        })
    }

    /// The definition as JSON, as other processes read it in the metadata database.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "description": self.description,
            "owner": self.owner,
            "schedule": self.schedule.as_ref().map(Schedule::text),
            "time_zone": self.schedule.as_ref().map(|schedule| schedule.zone().name()),
            "enabled": self.enabled,
            "timeout_minutes": self.timeout.as_secs() / 60,
            "overlap": self.overlap,
            "catch_up": self.catch_up,
            "alerts": self.alerts,
            "retry": self.retry,
            "steps": self.steps,
        })
    }
}

/// Reads one file, and says where something is wrong in it.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn refuse(&self, span: &Range<usize>, reason: String) -> Error {
        let before = self.text.get(..span.start).unwrap_or_default();
        Error::Definition {
            file: self.file.to_string(),
            line: before.matches('\n').count() + 1,
            reason,
        }
    }

    fn check_name(&self, name: &str) -> Result<()> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
        let reason = if name.is_empty() || name.len() > 60 || !name.chars().all(is_plain) {
            "the name of the file is the name of the pipeline: write a to z, 0 to 9, - and _"
        } else if TAKEN.contains(&name) {
            "runs by hand have this name; rename the file"
        } else {
            return Ok(());
        };
        Err(self.refuse(&(0..0), reason.to_string()))
    }

    fn steps(&self, tables: &[Spanned<StepTable>]) -> Result<Vec<Step>> {
        if tables.is_empty() {
            let reason = "a pipeline needs a step; write [[steps]] and run = \"sync\"".to_string();
            return Err(self.refuse(&(0..0), reason));
        }
        let mut names = BTreeSet::new();
        let mut steps = Vec::new();
        for table in tables {
            let refuse = |reason: String| self.refuse(&table.span(), reason);
            let step = step(table.get_ref()).map_err(refuse)?;
            if step.name.contains('.') || TAKEN_STEPS.contains(&step.name.as_str()) {
                return Err(refuse(format!("a step can't be named '{}'", step.name)));
            }
            if !names.insert(step.name.clone()) {
                return Err(refuse(format!(
                    "there are two steps '{}'; give one of them a name = \"…\"",
                    step.name
                )));
            }
            steps.push(step);
        }
        Ok(steps)
    }
}

fn step(table: &StepTable) -> Result<Step, String> {
    let has = |key: &str, given: bool| match given {
        true => Err(format!(
            "a step that runs '{}' has no key '{key}'",
            table.run
        )),
        false => Ok(()),
    };
    let list = |given: &Option<Vec<String>>| given.clone().unwrap_or_default();
    let kind = match table.run.as_str() {
        "sync" | "sweep" => {
            has("select", table.select.is_some())?;
            StepKind::Sync {
                connections: list(&table.connections),
                streams: list(&table.streams),
                full: table.full.unwrap_or_default(),
                sweep: table.run == "sweep",
            }
        }
        "refresh" => {
            has("connections", table.connections.is_some())?;
            has("streams", table.streams.is_some())?;
            StepKind::Refresh {
                select: list(&table.select),
                full: table.full.unwrap_or_default(),
            }
        }
        "maintain" => {
            has("connections", table.connections.is_some())?;
            has("streams", table.streams.is_some())?;
            has("select", table.select.is_some())?;
            has("full", table.full.is_some())?;
            StepKind::Maintain {}
        }
        "tests" | "publish" => {
            return Err(format!(
                "'{}' is part of every refresh: nothing is published that was not tested; write \
                 run = \"refresh\"",
                table.run
            ));
        }
        other => {
            return Err(format!(
                "run = \"{other}\": a step runs sync, sweep, refresh or maintain"
            ));
        }
    };
    Ok(Step {
        name: table.name.clone().unwrap_or_else(|| table.run.clone()),
        on_failure: table.on_failure,
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_that_come_with_the_program_are_right() {
        let definitions = Definitions::load(None).unwrap();
        let names: Vec<_> = definitions.names().collect();
        assert_eq!(names, ["hourly", "nightly"]);
        for one in definitions.iter() {
            assert!(
                one.schedule.is_some() && !one.description.is_empty(),
                "{}",
                one.name
            );
        }
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let text = "description = \"d\"\n[[steps]]\nrun = \"sync\"\n";
        let one = Definition::parse("a/b/mine.toml", text).unwrap();
        assert_eq!((one.name.as_str(), one.enabled), ("mine", true));
        assert_eq!(
            (one.overlap, one.catch_up),
            (Overlap::Skip, CatchUp::Latest)
        );
        assert_eq!(
            (one.timeout.as_secs(), one.retry),
            (3600, Retries::default())
        );
        assert_eq!(one.steps[0].name, "sync");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let good = "description = \"d\"\n[[steps]]\nrun = \"sync\"\n";
        let cases = [
            (
                "x.toml",
                "description = \"d\"\nscedule = \"1 * * * *\"\n",
                "x.toml:2: unknown field `scedule`",
            ),
            (
                "x.toml",
                "description = \"d\"\nschedule = \"1 * * *\"\n[[steps]]\nrun = \"sync\"\n",
                "x.toml:2: '1 * * *' has 4 fields",
            ),
            (
                "x.toml",
                "description = \"d\"\n\n[[steps]]\nrun = \"sink\"\n",
                "x.toml:3: run = \"sink\"",
            ),
            (
                "x.toml",
                "description = \"d\"\n[[steps]]\nrun = \"publish\"\n",
                "x.toml:2: 'publish' is part of every refresh",
            ),
            (
                "x.toml",
                "description = \"d\"\n[[steps]]\nrun = \"refresh\"\nstreams = []\n",
                "has no key 'streams'",
            ),
            (
                "x.toml",
                "description = \"d\"\n[[steps]]\nrun = \"sync\"\n[[steps]]\nrun = \"sync\"\n",
                "x.toml:4: there are two steps 'sync'",
            ),
            (
                "x.toml",
                "description = \"d\"\ntimeout_minutes = 0\n[[steps]]\nrun = \"sync\"\n",
                "x.toml:2: timeout_minutes",
            ),
            (
                "x.toml",
                "description = \"d\"\noverlap = \"maybe\"\n",
                "x.toml:2: unknown variant `maybe`",
            ),
            ("x.toml", "description = \"d\"\n", "needs a step"),
            ("x.toml", "description = ", "x.toml:1:"),
            (
                "sync.toml",
                good,
                "sync.toml:1: runs by hand have this name",
            ),
            ("Big Name.toml", good, "write a to z"),
        ];
        for (file, text, says) in cases {
            let error = Definition::parse(file, text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}\nwithout\n{says}");
        }
    }
}
