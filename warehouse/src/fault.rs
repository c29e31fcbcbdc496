//! Faults on purpose: named points at the borders of steps where a test can kill the process or
//! make it fail. Nothing is armed unless [`arm`] was called; the points then cost one atomic read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::{Error, Result};

static ARMED: AtomicBool = AtomicBool::new(false);
static PLAN: Mutex<Option<Plan>> = Mutex::new(None);

#[derive(Debug)]
struct Plan {
    point: String,
    occurrence: u32,
    action: Action,
    seen: HashMap<String, u32>,
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Kill,
    Fail,
    DiskFull,
    Slow,
}

/// How long a slow point takes.
const SLOW: Duration = Duration::from_secs(3);

/// Arms one fault: `ACTION@POINT` or `ACTION@POINT:N` for its N-th occurrence, where the action is
/// `kill` (the process ends at once, as by kill -9), `fail`, `full` (no space left) or `slow` (three
/// seconds pass).
pub fn arm(text: &str) -> std::result::Result<(), String> {
    let usage = || format!("fault '{text}': write kill|fail|full|slow@POINT[:N]");
    let (action, rest) = text.split_once('@').ok_or_else(usage)?;
    let action = match action {
        "kill" => Action::Kill,
        "fail" => Action::Fail,
        "full" => Action::DiskFull,
        "slow" => Action::Slow,
        _ => return Err(usage()),
    };
    let (point, occurrence) = match rest.split_once(':') {
        Some((point, n)) => (point, n.parse().map_err(|_| usage())?),
        None => (rest, 1),
    };
    let plan = Plan {
        point: point.to_string(),
        occurrence,
        action,
        seen: HashMap::new(),
    };
    *PLAN.lock().unwrap_or_else(PoisonError::into_inner) = Some(plan);
    ARMED.store(true, Ordering::Release);
    Ok(())
}

/// A border of a step; does nothing unless a test armed it.
pub fn point(name: &str) -> Result<()> {
    if !ARMED.load(Ordering::Acquire) {
        return Ok(());
    }
    let mut guard = PLAN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(plan) = guard.as_mut() else {
        return Ok(());
    };
    let seen = plan.seen.entry(name.to_string()).or_insert(0);
    *seen += 1;
    if plan.point != name || *seen != plan.occurrence {
        return Ok(());
    }
    let action = plan.action;
    match action {
        Action::Slow => {
            drop(guard);
            std::thread::sleep(SLOW);
            Ok(())
        }
        Action::Kill => std::process::abort(),
        Action::Fail => Err(Error::Injected(name.to_string())),
        Action::DiskFull => Err(Error::DiskFull {
            action: format!("passing {name}"),
        }),
    }
}
