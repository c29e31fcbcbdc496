//! A small scripted Jira: exact about what it answers, and wrong on demand. The simulator shows
//! that ingest understands a faithful site; this one shows that it survives the other kind.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Milliseconds of the site's clock when it starts.
pub const START: i64 = 1_772_366_400_000;

#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub query: String,
    pub body: Value,
    pub at: Instant,
}

#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// Announce more bytes than are sent.
    pub cut: bool,
    /// Time until it is sent.
    pub delay: Duration,
}

#[derive(Clone, Debug, Default)]
pub struct Issue {
    pub created: i64,
    pub updated: i64,
    pub fields: Value,
    pub histories: Vec<Value>,
}

#[derive(Default)]
pub struct State {
    pub now: i64,
    pub issues: BTreeMap<i64, Issue>,
    pub projects: Vec<Value>,
    pub boards: Vec<Value>,
    /// Columns of every board, with the statuses they map.
    pub columns: Vec<(&'static str, Vec<i64>)>,
    /// By board; a board without an entry does not support sprints.
    pub sprints: BTreeMap<i64, Vec<Value>>,
    pub statuses: Vec<Value>,
    pub fields: Vec<Value>,
    pub users: Vec<Value>,
    /// Comments of an issue that carries only some of them.
    pub comments: BTreeMap<i64, Vec<Value>>,
    /// When each worklog was last changed, and what it is.
    pub worklogs: BTreeMap<i64, (i64, Value)>,
    /// When worklogs were deleted.
    pub worklogs_gone: BTreeMap<i64, i64>,
    /// Remote links of every issue.
    pub remote_links: Value,
    /// Given instead of the real answers to paths that end so, one after the other.
    pub scripted: VecDeque<(&'static str, Reply)>,
    /// Issues that bulk fetch names in `issueErrors`.
    pub withheld: Vec<i64>,
    /// Ids that spoil every request to a path that ends so, and what is answered then.
    pub spoiling: Vec<(&'static str, i64, Reply)>,
    /// Paths that the site doesn't have.
    pub missing: Vec<&'static str>,
    pub same_token: bool,
    /// Time that every answer takes.
    pub latency: Duration,
    /// Requests that are being answered, and the most there were at once.
    pub running: usize,
    pub most_running: usize,
    pub asked: Vec<Asked>,
}

#[derive(Clone)]
pub struct Site {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Site {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            now: START,
            projects: vec![json!({"id": "10007", "key": "EE", "name": "E"})],
            boards: vec![
                json!({"id": 8, "name": "B", "type": "scrum", "location": {"projectId": 10007}}),
                json!({"id": 9, "name": "K", "type": "kanban"}),
            ],
            columns: vec![("To do", vec![1]), ("Done", vec![3])],
            sprints: BTreeMap::from([(
                8,
                vec![
                    json!({"id": 7, "name": "S7", "state": "active", "originBoardId": 8,
                    "startDate": "2026-03-01T08:00:00.000Z"}),
                ],
            )]),
            statuses: vec![
                json!({"id": "1", "name": "To Do", "statusCategory": {"key": "new"}}),
                json!({"id": "3", "name": "Done", "statusCategory": {"key": "done"}}),
            ],
            fields: vec![
                json!({"id": "summary", "name": "Summary", "custom": false, "schema": {"type": "string"}}),
                json!({"id": "customfield_20", "name": "Sprint", "custom": true, "schema":
                    {"type": "array", "custom": "com.pyxis.greenhopper.jira:gh-sprint"}}),
                json!({"id": "customfield_16", "name": "Story Points", "custom": true, "schema":
                    {"type": "number", "custom": "x:float"}}),
            ],
            users: vec![json!({"accountId": "u1", "displayName": "U", "active": true})],
            ..State::default()
        };
        let site = Self {
            address,
            state: Arc::new(Mutex::new(state)),
        };
        let serving = site.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let site = serving.clone();
                tokio::spawn(async move { site.serve(stream).await });
            }
        });
        site
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn edit<T>(&self, edit: impl FnOnce(&mut State) -> T) -> T {
        edit(&mut self.state.lock().unwrap())
    }

    /// Paths asked for since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        self.edit(|state| std::mem::take(&mut state.asked))
    }

    /// Answers the next request to a path that ends so with something else.
    pub fn script(&self, path: &'static str, status: u16, body: &str) {
        let reply = Reply {
            status,
            body: body.to_string(),
            ..Reply::default()
        };
        self.edit(|state| state.scripted.push_back((path, reply)));
    }

    /// Creates an issue, a second after the last change.
    pub fn create(&self, id: i64) {
        self.edit(|state| {
            state.now += 1000;
            let issue = Issue {
                created: state.now,
                updated: state.now,
                fields: json!({
                    "project": {"id": "10007", "key": "EE"},
                    "issuetype": {"id": "1", "name": "Story", "subtask": false},
                    "summary": format!("issue {id}"),
                    "status": {"id": "1", "name": "To Do"},
                    "customfield_16": null, "customfield_20": null,
                }),
                histories: Vec::new(),
            };
            state.issues.insert(id, issue);
        });
    }

    /// Changes a field of an issue, a second after the last change.
    pub fn change(&self, id: i64, field: &str, to: Value) {
        self.edit(|state| {
            state.now += 1000;
            let now = state.now;
            let issue = state.issues.get_mut(&id).unwrap();
            issue.updated = now;
            let history = json!({"id": format!("{}", now / 1000), "created": text(now),
                "author": {"accountId": "u1"},
                "items": [{"field": field, "fieldId": field, "fieldtype": "jira",
                    "from": null, "to": to.to_string()}]});
            issue.fields[field] = to;
            issue.histories.push(history);
        });
    }

    async fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap_or_default();
        let mut parts = line.split_whitespace();
        let target = parts.nth(1).unwrap_or_default().to_string();
        let mut length = 0;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).await.unwrap_or_default() <= 2 {
                break;
            }
            if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).await.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let asked = Asked {
            path: path.to_string(),
            query: query.to_string(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            at: Instant::now(),
        };
        let (reply, latency) = self.edit(|state| {
            state.asked.push(asked.clone());
            state.running += 1;
            state.most_running = state.most_running.max(state.running);
            (state.reply(&asked), state.latency)
        });
        tokio::time::sleep(latency + reply.delay).await;
        self.edit(|state| state.running -= 1);
        let mut text = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", reply.status);
        for (name, value) in &reply.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let announced = reply.body.len() + if reply.cut { 100 } else { 0 };
        text.push_str(&format!(
            "content-length: {announced}\r\n\r\n{}",
            reply.body
        ));
        let mut stream = reader.into_inner();
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

impl State {
    fn reply(&mut self, asked: &Asked) -> Reply {
        if let Some(at) = self
            .scripted
            .iter()
            .position(|(path, _)| asked.path.ends_with(path))
        {
            return self.scripted.remove(at).unwrap().1;
        }
        let spoilt = self
            .spoiling
            .iter()
            .find(|(path, id, _)| asked.path.ends_with(path) && asked.ids().contains(id));
        if let Some((_, _, reply)) = spoilt {
            return reply.clone();
        }
        if self.missing.iter().any(|path| asked.path.ends_with(path)) {
            return refused(404, "not here");
        }
        let board = || asked.path.split('/').nth(5)?.parse::<i64>().ok();
        match asked.path.as_str() {
            "/rest/api/2/serverInfo" => ok(json!({"baseUrl": "https://acme.atlassian.net",
                "version": "1001.0", "deploymentType": "Cloud", "serverTime": text(self.now)})),
            "/rest/api/3/myself" => {
                ok(json!({"accountId": "u1", "displayName": "U", "timeZone": "Europe/Berlin"}))
            }
            "/rest/api/3/mypermissions" => ok(json!({"permissions": {
                "BROWSE_PROJECTS": {"havePermission": true}, "USER_PICKER": {"havePermission": false}}})),
            "/rest/api/3/project/search" => values(&self.projects, asked),
            "/rest/agile/1.0/board" => values(&self.boards, asked),
            "/rest/api/3/status" => ok(json!(self.statuses)),
            "/rest/api/3/field" => ok(json!(self.fields)),
            "/rest/api/3/field/search" => values(&self.fields, asked),
            "/rest/api/3/users/search" if asked.query.contains("startAt=0") => {
                ok(json!(self.users))
            }
            "/rest/api/3/users/search" | "/rest/api/3/issuetype" => ok(json!([])),
            "/rest/api/3/priority/search" | "/rest/api/3/resolution/search" => values(&[], asked),
            "/rest/api/3/issueLinkType" => ok(json!({"issueLinkTypes": []})),
            "/rest/api/3/worklog/updated" => {
                let changes = self.worklogs.iter().map(|(id, (at, _))| (*at, *id));
                changed_since(changes.collect(), asked)
            }
            "/rest/api/3/worklog/deleted" => {
                let changes = self.worklogs_gone.iter().map(|(id, at)| (*at, *id));
                changed_since(changes.collect(), asked)
            }
            "/rest/api/3/worklog/list" => {
                let ids = asked.body["ids"].as_array().unwrap();
                let found = self
                    .worklogs
                    .iter()
                    .filter(|(id, _)| ids.contains(&json!(id)));
                ok(found.map(|(_, (_, worklog))| worklog.clone()).collect())
            }
            path if path.ends_with("/remotelink") => ok(json!(
                self.remote_links.as_array().cloned().unwrap_or_default()
            )),
            path if path.ends_with("/worklog") => {
                let of_issue = |worklog: &&Value| {
                    let issue = worklog["issueId"].as_str().and_then(|id| id.parse().ok());
                    issue == board()
                };
                let all = self.worklogs.values().map(|(_, worklog)| worklog);
                let found: Vec<_> = all.filter(of_issue).cloned().collect();
                ok(json!({"worklogs": found, "startAt": 0, "total": found.len()}))
            }
            path if path.ends_with("/version") || path.ends_with("/component") => {
                values(&[], asked)
            }
            path if path.ends_with("/comment") => {
                let comments = board().and_then(|issue| self.comments.get(&issue)).cloned();
                let comments = comments.unwrap_or_default();
                let start = asked.number("startAt") as usize;
                let page: Vec<_> = comments.iter().skip(start).take(2).cloned().collect();
                ok(json!({"comments": page, "startAt": start, "total": comments.len()}))
            }
            "/rest/api/3/search/jql" => self.search(&asked.body),
            "/rest/api/3/issue/bulkfetch" => self.bulk(&asked.body),
            "/rest/api/3/changelog/bulkfetch" => self.changelogs(&asked.body),
            path if path.ends_with("/sprint") => match board().and_then(|id| self.sprints.get(&id))
            {
                Some(sprints) => values(sprints, asked),
                None => refused(400, "The board does not support sprints"),
            },
            path if path.ends_with("/configuration") => {
                let status = |id: &i64| json!({"id": id.to_string()});
                let columns = self.columns.iter().map(|(name, ids)| {
                    json!({"name": name, "statuses": ids.iter().map(status).collect::<Vec<_>>()})
                });
                ok(
                    json!({"columnConfig": {"columns": columns.collect::<Vec<_>>()},
                    "estimation": {"type": "field", "field": {"fieldId": "customfield_16"}}}),
                )
            }
            _ => refused(404, "no such path"),
        }
    }

    /// Three issues a page; the token is the position.
    fn search(&self, body: &Value) -> Reply {
        let jql = body["jql"].as_str().unwrap();
        let bound = jql
            .split(">= ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let bound: i64 = bound.map_or(0, |bound| bound.parse().unwrap());
        let named = jql
            .split("id in (")
            .nth(1)
            .and_then(|rest| rest.split(')').next());
        let named = named.map(|ids| ids.split(", ").map(str::to_string).collect::<Vec<_>>());
        let by_created = jql.contains("created >=");
        let wanted = |issue: &Issue| {
            let key = issue.fields["project"]["key"].as_str().unwrap_or_default();
            !jql.starts_with("project in") || jql.contains(&format!("\"{key}\""))
        };
        let at = |issue: &Issue| {
            if by_created {
                issue.created
            } else {
                issue.updated
            }
        };
        let mut found: Vec<_> = self
            .issues
            .iter()
            .filter(|(_, issue)| wanted(issue) && at(issue) >= bound)
            .filter(|(id, _)| {
                named
                    .as_ref()
                    .is_none_or(|ids| ids.contains(&id.to_string()))
            })
            .map(|(id, issue)| (at(issue), *id))
            .collect();
        found.sort_unstable();
        if jql.ends_with("DESC") {
            found.reverse();
        }
        let start: usize = body["nextPageToken"]
            .as_str()
            .map_or(0, |token| token.parse().unwrap());
        let size = body["maxResults"].as_u64().unwrap().min(3) as usize;
        let page: Vec<_> = found
            .iter()
            .skip(start)
            .take(size)
            .map(|(_, id)| match body["fields"][0].as_str() {
                Some("updated") => {
                    json!({"id": id.to_string(), "fields": {"updated": text(self.issues[id].updated)}})
                }
                _ => json!({"id": id.to_string()}),
            })
            .collect();
        let mut answer = json!({"issues": page, "isLast": start + size >= found.len()});
        if start + size < found.len() {
            let next = if self.same_token { size } else { start + size };
            answer["nextPageToken"] = next.to_string().into();
        }
        ok(answer)
    }

    fn bulk(&self, body: &Value) -> Reply {
        let (mut issues, mut errors) = (Vec::new(), Vec::new());
        for id in asked_ids(body) {
            if self.withheld.contains(&id) {
                errors.push(json!({"id": id.to_string(), "errorMessage": "try later"}));
            } else if let Some(issue) = self.issues.get(&id) {
                let mut fields =
                    json!({"created": text(issue.created), "updated": text(issue.updated)});
                for (name, value) in issue.fields.as_object().unwrap() {
                    fields[name] = value.clone();
                }
                issues.push(
                    json!({"id": id.to_string(), "key": format!("EE-{id}"), "fields": fields}),
                );
            }
        }
        ok(json!({"issues": issues, "issueErrors": errors}))
    }

    /// Two history entries a page, so that one issue's entries are spread over pages.
    fn changelogs(&self, body: &Value) -> Reply {
        let ids = asked_ids(body);
        let of = |id: &i64| {
            self.issues
                .get(id)
                .into_iter()
                .flat_map(|issue| issue.histories.clone())
        };
        let all: Vec<_> = ids
            .iter()
            .flat_map(|id| of(id).map(move |history| (*id, history)))
            .collect();
        let start: usize = body["nextPageToken"]
            .as_str()
            .map_or(0, |token| token.parse().unwrap());
        let page: Vec<_> = all
            .iter()
            .skip(start)
            .take(2)
            .map(|(id, history)| json!({"issueId": id.to_string(), "changeHistories": [history]}))
            .collect();
        let mut answer = json!({"issueChangeLogs": page});
        if start + 2 < all.len() {
            answer["nextPageToken"] = (start + 2).to_string().into();
        }
        ok(answer)
    }
}

fn asked_ids(body: &Value) -> Vec<i64> {
    let ids = body["issueIdsOrKeys"].as_array().unwrap();
    assert!(ids.len() <= 1000);
    ids.iter()
        .map(|id| id.as_str().unwrap().parse().unwrap())
        .collect()
}

impl Asked {
    /// Ids of a request for many records.
    pub fn ids(&self) -> Vec<i64> {
        if let Some(ids) = self.body["ids"].as_array() {
            return ids.iter().map(|id| id.as_i64().unwrap()).collect();
        }
        match self.body["issueIdsOrKeys"].is_array() {
            true => asked_ids(&self.body),
            false => Vec::new(),
        }
    }
}

/// One value a page; a page never says how many there are.
impl Asked {
    fn number(&self, name: &str) -> i64 {
        let mut pairs = self
            .query
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(of, _)| *of == name)
            .unwrap()
            .1
            .parse()
            .unwrap()
    }
}

/// Two worklogs a page.
fn changed_since(mut changes: Vec<(i64, i64)>, asked: &Asked) -> Reply {
    let since = asked.number("since");
    changes.retain(|(at, _)| *at >= since);
    changes.sort_unstable();
    let last = changes.len() <= 2;
    changes.truncate(2);
    let until = changes.last().map_or(since, |(at, _)| *at);
    let values: Vec<_> = changes
        .iter()
        .map(|(at, id)| json!({"worklogId": id, "updatedTime": at, "properties": []}))
        .collect();
    ok(json!({"values": values, "since": since, "until": until, "lastPage": last}))
}

fn values(values: &[Value], asked: &Asked) -> Reply {
    let start = asked.number("startAt") as usize;
    let page: Vec<_> = values.iter().skip(start).take(1).collect();
    ok(json!({"values": page, "isLast": start + 1 >= values.len(), "startAt": start}))
}

fn ok(body: Value) -> Reply {
    Reply {
        status: 200,
        body: body.to_string(),
        ..Reply::default()
    }
}

fn refused(status: u16, message: &str) -> Reply {
    Reply {
        status,
        body: json!({"errorMessages": [message]}).to_string(),
        ..Reply::default()
    }
}

fn text(ms: i64) -> String {
    let at = chrono::DateTime::from_timestamp_millis(ms).unwrap();
    at.format("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}
