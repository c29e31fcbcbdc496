//! `refresh`: models, data tests, a release.

use transform::{Project, RefreshOptions};

use crate::Invocation;
use crate::exit::Outcome;
use crate::progress::Terminal;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Models to run: NAME, NAME+ (and what reads it), +NAME (and what it reads)
    #[arg(long)]
    select: Vec<String>,
    /// Rebuild every model, also those whose inputs did not change
    #[arg(long)]
    full: bool,
}

pub(crate) async fn run(arguments: Arguments, invocation: Invocation) -> anyhow::Result<Outcome> {
    let (_, warehouse) = super::open(&invocation).await?;
    let project = Project::embedded()?;
    let options = RefreshOptions {
        select: arguments.select,
        full: arguments.full,
        ..RefreshOptions::default()
    };
    let progress = Terminal::new(invocation.json);
    let report = transform::refresh(&warehouse, &project, &options, &progress).await?;
    if invocation.json {
        super::print_json(&report)?;
    } else {
        match &report.release {
            Some(release) => println!("published release {release}"),
            None => println!("nothing changed since the current release; none was published"),
        }
    }
    Ok(Outcome::Done)
}
