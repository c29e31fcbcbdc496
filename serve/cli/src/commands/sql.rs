//! `sql`: ad hoc queries on the current release, without a server.

use futures::TryStreamExt;
use warehouse::QueryOptions;

use crate::Invocation;
use crate::exit::Outcome;
use crate::output::{self, Format};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The query; one statement that reads
    query: String,
    /// How rows are written; json with --json, else table
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Release, RFC 3339 instant or day to read instead of the current release
    #[arg(long, value_name = "RELEASE|TIME")]
    as_of: Option<String>,
}

pub(crate) async fn run(arguments: Arguments, invocation: Invocation) -> anyhow::Result<Outcome> {
    let (_, warehouse) = super::open(&invocation).await?;
    let options = QueryOptions {
        as_of: arguments.as_of,
        ..QueryOptions::default()
    };
    let stream = warehouse.query().run(&arguments.query, &options).await?;
    let schema = stream.schema();
    let batches: Vec<_> = stream.try_collect().await?;
    let default = if invocation.json {
        Format::Json
    } else {
        Format::Table
    };
    output::write(arguments.format.unwrap_or(default), &schema, &batches)?;
    Ok(Outcome::Done)
}
