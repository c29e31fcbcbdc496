//! Reference data and the account.

use serde_json::{Value, json};

use crate::render::{Listing, OfProject};
use crate::server::call::{Call, Refusal, Reply, paged};

fn list(call: &Call, what: Listing) -> Vec<Value> {
    call.shared.read(|source| source.list(what, &call.view))
}

fn page(call: &Call, values: Vec<Value>) -> Value {
    paged(
        call,
        values,
        call.shared.settings.limits.reference,
        call.shared.settings.limits.reference,
    )
}

pub(super) fn server_info(call: &Call) -> Reply {
    let cloud = call.view.cloud();
    Ok(json!({
        "baseUrl": call.shared.base,
        "version": if cloud { "1001.0.0-SNAPSHOT" } else { "9.12.4" },
        "versionNumbers": if cloud { [1001, 0, 0] } else { [9, 12, 4] },
        "deploymentType": if cloud { "Cloud" } else { "Server" },
        "buildNumber": 100_287,
        "buildDate": call.view.time(call.shared.now() - chrono::Duration::days(3)),
        "serverTime": call.view.time(call.shared.now()),
        "scmInfo": "0000000000000000000000000000000000000000",
        "serverTitle": "Simulated Jira",
    }))
}

pub(super) fn myself(call: &Call) -> Reply {
    let account = &call.shared.settings.account;
    let mut me = json!({
        "self": call.view.link("myself"),
        "emailAddress": account.email,
        "displayName": "Reporter",
        "active": true,
        "timeZone": account.time_zone,
        "locale": "en_GB",
        "avatarUrls": {},
        "groups": {"size": 1, "items": []},
        "applicationRoles": {"size": 1, "items": []},
    });
    if call.view.cloud() {
        me["accountId"] = json!("5b0000000000000000000001");
        me["accountType"] = json!("atlassian");
    } else {
        me["name"] = json!("reporter");
        me["key"] = json!("JIRAUSER10000");
    }
    Ok(me)
}

pub(super) fn permissions(call: &Call) -> Reply {
    let asked = call.list("permissions");
    let granted = |key: &String| {
        let name = key.replace('_', " ").to_lowercase();
        let entry = json!({"id": "10", "key": key, "name": name, "type": "PROJECT",
            "description": name, "havePermission": true});
        (key.clone(), entry)
    };
    let all: serde_json::Map<String, Value> = asked.iter().map(granted).collect();
    Ok(json!({"permissions": all}))
}

pub(super) fn fields(call: &Call) -> Reply {
    Ok(json!(list(call, Listing::Fields)))
}

/// Leaves out what the plain list has and this one does not, as on real sites.
pub(super) fn fields_page(call: &Call) -> Reply {
    let ids = call.list("id");
    let kinds = call.list("type");
    let mut fields = list(call, Listing::Fields);
    fields.retain(|field| {
        let kind = if field["custom"] == true {
            "custom"
        } else {
            "system"
        };
        (ids.is_empty() || ids.iter().any(|id| field["id"] == **id))
            && (kinds.is_empty() || kinds.iter().any(|wanted| wanted == kind))
    });
    let shown = fields
        .into_iter()
        .map(|field| json!({"id": field["id"], "name": field["name"], "schema": field["schema"], "description": ""}))
        .collect();
    Ok(page(call, shown))
}

pub(super) fn statuses(call: &Call) -> Reply {
    Ok(json!(list(call, Listing::Statuses)))
}

pub(super) fn statuses_page(call: &Call) -> Reply {
    let shown = list(call, Listing::Statuses).into_iter().map(|status| {
        let category = match status["statusCategory"]["key"].as_str() {
            Some("done") => "DONE",
            Some("indeterminate") => "IN_PROGRESS",
            _ => "TODO",
        };
        json!({"id": status["id"], "name": status["name"], "statusCategory": category,
            "description": "", "scope": {"type": "GLOBAL"}})
    });
    let shown = shown.collect();
    let cap = 200;
    Ok(paged(call, shown, cap, cap))
}

pub(super) fn status_categories(call: &Call) -> Reply {
    let entry = |id: u32, key: &str, name: &str, color: &str| {
        let link = call.view.link(format!("statuscategory/{id}"));
        json!({"self": link, "id": id, "key": key, "colorName": color, "name": name})
    };
    Ok(json!([
        entry(1, "undefined", "No Category", "medium-gray"),
        entry(2, "new", "To Do", "blue-gray"),
        entry(4, "indeterminate", "In Progress", "yellow"),
        entry(3, "done", "Done", "green"),
    ]))
}

pub(super) fn priorities(call: &Call) -> Reply {
    Ok(json!(list(call, Listing::Priorities)))
}

pub(super) fn priorities_page(call: &Call) -> Reply {
    let mut priorities = list(call, Listing::Priorities);
    for priority in &mut priorities {
        priority["isDefault"] = json!(priority["name"] == "Medium");
    }
    Ok(page(call, priorities))
}

pub(super) fn resolutions(call: &Call) -> Reply {
    Ok(json!(list(call, Listing::Resolutions)))
}

pub(super) fn resolutions_page(call: &Call) -> Reply {
    let mut resolutions = list(call, Listing::Resolutions);
    for resolution in &mut resolutions {
        resolution["isDefault"] = json!(false);
    }
    Ok(page(call, resolutions))
}

pub(super) fn issue_types(call: &Call) -> Reply {
    Ok(json!(list(call, Listing::IssueTypes)))
}

pub(super) fn link_types(call: &Call) -> Reply {
    Ok(json!({"issueLinkTypes": list(call, Listing::LinkTypes)}))
}

pub(super) fn labels(call: &Call) -> Reply {
    Ok(paged(call, list(call, Listing::Labels), 1000, 1000))
}

/// The unpaged list of both. Data Center can show archived projects, and leads when asked for them.
pub(super) fn projects(call: &Call) -> Reply {
    let mut shown = list(call, Listing::Projects);
    if call.view.cloud() {
        return Ok(json!(shown));
    }
    if call
        .text("includeArchived")
        .is_some_and(|text| text == "true")
    {
        shown.extend(list(call, Listing::ArchivedProjects));
    }
    let leads = call.list("expand").iter().any(|part| part == "lead");
    for project in shown.iter_mut().filter_map(Value::as_object_mut) {
        for part in ["issueTypes", "components", "versions", "description"] {
            project.remove(part);
        }
        if !leads {
            project.remove("lead");
        }
    }
    Ok(json!(shown))
}

pub(super) fn projects_page(call: &Call) -> Reply {
    let states = call.list("status");
    let wants = |state: &str| states.iter().any(|wanted| wanted == state);
    let mut shown = Vec::new();
    if states.is_empty() || wants("live") {
        shown.extend(list(call, Listing::Projects));
    }
    if wants("archived") {
        shown.extend(list(call, Listing::ArchivedProjects));
    }
    let keys = call.list("keys");
    shown.retain(|project| keys.is_empty() || keys.iter().any(|key| project["key"] == **key));
    let expand = call.list("expand");
    let expands = |name: &str| expand.iter().any(|part| part == name);
    for project in &mut shown {
        if let Some(project) = project.as_object_mut() {
            for part in ["lead", "description", "issueTypes"] {
                if !expands(part) {
                    project.remove(part);
                }
            }
            project.remove("components");
            project.remove("versions");
        }
    }
    Ok(page(call, shown))
}

pub(super) fn project(call: &Call) -> Reply {
    let asked = call.path("project");
    let found = list(call, Listing::Projects)
        .into_iter()
        .find(|project| project["id"] == *asked || project["key"] == *asked);
    found.ok_or_else(|| no_project(asked))
}

fn no_project(asked: &str) -> Refusal {
    Refusal::not_found(format!("No project could be found with key '{asked}'."))
}

fn of_project(call: &Call, what: OfProject) -> Result<Vec<Value>, Refusal> {
    let asked = call.path("project");
    call.shared
        .read(|source| source.of_project(asked, what, &call.view))
        .ok_or_else(|| no_project(asked))
}

pub(super) fn versions(call: &Call) -> Reply {
    of_project(call, OfProject::Versions).map(|values| json!(values))
}

pub(super) fn versions_page(call: &Call) -> Reply {
    of_project(call, OfProject::Versions).map(|values| page(call, values))
}

pub(super) fn components(call: &Call) -> Reply {
    of_project(call, OfProject::Components).map(|values| json!(values))
}

pub(super) fn components_page(call: &Call) -> Reply {
    of_project(call, OfProject::Components).map(|values| page(call, values))
}

/// A bare list, cut by `startAt` and `maxResults`.
pub(super) fn users(call: &Call) -> Reply {
    let (start, size) = call.page(50, call.shared.settings.limits.users);
    Ok(list(call, Listing::Users)
        .into_iter()
        .skip(start)
        .take(size)
        .collect())
}

/// Data Center's search of users: a part of the name, the full name or the address. Nobody is found
/// by nothing (JRASERVER-65089), everybody by a point.
pub(super) fn users_by_name(call: &Call) -> Reply {
    let asked = call
        .text("username")
        .ok_or_else(|| Refusal::bad_request("The username query parameter was not provided"))?
        .to_lowercase();
    let inactive = call
        .text("includeInactive")
        .is_some_and(|text| text == "true");
    let (start, size) = call.page(50, call.shared.settings.limits.users);
    let fits = |user: &Value| {
        let named = |part: &str| {
            let text = user[part].as_str().unwrap_or_default();
            text.to_lowercase().contains(&asked)
        };
        let is_named = asked == "."
            || ["name", "displayName", "emailAddress"]
                .into_iter()
                .any(named);
        !asked.is_empty() && is_named && (inactive || user["active"] == true)
    };
    let users = list(call, Listing::Users).into_iter().filter(fits);
    Ok(users.skip(start).take(size).collect())
}

pub(super) fn users_bulk(call: &Call) -> Reply {
    let asked = call.list("accountId");
    let mut users = list(call, Listing::Users);
    users.retain(|user| asked.iter().any(|id| user["accountId"] == **id));
    Ok(paged(call, users, 10, 200))
}

pub(super) fn user(call: &Call) -> Reply {
    let names = ["accountId", "username", "key"];
    let asked = names.iter().find_map(|name| Some((name, call.text(name)?)));
    let found = asked.and_then(|(by, value)| {
        let field = if *by == "username" { "name" } else { by };
        list(call, Listing::Users)
            .into_iter()
            .find(|user| user[field] == value)
    });
    found.ok_or_else(|| {
        Refusal::not_found("The user does not exist or you do not have permission to view it.")
    })
}
