//! What a site is and how its fields are understood, without a warehouse.

use super::api::{Api, Offered};
use super::chosen;
use super::fields::{self, boards_of, fields_of};
use super::greet::greet;
use super::rows;
use super::streams::{BOARDS, FIELDS, PROJECTS, fetch, reference};
use crate::http::Client;
use crate::report::{DiscoveredBoard, DiscoveredField};
use crate::{Connection, Discovery, Error, Limits, Note, Result, Silent};

/// What an account should be allowed: to see issues, and to see the names of users.
const PERMISSIONS: [&str; 2] = ["BROWSE_PROJECTS", "USER_PICKER"];

/// Says what a site is and how its fields are understood; writes nothing.
pub(crate) async fn discover(connection: &Connection, limits: Limits) -> Result<Discovery> {
    let mut api = Api::new(Client::connect(connection, limits, &Silent).await?);
    let greeting = greet(&mut api, connection).await?;
    let mut notes = greeting.notes;
    let mut mapped = Vec::new();
    for stream in [PROJECTS, BOARDS, FIELDS] {
        let listing = Box::pin(fetch::fetch(&api, stream, &[])).await?;
        notes.extend(listing.notes);
        let records = listing.records.unwrap_or_default();
        mapped.push(reference::rows(stream, &connection.name, &records));
    }
    let [projects, boards, fields] = mapped.as_slice() else {
        return Err(no_answer(connection));
    };
    let text = |row: &schemas::Row, column: &str| {
        row.get(column)
            .and_then(|value| value.as_str())
            .unwrap_or_default()
            .to_string()
    };
    let known = fields_of(fields);
    let roles = fields::resolve(&known, &boards_of(boards), &connection.fields);
    let listed = boards_of(boards);
    let choices = fields::explain(&roles, &known, &listed, &connection.fields);
    let doubts = chosen::doubts(&roles, &known, &listed, &connection.fields);
    notes.extend(doubts.into_iter().map(|text| Note {
        stream: FIELDS,
        text,
    }));
    let name_of = |id: &str| {
        let field = known.iter().find(|field| field.id == id);
        field.map(|field| field.name.clone()).unwrap_or_default()
    };
    let key_of = |id: i64| {
        let project = projects
            .iter()
            .find(|row| rows::row_id(row, "project_id") == Some(id));
        project.map(|row| text(row, "project_key"))
    };
    let permissions = match api.permissions(&PERMISSIONS).await? {
        Offered::Yes(permissions) => permissions,
        Offered::No(reason) => {
            let text = format!("the site does not tell what the account may do: {reason}");
            notes.push(Note {
                stream: PROJECTS,
                text,
            });
            Vec::new()
        }
    };
    Ok(Discovery {
        site_url: greeting.server.base_url,
        version: greeting.server.version,
        source_time: greeting.source_time,
        account: greeting.myself.display_name,
        time_zone: greeting.time_zone,
        projects: projects
            .iter()
            .map(|row| text(row, "project_key"))
            .collect(),
        boards: boards
            .iter()
            .filter_map(|row| {
                Some(DiscoveredBoard {
                    board_id: row.get("board_id")?.as_i64()?,
                    name: text(row, "name"),
                    kind: text(row, "type"),
                    estimation_field_id: row
                        .get("estimation_field_id")
                        .and_then(|value| value.as_str().map(str::to_string)),
                })
            })
            .collect(),
        permissions,
        fields: choices
            .into_iter()
            .map(|choice| DiscoveredField {
                role: choice.role.to_string(),
                name: name_of(&choice.field_id),
                field_id: choice.field_id,
                reason: choice.reason,
            })
            .collect(),
        story_points: roles
            .story_points_by_project()
            .filter_map(|(project, field)| Some((key_of(project)?, field.map(str::to_string))))
            .collect(),
        notes,
    })
}

fn no_answer(connection: &Connection) -> Error {
    connection.refuse("the site answered nothing")
}
