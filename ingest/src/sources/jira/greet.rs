//! The first contact: who the site is, who the account is. Wrong addresses and wrong
//! credentials end here, with one sentence that says what to do.

use chrono::{DateTime, Utc};

use super::api::{Api, Myself, ServerInfo};
use super::streams::ISSUES;
use crate::{Connection, Note, Result};

/// The site and the account, as they introduce themselves.
pub(super) struct Greeting {
    pub(super) server: ServerInfo,
    pub(super) myself: Myself,
    pub(super) source_time: DateTime<Utc>,
    pub(super) time_zone: String,
    pub(super) notes: Vec<Note>,
}

/// Asks the site and the account who they are. Wrong addresses and credentials end here.
pub(super) async fn greet(api: &mut Api<'_>, connection: &Connection) -> Result<Greeting> {
    let server = api.meet().await?;
    let myself = api.myself().await?;
    let mut notes = Vec::new();
    let wanted = match connection.time_zone.trim() {
        "" => myself.time_zone.as_str(),
        configured => configured,
    };
    let time_zone = match wanted.parse::<chrono_tz::Tz>() {
        Ok(zone) => zone.name().to_string(),
        Err(_) if !connection.time_zone.trim().is_empty() => {
            return Err(connection.refuse(format!(
                "time_zone '{wanted}' is not an IANA time zone; write it like Europe/Berlin"
            )));
        }
        Err(_) => {
            let text =
                format!("the account's time zone '{wanted}' is not known; days are counted in UTC");
            notes.push(Note {
                stream: ISSUES,
                text,
            });
            "UTC".to_string()
        }
    };
    let source_time = server.time().unwrap_or_else(|| {
        let text = "the site does not tell its clock; this machine's is taken".to_string();
        notes.push(Note {
            stream: ISSUES,
            text,
        });
        Utc::now()
    });
    Ok(Greeting {
        server,
        myself,
        source_time,
        time_zone,
        notes,
    })
}
