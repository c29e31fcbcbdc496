//! Boards and sprints.

use serde_json::{Value, json};

use crate::render::{Head, Listing, Source};
use crate::server::call::{Call, Refusal, Reply, paged};
use crate::server::search::{Wanted, found, token_page};

fn boards(call: &Call) -> Vec<Value> {
    call.shared
        .read(|source| source.list(Listing::Boards, &call.view))
}

/// The agile API's pages have no links.
fn page(call: &Call, values: Vec<Value>) -> Value {
    let most = call.shared.settings.limits.agile;
    let mut page = paged(call, values, most, most);
    if let Some(page) = page.as_object_mut() {
        page.remove("self");
        page.remove("nextPage");
    }
    page
}

pub(super) fn list(call: &Call) -> Reply {
    let kinds = call.list("type");
    let name = call.text("name").map(|name| name.to_lowercase());
    let project = call.text("projectKeyOrId");
    let mut boards = boards(call);
    boards.retain(|board| {
        let location = &board["location"];
        let there = |project: &String| {
            location["projectKey"] == **project
                || project
                    .parse()
                    .is_ok_and(|id: u64| location["projectId"].as_u64() == Some(id))
        };
        (kinds.is_empty() || kinds.iter().any(|kind| board["type"] == **kind))
            && name.as_ref().is_none_or(|name| {
                board["name"]
                    .as_str()
                    .is_some_and(|found| found.to_lowercase().contains(name))
            })
            && project.as_ref().is_none_or(there)
    });
    Ok(page(call, boards))
}

pub(super) fn board(call: &Call) -> Reply {
    let id = call.path_id("id");
    boards(call)
        .into_iter()
        .find(|board| board["id"] == id)
        .ok_or_else(no_board)
}

fn no_board() -> Refusal {
    Refusal::not_found(
        "The requested board cannot be viewed because it either does not exist or you do not have permission to view it.",
    )
}

pub(super) fn configuration(call: &Call) -> Reply {
    let found = call
        .shared
        .read(|source| source.board_configuration(call.path_id("id"), &call.view));
    found.ok_or_else(no_board)
}

pub(super) fn sprints(call: &Call) -> Reply {
    board(call)?;
    let sprints = call
        .shared
        .read(|source| source.board_sprints(call.path_id("id"), &call.view));
    let mut sprints =
        sprints.ok_or_else(|| Refusal::bad_request("The board does not support sprints"))?;
    let states = call.list("state");
    sprints.retain(|sprint| {
        states.is_empty() || states.iter().any(|state| sprint["state"] == **state)
    });
    Ok(page(call, sprints))
}

pub(super) fn sprint(call: &Call) -> Reply {
    let found = call
        .shared
        .read(|source| source.sprint(call.path_id("id"), &call.view));
    found.ok_or_else(|| Refusal::not_found("Sprint does not exist"))
}

pub(super) fn features(call: &Call) -> Reply {
    board(call)?;
    let sprints = call
        .shared
        .read(|source| source.board_sprints(call.path_id("id"), &call.view));
    let scrum = sprints.is_some();
    // Real sites give the name that stands in no specification; the specification's is there too.
    let feature = |name: &str, enabled: bool| {
        let state = if enabled { "ENABLED" } else { "DISABLED" };
        let short = name.rsplit('.').next().unwrap_or_default().to_uppercase();
        json!({"feature": name, "boardFeature": short, "boardId": call.path_id("id"),
            "state": state, "toggleLocked": true})
    };
    let features = [
        feature("jsw.agility.sprints", scrum),
        feature("jsw.agility.backlog", scrum),
        feature("jsw.agility.estimation", scrum),
    ];
    Ok(json!({"features": features}))
}

/// `GET /sprint/{}/issue` and `GET /board/{}/sprint/{}/issue`.
pub(super) fn sprint_issues(call: &Call) -> Reply {
    by_start(call, &sprint_members(call)?)
}

pub(super) fn board_issues(call: &Call) -> Reply {
    by_start(call, &board_members(call)?)
}

pub(super) fn backlog(call: &Call) -> Reply {
    by_start(call, &backlog_members(call)?)
}

pub(super) fn sprint_issues_by_token(call: &Call) -> Reply {
    by_token(call, &sprint_members(call)?)
}

pub(super) fn board_issues_by_token(call: &Call) -> Reply {
    by_token(call, &board_members(call)?)
}

pub(super) fn backlog_by_token(call: &Call) -> Reply {
    by_token(call, &backlog_members(call)?)
}

fn sprint_members(call: &Call) -> Result<Vec<u64>, Refusal> {
    let named = call.path("sprint");
    let id: u64 = if named.is_empty() {
        call.path_id("id")
    } else {
        named.parse().unwrap_or_default()
    };
    let heads = call.shared.read(|source| {
        source.sprint(id, &call.view)?;
        Some(source.heads(source.now()))
    });
    let heads = heads.ok_or_else(|| Refusal::not_found("Sprint does not exist"))?;
    Ok(heads
        .iter()
        .filter(|head| head.sprints.contains(&id))
        .map(|head| head.id)
        .collect())
}

fn board_members(call: &Call) -> Result<Vec<u64>, Refusal> {
    board(call)?;
    Ok(call
        .shared
        .read(|source| source.board_issues(call.path_id("id"))))
}

/// Issues of the board that are in no running or coming sprint and not done.
fn backlog_members(call: &Call) -> Result<Vec<u64>, Refusal> {
    let members = board_members(call)?;
    Ok(call.shared.read(|source| {
        let open = |sprint: &u64| {
            source
                .sprint(*sprint, &call.view)
                .is_some_and(|sprint| sprint["state"] != "closed")
        };
        let in_backlog = |id: &u64| {
            let fields = source.issue_fields(*id, &call.view);
            let done = fields
                .get("resolution")
                .is_some_and(|resolution| !resolution.is_null());
            !done
                && source
                    .head(&id.to_string())
                    .is_some_and(|head| !head.sprints.iter().any(open))
        };
        members.into_iter().filter(in_backlog).collect()
    }))
}

fn by_start(call: &Call, members: &[u64]) -> Reply {
    let wanted = Wanted::of(call, &["*navigable"]);
    let (start, size) = call.page(50, call.shared.settings.limits.agile_issues);
    let (_, heads) = within(call, members)?;
    let total = heads.len();
    let issues: Vec<Value> = call.shared.read(|source| {
        let page = heads.iter().skip(start).take(size);
        page.map(|head| show(call, source, &wanted, head)).collect()
    });
    Ok(
        json!({"expand": "schema,names", "startAt": start, "maxResults": size, "total": total, "issues": issues}),
    )
}

fn by_token(call: &Call, members: &[u64]) -> Reply {
    let wanted = Wanted::of(call, &["*navigable"]);
    let jql = call.text("jql").unwrap_or_default();
    let found = within(call, members)?;
    let cap = call.shared.settings.limits.search_light;
    let (heads, next) = token_page(call, &jql, (&found.0, &found.1), cap)?;
    let issues: Vec<Value> = call.shared.read(|source| {
        heads
            .iter()
            .map(|head| show(call, source, &wanted, head))
            .collect()
    });
    let mut page = json!({"issues": issues, "isLast": next.is_none()});
    if let Some(next) = next {
        page["nextPageToken"] = json!(next);
    }
    Ok(page)
}

/// The members that the call's own JQL matches, by rank unless it says otherwise.
fn within(call: &Call, members: &[u64]) -> Result<(crate::jql::Query, Vec<Head>), Refusal> {
    let mut jql = call.text("jql").unwrap_or_default();
    if !jql.to_lowercase().contains("order by") {
        jql.push_str(" ORDER BY rank ASC");
    }
    let (query, mut heads) = found(call, &jql, false)?;
    heads.retain(|head| members.contains(&head.id));
    Ok((query, heads))
}

/// The platform's issue plus what the agile API adds.
fn show(call: &Call, source: &dyn Source, wanted: &Wanted, head: &Head) -> Value {
    let mut shown = wanted.show(call, source, head);
    let mut closed = Vec::new();
    let mut open = Value::Null;
    for id in &head.sprints {
        let Some(sprint) = source.sprint(*id, &call.view) else {
            continue;
        };
        if sprint["state"] == "closed" {
            closed.push(sprint);
        } else {
            open = sprint;
        }
    }
    if let Some(fields) = shown.get_mut("fields").and_then(Value::as_object_mut) {
        fields.entry("sprint").or_insert(open);
        if !closed.is_empty() {
            fields.entry("closedSprints").or_insert(json!(closed));
        }
        fields.entry("epic").or_insert(Value::Null);
        fields.entry("flagged").or_insert(json!(false));
    }
    shown
}

/// The internal chart resource.
pub(super) fn sprint_report(call: &Call) -> Reply {
    let number = |name: &str| {
        call.text(name)
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or_default()
    };
    let (board, sprint) = (number("rapidViewId"), number("sprintId"));
    let found = call
        .shared
        .read(|source| source.sprint_report(board, sprint, &call.view));
    found.ok_or_else(|| {
        Refusal::not_found("The sprint or the board does not exist or was never started.")
    })
}

/// Issue counts of the new list endpoints.
pub(super) fn count_board(call: &Call) -> Reply {
    count(call, &board_members(call)?)
}

pub(super) fn count_backlog(call: &Call) -> Reply {
    count(call, &backlog_members(call)?)
}

pub(super) fn count_sprint(call: &Call) -> Reply {
    count(call, &sprint_members(call)?)
}

fn count(call: &Call, members: &[u64]) -> Reply {
    let (_, heads) = within(call, members)?;
    Ok(json!({"count": heads.len()}))
}
