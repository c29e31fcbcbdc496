//! A year by a clock of its own: restarts, kills, outages, and clocks that change. Every tick is accounted
//! for, none twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use pipelines::{Clock, Definitions, Worker, account};
use warehouse::MetaDb;
use warehouse::meta::RunRow;

use crate::{Stage, definition, open, worker};

const STEPS: &str = "[[steps]]\nrun = \"sync\"";

/// A clock that a test moves.
#[derive(Clone)]
struct Hand(Arc<AtomicI64>);

impl Hand {
    fn at(start: DateTime<Utc>) -> Self {
        Self(Arc::new(AtomicI64::new(start.timestamp())))
    }

    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0.load(Ordering::SeqCst), 0).unwrap()
    }

    fn advance(&self, time: TimeDelta) {
        self.0.fetch_add(time.num_seconds(), Ordering::SeqCst);
    }

    fn clock(&self) -> Clock {
        let hand = self.clone();
        Clock::of(move || hand.now())
    }
}

/// Numbers that are the same in each run of the test.
struct Dice(u64);

impl Dice {
    fn one_in(&mut self, n: u64) -> bool {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).is_multiple_of(n)
    }
}

async fn finish_all(worker: &Worker, dice: &mut Dice, kills: &mut usize) {
    while let Some(claim) = worker.claim().await.unwrap() {
        if dice.one_in(40) {
            // Its process was killed: nobody finishes it, until another takes it over.
            *kills += 1;
            continue;
        }
        worker.perform(&claim).await.unwrap();
    }
}

async fn runs(meta: &MetaDb, pipeline: &str) -> Vec<RunRow> {
    meta.runs_of(pipeline, 1_000_000).await.unwrap()
}

#[tokio::test]
async fn every_tick_of_a_year_is_accounted_for_once() {
    let (meta, _folder) = open().await;
    // Every hour only where there is time for it; the rules are the same.
    let often = match std::env::var_os("SPRINT_REPORTS_THOROUGH") {
        Some(_) => "5 * * * *",
        None => "5 */6 * * *",
    };
    let text = |schedule: &str, catch_up: &str| {
        format!(
            "schedule = \"{schedule}\"\ntime_zone = \"Europe/Berlin\"\ncatch_up = \"{catch_up}\"\n{STEPS}"
        )
    };
    let definitions = vec![
        definition("often", &text(often, "latest")),
        definition(
            "nightly",
            &format!("overlap = \"queue\"\n{}", text("30 2 * * *", "all")),
        ),
        definition("weekly", &text("0 4 * * sun", "none")),
    ];
    let stage = Stage::of([]);
    let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    let end = start + TimeDelta::days(365);
    let hand = Hand::at(start);
    let all = Definitions::of(definitions.clone());
    // Two processes; each may be away for a while, both as well.
    let started = || worker(&meta, definitions.clone(), &stage).with_clock(hand.clock());
    let mut workers = [Some(started()), Some(started())];
    workers[0].as_ref().unwrap().announce().await.unwrap();
    account(&meta, &all, hand.now()).await.unwrap();
    let mut dice = Dice(7);
    let (mut kills, mut outages) = (0, 0);
    while hand.now() < end {
        // A moment after the next tick, as a worker that looks every second does.
        let schedules = definitions.iter().flat_map(|one| &one.schedule);
        let next = schedules
            .filter_map(|schedule| schedule.next(hand.now()))
            .min();
        hand.advance(next.unwrap() - hand.now() + TimeDelta::seconds(1));
        for place in &mut workers {
            if dice.one_in(30) {
                *place = None;
            } else if place.is_none() && dice.one_in(6) {
                *place = Some(started());
            }
        }
        outages += usize::from(workers.iter().all(Option::is_none));
        // Both look at the same moment.
        let looks = workers
            .iter()
            .flatten()
            .map(|_| account(&meta, &all, hand.now()));
        for looked in futures::future::join_all(looks).await {
            looked.unwrap();
        }
        for worker in workers.iter().flatten() {
            finish_all(worker, &mut dice, &mut kills).await;
        }
    }
    // All that was killed is taken over in the end.
    let last = started();
    account(&meta, &all, hand.now()).await.unwrap();
    while !meta.open_jobs(None).await.unwrap().is_empty() {
        hand.advance(TimeDelta::minutes(2));
        while let Some(claim) = last.claim().await.unwrap() {
            last.perform(&claim).await.unwrap();
        }
    }
    println!("{kills} runs were killed, nobody was there at {outages} ticks");
    assert!(kills > 10 && outages > 10);
    let until = hand.now();
    let asked: BTreeMap<String, usize> =
        stage
            .asked()
            .into_iter()
            .fold(BTreeMap::new(), |mut counts, (run, _)| {
                *counts.entry(run).or_default() += 1;
                counts
            });
    for definition in &definitions {
        let schedule = definition.schedule.as_ref().unwrap();
        let due: BTreeSet<_> = schedule.ticks(start, until).into_iter().collect();
        let runs = runs(&meta, &definition.name).await;
        let told: Vec<_> = runs.iter().map(|run| run.scheduled_for.unwrap()).collect();
        let once: BTreeSet<_> = told.iter().copied().collect();
        assert_eq!(
            once.len(),
            told.len(),
            "{}: a tick is told twice",
            definition.name
        );
        // The very last may have come due while the rest was finished.
        let missing: Vec<_> = due.difference(&once).filter(|at| **at <= end).collect();
        assert!(missing.is_empty(), "{}: {missing:?}", definition.name);
        assert!(
            once.is_subset(&due),
            "{}: a run without a tick",
            definition.name
        );
        for run in &runs {
            match run.status.as_str() {
                "succeeded" => assert_eq!(asked.get(&run.run_id), Some(&1), "{run:?}"),
                "skipped" => assert!(
                    run.reason.is_some() && !asked.contains_key(&run.run_id),
                    "{run:?}"
                ),
                other => panic!("{other}: {run:?}"),
            }
        }
        let skipped = runs.iter().filter(|run| run.status == "skipped").count();
        let caught_up = runs.iter().filter(|run| run.trigger == "catch-up").count();
        println!(
            "{}: {} ticks, {skipped} skipped, {caught_up} caught up",
            definition.name,
            told.len()
        );
        match definition.name.as_str() {
            // Nights are a day apart by the clock on the wall, also when clocks change.
            "nightly" => {
                let nights = due.iter().filter(|at| **at <= end).count();
                assert_eq!((nights, skipped), (365, 0));
            }
            "weekly" => assert_eq!(caught_up, 0),
            _ => assert!(caught_up > 0 && skipped > 0 && caught_up < told.len() / 10),
        }
    }
}

/// Both schedulers see the same tick at the same moment, again and again: one run each.
#[tokio::test]
async fn two_schedulers_make_one_run_of_a_tick() {
    let (meta, _folder) = open().await;
    let text = format!("schedule = \"*/5 * * * *\"\noverlap = \"queue\"\n{STEPS}");
    let definitions = vec![definition("often", &text)];
    let all = Arc::new(Definitions::of(definitions.clone()));
    let hand = Hand::at("2026-05-04T00:00:00Z".parse().unwrap());
    let stage = Stage::of([]);
    worker(&meta, definitions, &stage).announce().await.unwrap();
    account(&meta, &all, hand.now()).await.unwrap();
    let accounted = Arc::new(Mutex::new(0));
    for _ in 0..30 {
        hand.advance(TimeDelta::minutes(5));
        let looks = (0..4).map(|_| {
            let (meta, all, now, accounted) = (
                meta.clone(),
                Arc::clone(&all),
                hand.now(),
                Arc::clone(&accounted),
            );
            tokio::spawn(async move {
                let count = account(&meta, &all, now).await.unwrap();
                *accounted.lock().unwrap() += count;
            })
        });
        futures::future::join_all(looks).await;
    }
    assert_eq!(*accounted.lock().unwrap(), 30);
    let jobs = meta.open_jobs(Some("often")).await.unwrap();
    let ticks: BTreeSet<_> = jobs.iter().map(|job| job.scheduled_for.unwrap()).collect();
    assert_eq!((jobs.len(), ticks.len()), (30, 30));
}
