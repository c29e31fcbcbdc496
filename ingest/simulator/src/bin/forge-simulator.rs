//! Serves a simulated forge until it is stopped.

use std::io::Write;
use std::net::SocketAddr;

use chrono::{DateTime, SubsecRound, Utc};
use clap::{Parser, ValueEnum};
use simulator::forge::{Forge, ForgeKind, ForgeSettings, ForgeWorld};

/// A simulated GitHub or GitLab.
#[derive(Parser)]
struct Arguments {
    #[arg(value_enum)]
    kind: Kind,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    address: SocketAddr,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The instant at which the history ends; the start of the process by default.
    #[arg(long)]
    now: Option<DateTime<Utc>>,
    #[arg(long, default_value_t = 60)]
    days: u32,
    #[arg(long, default_value_t = 2)]
    repositories: u32,
    /// Entries of a page at most.
    #[arg(long, default_value_t = 100)]
    page: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Github,
    Gitlab,
}

fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let kind = match arguments.kind {
        Kind::Github => ForgeKind::GitHub,
        Kind::Gitlab => ForgeKind::GitLab,
    };
    let now = arguments.now.unwrap_or_else(|| Utc::now().trunc_subsecs(3));
    let settings = ForgeSettings {
        address: arguments.address,
        days: arguments.days,
        repositories: arguments.repositories,
        page: arguments.page,
        ..ForgeSettings::small(kind, arguments.seed, now)
    };
    tokio::runtime::Runtime::new()?.block_on(async {
        let token = settings.token.clone();
        let forge = Forge::start(settings).await?;
        let ready = serde_json::json!({
            "url": forge.url(),
            "token": token,
            "expected": forge.edit(|world| expected(world)),
        });
        let mut out = std::io::stdout();
        writeln!(out, "{ready}")?;
        out.flush()?;
        tokio::signal::ctrl_c().await
    })
}

/// What a client that reads everything must have found, by repository.
fn expected(world: &ForgeWorld) -> serde_json::Value {
    let repos = world.repos().iter().map(|repo| {
        let head = repo.head.as_deref().unwrap_or_default();
        let reviews: usize = repo.pulls.iter().map(|pull| pull.reviews.len()).sum();
        let statuses: usize = repo.deployments.iter().map(|one| one.statuses.len()).sum();
        let merged = repo.pulls.iter().filter(|pull| pull.merged.is_some());
        let told = serde_json::json!({
            "id": repo.id,
            "pulls": repo.pulls.len(),
            "merged": merged.count(),
            "reviews": reviews,
            "pullCommits": repo.pulls.iter().map(|pull| pull.commits.len()).sum::<usize>(),
            "commits": repo.reachable(head, None).len(),
            "deployments": repo.deployments.len(),
            "statuses": statuses,
        });
        (repo.full_name(), told)
    });
    serde_json::Value::Object(repos.collect())
}
