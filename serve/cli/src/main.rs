//! `sprint-reports`: the one binary. Parses the command line, loads the settings, runs a command
//! and turns its outcome into an exit code. Only this crate reads the environment and prints.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this crate is the one that prints"
)]

mod commands;
mod exit;
mod output;
mod progress;
mod report;
mod settings;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::Outcome;

/// Reading a site makes and drops very many small texts; the system's allocator takes a fifth of the
/// time for that, and keeps more than it needs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sprint reports from Jira: ingest, metrics, SQL.
#[derive(Debug, Parser)]
#[command(
    name = "sprint-reports",
    version,
    about,
    disable_help_subcommand = true
)]
struct Arguments {
    /// Settings file instead of ./sprint-reports.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print results as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the product on a simulated Jira: ingest, refresh, a finished sprint's report, a server
    Demo(commands::demo::Arguments),
    /// Read the configured sources once, to the end
    Sync(commands::sync::Arguments),
    /// Run the models and their tests, and publish a release
    Refresh(commands::refresh::Arguments),
    /// Query the current release
    Sql(commands::sql::Arguments),
    /// Show releases
    #[command(subcommand)]
    Release(commands::release::Command),
    /// Look at a source: is it reachable, what is there, how are its fields understood
    #[command(subcommand)]
    Connection(commands::connection::Command),
    /// Serve reports over HTTP, SQL over the PostgreSQL protocol
    Serve(commands::serve::Arguments),
    /// Run a pipeline now, in this process
    Run(commands::pipeline::RunArguments),
    /// Show pipelines, switch them on and off
    #[command(subcommand)]
    Pipeline(commands::pipeline::Command),
    /// Show which pipelines are due next
    Schedule(commands::pipeline::ScheduleArguments),
    /// Run pipelines when they are due, and work off webhooks, until it is stopped
    Work,
    /// Serve and work in one process
    All(commands::serve::Arguments),
    /// Print references
    #[command(subcommand)]
    Config(commands::config::Command),
    /// Print a script that completes commands in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Compact the tables, remove what retention does not keep, verify the rest
    Maintain(commands::maintain::Arguments),
    /// Copy metadata and lake to another place
    Backup(commands::backup::Backup),
    /// Put a backup back, into an empty place
    Restore(commands::backup::Restore),
    /// Print the description of the REST interface (OpenAPI 3.1)
    Openapi,
    /// Say what is wrong with the set-up, and what to do
    Check,
}

/// What every command gets.
#[derive(Debug)]
struct Invocation {
    config: Option<PathBuf>,
    json: bool,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(exit::USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    start_logging();
    if let Ok(fault) = std::env::var("SPRINT_REPORTS_FAULT")
        && let Err(message) = warehouse::fault::arm(&fault)
    {
        eprintln!("{message}");
        return ExitCode::from(exit::USAGE);
    }
    // Plans of long expressions recurse deeply; the default 2 MiB would overflow.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(16 << 20)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("can't start: {error}");
            return exit::FAILED;
        }
    };
    let invocation = Invocation {
        config: arguments.config,
        json: arguments.json,
    };
    let json = invocation.json;
    let work = runtime.spawn(async move { run(arguments.command, invocation).await });
    let outcome = match runtime.block_on(work) {
        Ok(outcome) => outcome,
        Err(error) => Err(anyhow::anyhow!("the command ended unexpectedly: {error}")),
    };
    exit::report(outcome, json)
}

async fn run(command: Command, invocation: Invocation) -> anyhow::Result<Outcome> {
    match command {
        Command::Demo(arguments) => Box::pin(commands::demo::run(arguments, invocation)).await,
        Command::Sync(arguments) => Box::pin(commands::sync::run(arguments, invocation)).await,
        Command::Refresh(arguments) => {
            Box::pin(commands::refresh::run(arguments, invocation)).await
        }
        Command::Sql(arguments) => Box::pin(commands::sql::run(arguments, invocation)).await,
        Command::Release(command) => Box::pin(commands::release::run(command, invocation)).await,
        Command::Connection(command) => {
            Box::pin(commands::connection::run(command, invocation)).await
        }
        Command::Serve(arguments) => Box::pin(commands::serve::run(arguments, invocation)).await,
        Command::Run(arguments) => {
            Box::pin(commands::pipeline::run_once(arguments, invocation)).await
        }
        Command::Pipeline(command) => Box::pin(commands::pipeline::run(command, invocation)).await,
        Command::Schedule(arguments) => {
            Box::pin(commands::pipeline::schedule(arguments, invocation)).await
        }
        Command::Work => Box::pin(commands::work::run(invocation)).await,
        Command::All(arguments) => Box::pin(commands::all::run(arguments, invocation)).await,
        Command::Config(command) => commands::config::run(&command, &invocation),
        Command::Completions { shell } => {
            let mut command = <Arguments as clap::CommandFactory>::command();
            clap_complete::generate(
                shell,
                &mut command,
                "sprint-reports",
                &mut std::io::stdout(),
            );
            Ok(Outcome::Done)
        }
        Command::Maintain(arguments) => {
            Box::pin(commands::maintain::run(arguments, invocation)).await
        }
        Command::Backup(arguments) => {
            Box::pin(commands::backup::backup(arguments, invocation)).await
        }
        Command::Restore(arguments) => {
            Box::pin(commands::backup::restore(arguments, invocation)).await
        }
        Command::Openapi => commands::openapi::run(),
        Command::Check => Box::pin(commands::check::run(invocation)).await,
    }
}

/// Logs go to standard error, as JSON lines when SPRINT_REPORTS_LOG_FORMAT=json; which ones is
/// said by SPRINT_REPORTS_LOG, such as `info` or `ingest=debug`.
fn start_logging() {
    use tracing_subscriber::EnvFilter;
    let quiet = "warn,delta_kernel=off,deltalake_core=error,buoyant_kernel=off";
    let filter =
        EnvFilter::try_from_env("SPRINT_REPORTS_LOG").unwrap_or_else(|_| EnvFilter::new(quiet));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if std::env::var("SPRINT_REPORTS_LOG_FORMAT").is_ok_and(|format| format == "json") {
        builder.json().init();
    } else {
        builder.init();
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Arguments::command().debug_assert();
    }
}
