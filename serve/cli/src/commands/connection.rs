//! `connection test|discover|fields`: what a source is, what the account may see there, and how its
//! fields are understood. Nothing is written but the tokens of an app that signs in.

use clap::Subcommand;
use ingest::Discovery;
use serde_json::json;
use warehouse::Warehouse;

use crate::Invocation;
use crate::exit::{Outcome, UsageError};
use crate::output::clean;
use crate::settings::{self, Settings};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Is it reachable, and what may the account do there?
    Test {
        /// The connection
        name: String,
    },
    /// Projects and boards that the account sees
    Discover {
        /// The connection
        name: String,
    },
    /// Which field plays which part, and why
    Fields {
        /// The connection
        name: String,
    },
    /// Encrypt the stored secrets of all connections with another key
    RotateKey,
}

/// The key file holds the new key and the old one until every secret is encrypted with the new one: stopped
/// anywhere, everything can be read, and the command goes on when it is run again. A key of the environment is
/// changed there, in the same three steps.
async fn rotate_key(invocation: &Invocation) -> anyhow::Result<Outcome> {
    let settings = Settings::load(invocation.config.as_deref())?;
    let config = settings.warehouse()?;
    let place = settings.key_place();
    let Some(old) = config.key.clone() else {
        return Err(UsageError(format!(
            "there is no key, and so nothing is encrypted with one; {place} is where it would be"
        ))
        .into());
    };
    let is_under_way = old != old.alone();
    let key = match settings.key_file() {
        // The environment has the new key already, before the old one.
        None if is_under_way => old,
        None => {
            return Err(UsageError(format!(
                "the key is in {place}: write a new one before it, separated by a comma (`openssl rand -hex 32` \
                 makes one), run this command again, then take the old one away"
            ))
            .into());
        }
        Some(_) if is_under_way => old,
        Some(file) => {
            let new = old.successor()?;
            settings::write_key(file, &new)?;
            new
        }
    };
    let config = warehouse::Config {
        key: Some(key.clone()),
        ..config
    };
    let warehouse = Warehouse::open(&config).await?;
    let rotated = warehouse.meta().rotate_secrets().await?;
    if let Some(file) = settings.key_file() {
        settings::write_key(file, &key.alone())?;
    }
    if invocation.json {
        super::print_json(&json!({"key_id": key.id(), "secrets": rotated}))?;
        return Ok(Outcome::Done);
    }
    println!("{rotated} secrets are encrypted with key {} now", key.id());
    match settings.key_file() {
        Some(file) => println!(
            "{} holds it; restart what runs, and keep backups of the old key as long as backups of the database that need it",
            file.display()
        ),
        None => println!("take the old key out of {place} now"),
    }
    Ok(Outcome::Done)
}

pub(crate) async fn run(command: Command, invocation: Invocation) -> anyhow::Result<Outcome> {
    let name = match &command {
        Command::Test { name } | Command::Discover { name } | Command::Fields { name } => name,
        Command::RotateKey => return rotate_key(&invocation).await,
    };
    let settings = Settings::load(invocation.config.as_deref())?;
    let setting = settings.connections.iter().find(|one| one.name == *name);
    let setting = setting.ok_or_else(|| {
        let known: Vec<_> = settings
            .connections
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        let known = match known.as_slice() {
            [] => "none is configured".to_string(),
            known => format!("the settings have {}", known.join(", ")),
        };
        UsageError(format!("there is no connection '{name}'; {known}"))
    })?;
    // Only an app's tokens have to be kept; otherwise nothing is written, nor opened.
    let warehouse = match setting.auth.as_str() {
        "oauth" => Some(Warehouse::open(&settings.warehouse()?).await?),
        _ => None,
    };
    let connection = super::sync::connection(setting, warehouse.as_ref())?;
    let site = ingest::discover(&connection).await?;
    let is_forge = matches!(connection.kind.as_str(), "github" | "gitlab");
    match command {
        Command::Test { .. } if invocation.json => super::print_json(&json!({
            "site_url": site.site_url,
            "version": site.version,
            "source_time": site.source_time,
            "account": site.account,
            "time_zone": site.time_zone,
            "permissions": granted(&site),
            "projects": site.projects.len(),
            "boards": site.boards.len(),
            "notes": site.notes,
        }))?,
        Command::Test { .. } => test(&site, is_forge),
        Command::Discover { .. } if invocation.json => super::print_json(&json!({
            "projects": site.projects,
            "boards": site.boards,
            "notes": site.notes,
        }))?,
        Command::Discover { .. } if is_forge => repositories(&site),
        Command::Discover { .. } => discover(&site),
        Command::Fields { .. } if invocation.json => {
            let points: serde_json::Map<_, _> = site
                .story_points
                .iter()
                .map(|(project, field)| (project.clone(), json!(field)))
                .collect();
            super::print_json(
                &json!({"fields": site.fields, "story_points": points, "notes": site.notes}),
            )?;
        }
        Command::Fields { .. } if is_forge => {
            println!(
                "repositories have no fields to be understood; connection discover lists them"
            );
        }
        Command::Fields { .. } => fields(&site),
        // Done above: it asks no source.
        Command::RotateKey => (),
    }
    let missing: Vec<_> = site.permissions.iter().filter(|(_, has)| !has).collect();
    if site.projects.is_empty() {
        let what = if is_forge { "repository" } else { "project" };
        return Ok(Outcome::Partly(format!("the account sees no {what}")));
    }
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(", ");
        return Ok(Outcome::Partly(format!(
            "the account lacks the permission {names}"
        )));
    }
    Ok(Outcome::Done)
}

fn granted(site: &Discovery) -> serde_json::Map<String, serde_json::Value> {
    let permissions = site.permissions.iter();
    permissions
        .map(|(name, has)| (name.clone(), json!(has)))
        .collect()
}

fn test(site: &Discovery, is_forge: bool) {
    let off = (site.source_time - chrono::Utc::now()).num_seconds();
    println!(
        "site         {} (version {})",
        clean(&site.site_url),
        clean(&site.version)
    );
    println!(
        "account      {}, time zone {}",
        clean(&site.account),
        clean(&site.time_zone)
    );
    println!("clock        {off} s off this machine's; reading goes by the site's");
    for (name, has) in &site.permissions {
        println!(
            "permission   {:<16} {}",
            clean(name),
            if *has { "yes" } else { "NO" }
        );
    }
    if is_forge {
        println!("sees         {} repositories", site.projects.len());
    } else {
        println!(
            "sees         {} projects, {} boards",
            site.projects.len(),
            site.boards.len()
        );
    }
    notes(site);
}

fn repositories(site: &Discovery) {
    println!("{} repositories:", site.projects.len());
    for name in &site.projects {
        println!("  {}", clean(name));
    }
    notes(site);
}

fn discover(site: &Discovery) {
    println!(
        "{} projects: {}",
        site.projects.len(),
        clean(&site.projects.join(", "))
    );
    println!();
    println!(
        "{:<8} {:<10} {:<36} estimates with",
        "board", "type", "name"
    );
    for board in &site.boards {
        let field = board.estimation_field_id.as_deref().unwrap_or("-");
        let name = clean(&board.name);
        println!(
            "{:<8} {:<10} {name:<36} {}",
            board.board_id,
            clean(&board.kind),
            clean(field)
        );
    }
    notes(site);
}

fn fields(site: &Discovery) {
    println!("{:<16} {:<20} {:<24} because", "part", "field", "name");
    for field in &site.fields {
        println!(
            "{:<16} {:<20} {:<24} {}",
            field.role,
            clean(&field.field_id),
            clean(&field.name),
            clean(&field.reason)
        );
    }
    for (project, field) in &site.story_points {
        let field = field
            .as_deref()
            .map_or("none: its board estimates in time".to_string(), clean);
        println!("points of {:<6} {field}", clean(project));
    }
    notes(site);
    println!();
    println!("another choice: [connections.fields] in the settings, by id or by name");
}

fn notes(site: &Discovery) {
    for note in &site.notes {
        println!("note         {}: {}", note.stream, clean(&note.text));
    }
}
