//! Serves payloads that were recorded from a real site, from a folder of CSV files (columns `id`, `params`,
//! `data`, `url`, `input`, `created_at`). What was not recorded is not made up: the board's configuration
//! answers 404, and of custom fields only those are defined that were recorded or that changelogs name.

mod csv;
mod fields;
mod source;

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::render::{Entry, Head};

/// The board that recordings are served for unless another is asked for.
pub(crate) const RECORDED_BOARD: u64 = 8;
/// Recordings mix several sites; this is the one with a complete board.
const CONNECTION: u64 = 2;

/// Recorded payloads, ready to be served.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    board: u64,
    issues: BTreeMap<u64, RecordedIssue>,
    keys: BTreeMap<String, u64>,
    sprints: Vec<Value>,
    statuses: Vec<Value>,
    users: Vec<Value>,
    projects: Vec<Value>,
    issue_types: Vec<Value>,
    worklogs: Vec<Value>,
    /// By issue.
    remote_links: BTreeMap<u64, Vec<Value>>,
    fields: Vec<Value>,
}

#[derive(Debug)]
struct RecordedIssue {
    head: Head,
    fields: Map<String, Value>,
    /// Oldest first.
    histories: Vec<Entry>,
}

impl Recording {
    pub(crate) fn load(dir: &Path, board: u64) -> io::Result<Self> {
        let read = |name: &str| payloads(dir, name, board);
        let mut recording = Self {
            board,
            sprints: distinct(read("sprints")?),
            statuses: distinct(read("status")?),
            users: distinct_by(read("users")?, "accountId"),
            projects: distinct(read("projects")?),
            issue_types: distinct(read("issue_types")?),
            worklogs: distinct(read("worklogs")?),
            ..Self::default()
        };
        for payload in read("issues")? {
            let issue = RecordedIssue::read(payload).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a recorded issue lacks its id or dates",
                )
            })?;
            recording.keys.insert(issue.head.key.clone(), issue.head.id);
            recording.issues.insert(issue.head.id, issue);
        }
        for link in distinct(read("remotelinks").unwrap_or_default()) {
            let address = link["self"].as_str().unwrap_or_default();
            let key = address.rsplit('/').nth(2).unwrap_or_default();
            if let Some(issue) = recording.keys.get(key) {
                recording.remote_links.entry(*issue).or_default().push(link);
            }
        }
        let recorded = read("issue_fields").unwrap_or_default();
        recording.fields = fields::definitions(recorded, recording.issues.values());
        Ok(recording)
    }
}

impl RecordedIssue {
    fn read(mut payload: Value) -> Option<Self> {
        let mut fields = payload
            .get_mut("fields")?
            .as_object_mut()
            .map(std::mem::take)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut histories: Vec<Entry> = payload["changelog"]["histories"]
            .as_array()?
            .iter()
            .filter_map(|history| {
                Some(Entry {
                    id: history["id"].as_str()?.parse().ok()?,
                    created: time(&history["created"])?,
                    author: history.get("author").cloned(),
                    items: history["items"].as_array()?.clone(),
                })
            })
            .collect();
        histories.sort_by_key(|entry| (entry.created, entry.id));
        let project = &fields["project"];
        let head = Head {
            id: payload["id"].as_str()?.parse().ok()?,
            key: text(&payload["key"])?,
            project: (
                project["id"].as_str()?.parse().ok()?,
                text(&project["key"])?,
            ),
            created: time(&fields["created"])?,
            updated: time(&fields["updated"])?,
            sprints: sprints_of(&fields),
            parent: fields
                .get("parent")
                .and_then(|parent| parent["id"].as_str()?.parse().ok()),
            issue_type: text(&fields["issuetype"]["name"])?,
            status: text(&fields["status"]["name"])?,
            rank: fields
                .get("customfield_10019")
                .and_then(text)
                .unwrap_or_default(),
        };
        // What the agile API added when the issue was recorded is no part of the platform's issue.
        for agile in ["sprint", "closedSprints", "epic", "flagged"] {
            fields.remove(agile);
        }
        Some(Self {
            head,
            fields,
            histories,
        })
    }
}

fn sprints_of(fields: &Map<String, Value>) -> Vec<u64> {
    let lists = fields.values().filter_map(Value::as_array);
    let mut sprints = lists.filter(|list| list.iter().any(|entry| entry.get("boardId").is_some()));
    let ids = sprints
        .next()
        .into_iter()
        .flatten()
        .filter_map(|sprint| sprint["id"].as_u64());
    ids.collect()
}

/// `2020-06-12T08:13:13.360+0800`
fn time(value: &Value) -> Option<DateTime<Utc>> {
    let at = DateTime::parse_from_str(value.as_str()?, "%Y-%m-%dT%H:%M:%S%.f%z").ok()?;
    Some(at.with_timezone(&Utc))
}

/// The payloads of one file that belong to the board.
fn payloads(dir: &Path, name: &str, board: u64) -> io::Result<Vec<Value>> {
    let path = dir.join(format!("_raw_jira_api_{name}.csv"));
    let text = fs::read_to_string(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    let mut rows = csv::rows(&text).into_iter();
    let header = rows.next().unwrap_or_default();
    let column = |wanted: &str| {
        let missing = || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: no {wanted} column", path.display()),
            )
        };
        header
            .iter()
            .position(|name| name == wanted)
            .ok_or_else(missing)
    };
    let (params, data) = (column("params")?, column("data")?);
    let mut found = Vec::new();
    for row in rows {
        let cell = |index: usize| row.get(index).map_or("", String::as_str);
        let Ok(scope) = serde_json::from_str::<Value>(cell(params)) else {
            continue;
        };
        if scope["ConnectionId"] == CONNECTION && scope["BoardId"] == board {
            found.push(serde_json::from_str(cell(data)).map_err(io::Error::other)?);
        }
    }
    Ok(found)
}

fn distinct(values: Vec<Value>) -> Vec<Value> {
    distinct_by(values, "id")
}

fn distinct_by(values: Vec<Value>, key: &str) -> Vec<Value> {
    let mut seen = std::collections::HashSet::new();
    values
        .into_iter()
        .filter(|value| seen.insert(value[key].to_string()))
        .collect()
}
