//! What a site is and how its fields are understood, without a warehouse.

use super::api::Api;
use super::fields::{self, boards_of, fields_of};
use super::greet::greet;
use super::streams::{BOARDS, FIELDS, PROJECTS, fetch, reference};
use crate::http::Client;
use crate::report::DiscoveredBoard;
use crate::{Connection, Discovery, Error, Limits, Result, Silent};

/// Says what a site is and how its fields are understood; writes nothing.
pub(crate) async fn discover(connection: &Connection, limits: Limits) -> Result<Discovery> {
    let api = Api::new(Client::new(connection, limits, &Silent)?);
    let greeting = greet(&api, connection).await?;
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
    let with_role = known.iter().filter_map(|field| {
        Some((
            field.id.clone(),
            field.name.clone(),
            roles.role(&field.id)?.to_string(),
        ))
    });
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
        fields: with_role.collect(),
        notes,
    })
}

fn no_answer(connection: &Connection) -> Error {
    connection.refuse("the site answered nothing")
}
