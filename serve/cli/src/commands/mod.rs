//! The commands, one file each.

pub(crate) mod alerts;
pub(crate) mod all;
pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod connection;
pub(crate) mod demo;
pub(crate) mod maintain;
pub(crate) mod openapi;
pub(crate) mod pipeline;
pub(crate) mod refresh;
pub(crate) mod release;
pub(crate) mod serve;
pub(crate) mod sql;
pub(crate) mod sync;
pub(crate) mod work;

use warehouse::Warehouse;

use crate::Invocation;
use crate::settings::Settings;

/// The settings and the warehouse they describe.
async fn open(invocation: &Invocation) -> anyhow::Result<(Settings, Warehouse)> {
    let settings = Settings::load(invocation.config.as_deref())?;
    let warehouse = Warehouse::open(&settings.warehouse()?).await?;
    Ok((settings, warehouse))
}

/// Prints a value as one JSON document.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}
