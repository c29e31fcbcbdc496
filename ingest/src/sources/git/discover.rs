//! What a forge is and which repositories the account sees, without a warehouse.

use super::api::Api;
use super::write;
use super::{Dialect, REPOSITORIES};
use crate::http::Client;
use crate::{Connection, Discovery, Limits, Note, Result, Silent};

pub(super) async fn discover(
    dialect: &'static dyn Dialect,
    connection: &Connection,
    limits: Limits,
) -> Result<Discovery> {
    let api = Api::new(Client::connect(connection, limits, &Silent).await?, dialect);
    let greeting = api.greet(connection).await?;
    let mut notes = greeting.notes;
    let found = api.repositories(connection).await?;
    notes.extend(found.missing.iter().map(|name| missing(name)));
    let rows = found
        .records
        .iter()
        .map(|record| write::repository_row(dialect, &connection.name, record));
    let projects = rows.filter_map(|row| Some(row.ok()?.text("full_name").to_string()));
    Ok(Discovery {
        site_url: connection.url.clone(),
        version: format!("{} {}", dialect.name(), greeting.version),
        source_time: greeting.source_time,
        account: greeting.account,
        time_zone: greeting.time_zone,
        projects: projects.collect(),
        boards: Vec::new(),
        permissions: Vec::new(),
        fields: Vec::new(),
        story_points: Vec::new(),
        notes,
    })
}

/// A repository that the settings name and the account doesn't see.
pub(super) fn missing(name: &str) -> Note {
    Note {
        stream: REPOSITORIES,
        text: format!(
            "the account does not see '{name}': it is deleted, hidden or named otherwise"
        ),
    }
}
