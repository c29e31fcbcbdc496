//! Behaviour of the pipelines, with steps that only count what they are asked to do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test"
)]

mod alerts;
mod reporter;
mod runs;
mod year;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use pipelines::{
    Definition, Definitions, Done, Failure, StepContext, StepKind, Steps, Worker, WorkerOptions,
};
use warehouse::{Config, MetaDb, Warehouse};

/// What a step shall do when it is asked.
#[derive(Debug, Clone)]
enum Play {
    Succeed,
    Fail(Failure),
    /// Never end.
    Hang,
}

/// Steps that do as they are told, and succeed when nothing is left to be told.
#[derive(Default)]
struct Stage {
    plays: Mutex<VecDeque<Play>>,
    asked: Mutex<Vec<(String, String)>>,
}

impl Stage {
    fn of(plays: impl IntoIterator<Item = Play>) -> Arc<Self> {
        Arc::new(Self {
            plays: Mutex::new(plays.into_iter().collect()),
            asked: Mutex::default(),
        })
    }

    /// What was asked for, as (run, step).
    fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().unwrap().clone()
    }
}

impl Steps for Stage {
    fn perform<'a>(
        &'a self,
        step: &'a StepKind,
        context: StepContext<'a>,
    ) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            let name = serde_json::to_value(step).unwrap()["run"].to_string();
            let call = (context.run_id.to_string(), name.replace('"', ""));
            self.asked.lock().unwrap().push(call);
            let play = self.plays.lock().unwrap().pop_front();
            match play.unwrap_or(Play::Succeed) {
                Play::Succeed => Ok(Done::default()),
                Play::Fail(failure) => Err(failure),
                Play::Hang => std::future::pending().await,
            }
        })
    }
}

async fn open() -> (MetaDb, tempfile::TempDir) {
    let (warehouse, folder) = open_warehouse().await;
    (warehouse.meta().clone(), folder)
}

async fn open_warehouse() -> (Warehouse, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        store_url: format!("file:{}/lake", folder.path().display()),
        metadata_url: format!("sqlite:{}/meta.db", folder.path().display()),
        ..Config::default()
    };
    let warehouse = Warehouse::open(&config).await.unwrap();
    (warehouse, folder)
}

fn definition(name: &str, text: &str) -> Definition {
    let text = format!("description = \"a test\"\n{text}\n");
    Definition::parse(&format!("{name}.toml"), &text).unwrap()
}

const SYNC_AND_REFRESH: &str = "[[steps]]\nrun = \"sync\"\n[[steps]]\nrun = \"refresh\"";

fn worker(meta: &MetaDb, definitions: Vec<Definition>, stage: &Arc<Stage>) -> Worker {
    let steps: Arc<dyn Steps> = Arc::clone(stage) as Arc<dyn Steps>;
    let options = WorkerOptions {
        poll: std::time::Duration::from_millis(20),
        grace: std::time::Duration::ZERO,
        ..WorkerOptions::default()
    };
    Worker::new(meta.clone(), Definitions::of(definitions), steps, options)
}
