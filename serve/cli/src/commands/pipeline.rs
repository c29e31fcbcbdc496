//! `pipeline list|show|enable|disable`, `run`, `schedule`: the jobs, one of them now, and what is due next.

use chrono::{DateTime, SecondsFormat, Utc};
use pipelines::{Definition, Definitions, Ended, Jobs, Reporter, Schedule, StepKind};
use serde_json::{Value, json};
use transform::Project;
use warehouse::Warehouse;
use warehouse::meta::PipelineRow;

use crate::Invocation;
use crate::exit::{Outcome, UsageError};
use crate::output::clean;
use crate::progress::Terminal;
use crate::settings::Settings;

/// Most ticks that `schedule` shows.
const MOST_TICKS: usize = 1000;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// All pipelines: when they are due, how they went last
    List,
    /// One pipeline: its steps, what happens when it fails, its latest runs
    Show {
        /// Its name
        pipeline: String,
    },
    /// Let a pipeline run when it is due
    Enable {
        /// Its name
        pipeline: String,
    },
    /// Keep a pipeline from running by itself; `run` still runs it
    Disable {
        /// Its name
        pipeline: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArguments {
    /// Name of the pipeline
    pipeline: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ScheduleArguments {
    /// How many of the next ticks to show
    #[arg(long, default_value_t = 10, value_name = "N")]
    next: usize,
}

/// The definitions of these settings.
pub(crate) fn definitions(settings: &Settings) -> anyhow::Result<Definitions> {
    Ok(Definitions::load(settings.pipelines.folder())?)
}

/// The steps of these settings.
pub(crate) fn jobs(settings: &Settings, warehouse: &Warehouse) -> anyhow::Result<Jobs> {
    let connections = super::work::connections(settings, warehouse)?;
    Ok(Jobs::new(
        warehouse.clone(),
        connections,
        Project::embedded()?,
        super::maintain::options(settings),
    ))
}

pub(crate) async fn run(command: Command, invocation: Invocation) -> anyhow::Result<Outcome> {
    let (settings, warehouse) = super::open(&invocation).await?;
    let definitions = definitions(&settings)?;
    definitions.announce(warehouse.meta()).await?;
    match command {
        Command::List => list(&warehouse, &definitions, invocation.json).await?,
        Command::Show { pipeline } => {
            let definition = definitions.find(&pipeline)?;
            show(&warehouse, definition, invocation.json).await?;
        }
        Command::Enable { pipeline } => {
            switch(&warehouse, &definitions, &pipeline, true, invocation.json).await?;
        }
        Command::Disable { pipeline } => {
            switch(&warehouse, &definitions, &pipeline, false, invocation.json).await?;
        }
    }
    Ok(Outcome::Done)
}

/// `run PIPELINE`.
pub(crate) async fn run_once(
    arguments: RunArguments,
    invocation: Invocation,
) -> anyhow::Result<Outcome> {
    let (settings, warehouse) = super::open(&invocation).await?;
    let definitions = definitions(&settings)?;
    let definition = definitions.find(&arguments.pipeline)?;
    definitions.announce(warehouse.meta()).await?;
    let jobs = jobs(&settings, &warehouse)?;
    let progress = Terminal::new(invocation.json);
    let stop = super::serve::stop_signal();
    let meta = warehouse.meta();
    let alerts = super::alerts::alerts(&settings, &warehouse)?;
    let reporter = Reporter::new(warehouse.clone(), alerts.clone(), Vec::new());
    let running = pipelines::run_now(meta, definition, &jobs, &progress, Some(&reporter), stop);
    let (run_id, ended) = running.await?;
    // Tried once here; what can't be told now waits for a worker.
    alerts.deliver().await?;
    let steps = meta.steps_of_run(&run_id).await?;
    if invocation.json {
        let run = meta.run(&run_id).await?;
        super::print_json(&json!({"run": run, "steps": steps}))?;
    } else {
        for step in &steps {
            let step = &step.step;
            let seconds = (step.finished_at - step.started_at).num_milliseconds() as f64 / 1000.0;
            println!(
                "  {:<28} {:<10} {:>9} in {:>9} changed {seconds:>8.1} s  {}",
                clean(&step.step),
                step.status,
                step.rows_in,
                step.rows_out,
                clean(step.error.as_deref().unwrap_or_default())
            );
        }
    }
    match ended {
        Ended::Succeeded(None) => {
            if !invocation.json {
                println!("{} succeeded (run {run_id})", definition.name);
            }
            Ok(Outcome::Done)
        }
        Ended::Succeeded(Some(missing)) => Ok(Outcome::Partly(missing)),
        Ended::Failed(reason) => anyhow::bail!("{} failed: {reason}", definition.name),
        Ended::Cancelled(reason) => anyhow::bail!("{} was cancelled: {reason}", definition.name),
        Ended::HandedBack | Ended::Lost => anyhow::bail!(
            "another process works on run {run_id} of {}; `sprint-reports sql 'select * from system.runs'` \
             tells how it ends",
            definition.name
        ),
    }
}

/// `schedule`.
pub(crate) async fn schedule(
    arguments: ScheduleArguments,
    invocation: Invocation,
) -> anyhow::Result<Outcome> {
    if !(1..=MOST_TICKS).contains(&arguments.next) {
        return Err(UsageError(format!("--next: write 1 to {MOST_TICKS}")).into());
    }
    let (settings, warehouse) = super::open(&invocation).await?;
    let definitions = definitions(&settings)?;
    let rows = warehouse.meta().pipelines().await?;
    let now = Utc::now();
    let mut ticks: Vec<(DateTime<Utc>, &Definition, &Schedule)> = Vec::new();
    for one in definitions.iter() {
        if let Some(schedule) = one.schedule.as_ref().filter(|_| is_enabled(one, &rows)) {
            let mut after = now;
            for _ in 0..arguments.next {
                let Some(tick) = schedule.next(after) else {
                    break;
                };
                ticks.push((tick, one, schedule));
                after = tick;
            }
        }
    }
    ticks.sort_by_key(|(at, one, _)| (*at, one.name.clone()));
    ticks.truncate(arguments.next);
    if invocation.json {
        let rows: Vec<Value> = ticks
            .iter()
            .map(|(at, one, schedule)| {
                json!({"due_at": at, "pipeline": one.name, "local": local(*at, schedule), "time_zone": schedule.zone().name()})
            })
            .collect();
        super::print_json(&rows)?;
        return Ok(Outcome::Done);
    }
    if ticks.is_empty() {
        println!("nothing is due: no enabled pipeline has a schedule");
    }
    for (at, one, schedule) in ticks {
        println!(
            "{}  {:<20} {} {}",
            at.to_rfc3339_opts(SecondsFormat::Secs, true),
            one.name,
            local(at, schedule),
            schedule.zone().name()
        );
    }
    Ok(Outcome::Done)
}

fn local(at: DateTime<Utc>, schedule: &Schedule) -> String {
    let local = at.with_timezone(&schedule.zone());
    local.format("%a %Y-%m-%d %H:%M").to_string()
}

fn is_enabled(definition: &Definition, rows: &[PipelineRow]) -> bool {
    let row = rows.iter().find(|row| row.name == definition.name);
    row.and_then(|row| row.enabled)
        .unwrap_or(definition.enabled)
}

fn next(definition: &Definition, rows: &[PipelineRow]) -> Option<DateTime<Utc>> {
    let schedule = definition.schedule.as_ref()?;
    is_enabled(definition, rows).then(|| schedule.next(Utc::now()))?
}

async fn list(warehouse: &Warehouse, definitions: &Definitions, json: bool) -> anyhow::Result<()> {
    let meta = warehouse.meta();
    let rows = meta.pipelines().await?;
    let mut shown = Vec::new();
    for one in definitions.iter() {
        let last = meta.runs_of(&one.name, 1).await?.into_iter().next();
        shown.push((one, is_enabled(one, &rows), next(one, &rows), last));
    }
    if json {
        let rows: Vec<Value> = shown
            .iter()
            .map(|(one, enabled, next, last)| {
                let mut row = one.to_json();
                row["name"] = json!(one.name);
                row["enabled"] = json!(enabled);
                row["next_due_at"] = json!(next);
                row["last_run"] = json!(last);
                row
            })
            .collect();
        return super::print_json(&rows);
    }
    println!(
        "{:<20} {:<9} {:<18} {:<22} last run",
        "pipeline", "enabled", "schedule", "next"
    );
    for (one, enabled, next, last) in shown {
        let last = last.map_or_else(
            || "never".to_string(),
            |run| format!("{} {}", run.status, seconds(run.started_at)),
        );
        println!(
            "{:<20} {:<9} {:<18} {:<22} {last}",
            one.name,
            if enabled { "yes" } else { "no" },
            one.schedule.as_ref().map_or("by hand", Schedule::text),
            next.map(seconds).unwrap_or_default(),
        );
    }
    Ok(())
}

fn seconds(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

async fn show(warehouse: &Warehouse, definition: &Definition, json: bool) -> anyhow::Result<()> {
    let meta = warehouse.meta();
    let rows = meta.pipelines().await?;
    let runs = meta.runs_of(&definition.name, 10).await?;
    let open = meta.open_jobs(Some(&definition.name)).await?;
    let enabled = is_enabled(definition, &rows);
    if json {
        let mut value = definition.to_json();
        value["name"] = json!(definition.name);
        value["enabled"] = json!(enabled);
        value["next_due_at"] = json!(next(definition, &rows));
        value["runs"] = json!(runs);
        value["under_way"] = json!(open);
        return super::print_json(&value);
    }
    println!("{}: {}", definition.name, definition.description);
    println!("  file      {}", definition.file);
    println!("  owner     {}", definition.owner);
    println!("  enabled   {}", if enabled { "yes" } else { "no" });
    match &definition.schedule {
        Some(schedule) => println!(
            "  schedule  {} ({})",
            schedule.text(),
            schedule.zone().name()
        ),
        None => println!("  schedule  by hand"),
    }
    if let Some(next) = next(definition, &rows) {
        println!("  next      {}", seconds(next));
    }
    println!(
        "  overlap   {}, catch up {}, timeout {} min",
        word(&definition.overlap),
        word(&definition.catch_up),
        definition.timeout.as_secs() / 60
    );
    for step in &definition.steps {
        let what = match &step.kind {
            StepKind::Sync { sweep: true, .. } => "look for what was deleted, and read what is new",
            StepKind::Sync { .. } => "read what is new",
            StepKind::Refresh { .. } => "compute what changed, test it, publish it",
            StepKind::Maintain {} => {
                "compact, remove what retention does not keep, verify the rest"
            }
        };
        println!("  step      {:<12} {what}", step.name);
    }
    for job in &open {
        println!(
            "  {:<9} {} {}",
            job.state,
            job.run_id,
            clean(job.progress.as_deref().unwrap_or_default())
        );
    }
    for run in &runs {
        println!(
            "  run       {} {:<10} {} {}",
            seconds(run.started_at),
            run.status,
            run.run_id,
            clean(run.reason.as_deref().unwrap_or_default())
        );
    }
    Ok(())
}

/// How a choice is written in a definition.
fn word(choice: &impl serde::Serialize) -> String {
    let value = json!(choice);
    value.as_str().unwrap_or_default().to_string()
}

async fn switch(
    warehouse: &Warehouse,
    definitions: &Definitions,
    name: &str,
    on: bool,
    json: bool,
) -> anyhow::Result<()> {
    let definition = definitions.find(name)?;
    warehouse.meta().enable_pipeline(name, Some(on)).await?;
    if json {
        return super::print_json(&json!({"name": name, "enabled": on}));
    }
    let rows = warehouse.meta().pipelines().await?;
    match next(definition, &rows) {
        Some(next) => println!("{name} is enabled; due next at {}", seconds(next)),
        None if on => println!("{name} is enabled; it has no schedule and runs by hand"),
        None => println!("{name} is disabled; `sprint-reports run {name}` still runs it"),
    }
    Ok(())
}
