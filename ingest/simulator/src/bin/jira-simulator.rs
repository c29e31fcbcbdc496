//! Serves a simulated site until it is stopped, or prints how its history compares with published rates.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Parser, ValueEnum};
use simulator::{Deployment, RateLimit, Settings, Simulator, World};

/// A simulated Jira site.
#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    address: SocketAddr,
    #[arg(long, value_enum, default_value_t = Kind::Cloud)]
    deployment: Kind,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The instant at which the history ends; the start of the process by default.
    #[arg(long)]
    now: Option<DateTime<Utc>>,
    #[arg(long, default_value_t = 2.0)]
    years: f64,
    #[arg(long, default_value_t = 2)]
    projects: u32,
    #[arg(long, default_value_t = 12)]
    issues_per_sprint: u32,
    #[arg(long, default_value_t = 26)]
    sprints_per_board: u32,
    /// Serve recorded payloads from this folder instead of a generated history.
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Added to every answer.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Refuse every n-th request with 429.
    #[arg(long)]
    limit_every: Option<u64>,
    /// Write the requests that were made into this file, one JSON object a line, when stopped.
    #[arg(long)]
    requests: Option<PathBuf>,
    /// Serve that many issues, made when they are asked for, and nothing else.
    #[arg(long)]
    wide: Option<u32>,
    /// Print published and simulated rates and stop.
    #[arg(long)]
    rates: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Cloud,
    DataCenter,
}

fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let settings = settings(&arguments);
    let mut out = std::io::stdout();
    if arguments.rates {
        let world = World::generate(&settings.world);
        return write!(out, "{}", simulator::rates::table(&world));
    }
    tokio::runtime::Runtime::new()?.block_on(async {
        let account = settings.account.clone();
        if let Some(issues) = arguments.wide {
            let address = simulator::wide::serve(issues, arguments.address).await?;
            let url = format!("http://{address}");
            let ready =
                serde_json::json!({"url": url, "email": account.email, "token": account.token});
            writeln!(out, "{ready}")?;
            out.flush()?;
            return tokio::signal::ctrl_c().await;
        }
        let simulator = match &arguments.replay {
            Some(dir) => Simulator::replay(dir, settings).await?,
            None => Simulator::start(settings).await?,
        };
        let ready = serde_json::json!({
            "url": simulator.url(),
            "email": account.email,
            "token": account.token,
            "expected": simulator.edit(|world| expected(world)),
        });
        writeln!(out, "{ready}")?;
        out.flush()?;
        tokio::signal::ctrl_c().await?;
        if let Some(file) = &arguments.requests {
            std::fs::write(file, requests(&simulator))?;
        }
        simulator.stop().await;
        Ok(())
    })
}

/// The requests so far, one JSON object a line.
fn requests(simulator: &Simulator) -> String {
    let mut lines = String::new();
    for request in simulator.requests() {
        let line = serde_json::json!({
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "body": request.body,
            "status": request.status,
        });
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    lines
}

/// What a client that reads everything must have found.
fn expected(world: &World) -> serde_json::Value {
    let third = world.sprints().nth(2).map(|sprint| sprint.id);
    let in_third = |issue: &&simulator::model::Issue| {
        third.is_some_and(|id| world.sprints_of(issue).contains(&id))
    };
    serde_json::json!({
        "issues": world.issues().count(),
        "histories": world.issues().map(|issue| issue.histories.len()).sum::<usize>(),
        "items": world.issues().flat_map(|issue| &issue.histories).map(|history| history.items.len()).sum::<usize>(),
        "worklogs": world.issues().map(|issue| issue.worklogs.len()).sum::<usize>(),
        "projects": world.projects().len(),
        "project": world.projects().first().map(|project| &project.key),
        "users": world.site().users.len(),
        "statuses": world.site().statuses.len(),
        "boards": world.boards().len(),
        "sprint": third,
        "sprintIssues": world.issues().filter(in_third).count(),
        "sprintField": world.site().fields.sprint,
        "sprints": world.boards().first().map(|board| world.sprints_on(board).len()),
    })
}

fn settings(arguments: &Arguments) -> Settings {
    let mut settings = Settings {
        address: arguments.address,
        ..Settings::default()
    };
    settings.deployment = match arguments.deployment {
        Kind::Cloud => Deployment::Cloud,
        Kind::DataCenter => Deployment::DataCenter,
    };
    settings.latency = Duration::from_millis(arguments.latency_ms);
    settings.rate_limit = arguments.limit_every.map(|n| RateLimit::EveryNth {
        n,
        retry_after: Duration::from_secs(1),
    });
    settings.world.seed = arguments.seed;
    settings.world.years = arguments.years;
    settings.world.projects = arguments.projects;
    settings.world.issues_per_sprint = arguments.issues_per_sprint;
    settings.world.sprints_per_board = arguments.sprints_per_board;
    if let Some(now) = arguments.now {
        settings.world.now = now;
    }
    settings
}
