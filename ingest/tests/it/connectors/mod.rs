//! One suite that every kind of source passes: killed anywhere, limited, edited at random, replayed, and
//! sent a record that breaks its contract.

pub(crate) mod forge;
mod jira;

use std::time::Duration;

use chrono::TimeDelta;
use ingest::{Connection, Error, SyncOptions};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use simulator::{Fault, FaultKind, RateLimit};
use warehouse::fault;

use crate::simulated::{Happening, happening, only};
use crate::{FAULTS, Lake, options};

/// A source that the suite starts, changes and breaks.
trait SourceUnderTest: Sized {
    /// Where a sync can be killed: border of a step, and its occurrence.
    const BORDERS: &'static [&'static str];
    /// Where a replay can be killed.
    const REPLAY_BORDERS: &'static [&'static str];

    /// Starts it with a frozen clock.
    async fn start(seed: u64, limit: Option<RateLimit>) -> Self;
    fn connection(&self) -> Connection;
    fn advance(&self, by: TimeDelta);
    fn happen(&self, happening: &Happening);
    fn inject(&self, fault: Fault);
    /// Forgets the faults that have not happened yet.
    fn mend(&self);
    /// Requests so far.
    fn requests(&self) -> usize;
    /// A record, and how its answers are changed so that it can't be read.
    fn breakage(&self) -> Breakage;
    /// Changes the record, so that it is read again.
    fn touch(&self, breakage: &Breakage);
    /// Whether an incremental reading keeps a row that a full one does not show.
    fn keeps(&self, table: &str, row: &str) -> bool;
}

/// A record that can't be read.
struct Breakage {
    /// Requests that tell it.
    path: String,
    find: String,
    put: String,
    stream: &'static str,
    table: &'static str,
    column: &'static str,
    id: u64,
}

async fn sync(lake: &Lake, connection: &Connection) -> ingest::Result<ingest::SyncReport> {
    lake.sync_with(connection, small()).await
}

/// What was deleted is found by looking twice.
async fn sweep(lake: &Lake, connection: &Connection) {
    let swept = SyncOptions {
        sweep: true,
        ..small()
    };
    for _ in 0..2 {
        lake.sync_with(connection, swept.clone()).await.unwrap();
    }
}

fn small() -> SyncOptions {
    SyncOptions {
        batch_issues: 8,
        ..options()
    }
}

/// Live rows without the address of the site.
async fn rows(lake: &Lake, connection: &Connection) -> Vec<(String, Vec<String>)> {
    let plain = |row: String| row.replace(&connection.url, "");
    let rows = lake.live_rows().await.into_iter();
    rows.map(|(table, rows)| {
        let mut rows: Vec<_> = rows.into_iter().map(plain).collect();
        rows.sort();
        (table, rows)
    })
    .collect()
}

fn differences(
    found: &[(String, Vec<String>)],
    expected: &[(String, Vec<String>)],
    keeps: impl Fn(&str, &str) -> bool,
) -> Option<String> {
    found
        .iter()
        .zip(expected)
        .find_map(|((table, found), (_, expected))| {
            let (mut more, less) = (only(found, expected), only(expected, found));
            more.retain(|row| !keeps(table, row));
            let same = more.is_empty() && less.is_empty();
            (!same).then(|| format!("{table}: more {more:#?}, less {less:#?}"))
        })
}

async fn a_killed_run_is_continued_to_the_same_tables<S: SourceUnderTest>() {
    let _alone = FAULTS.write().await;
    let source = S::start(7, None).await;
    let acme = source.connection();
    let whole = Lake::unguarded().await;
    sync(&whole, &acme).await.unwrap();
    let expected = rows(&whole, &acme).await;
    for border in S::BORDERS
        .iter()
        .step_by(if crate::is_thorough() { 1 } else { 2 })
    {
        let lake = Lake::unguarded().await;
        fault::arm(&format!("fail@{border}")).unwrap();
        let killed = sync(&lake, &acme).await.map_err(|error| error.to_string());
        let error = killed.expect_err(border);
        assert!(error.contains("fault injected"), "{border}: {error}");
        sync(&lake, &acme).await.unwrap();
        let found = rows(&lake, &acme).await;
        assert_eq!(
            differences(&found, &expected, |_, _| false),
            None,
            "{border}"
        );
    }
    // A replay that was killed is finished by the next sync.
    for border in S::REPLAY_BORDERS {
        let replay = SyncOptions {
            replay: true,
            ..small()
        };
        fault::arm(&format!("fail@{border}")).unwrap();
        whole.sync_with(&acme, replay).await.unwrap_err();
        sync(&whole, &acme).await.unwrap();
        let found = rows(&whole, &acme).await;
        assert_eq!(
            differences(&found, &expected, |_, _| false),
            None,
            "{border}"
        );
    }
}

async fn a_killed_update_is_continued_to_the_same_tables<S: SourceUnderTest>() {
    let _alone = FAULTS.write().await;
    for border in S::BORDERS
        .iter()
        .step_by(if crate::is_thorough() { 1 } else { 6 })
    {
        let source = S::start(8, None).await;
        let acme = source.connection();
        let lake = Lake::unguarded().await;
        sync(&lake, &acme).await.unwrap();
        for which in 0..30 {
            source.happen(&Happening::of(which as u8 % 20, which, which * 7 + 1, 600));
        }
        let (point, _) = border.split_once(':').unwrap_or((border, ""));
        fault::arm(&format!("fail@{point}")).unwrap();
        // Not every border is met by an update.
        let killed = sync(&lake, &acme).await.is_err();
        sync(&lake, &acme).await.unwrap();
        fault::arm("fail@nowhere").unwrap();
        sweep(&lake, &acme).await;
        let fresh = Lake::unguarded().await;
        sync(&fresh, &acme).await.unwrap();
        let (found, expected) = (rows(&lake, &acme).await, rows(&fresh, &acme).await);
        let keeps = |table: &str, row: &str| source.keeps(table, row);
        assert_eq!(
            differences(&found, &expected, keeps),
            None,
            "{border} {killed}"
        );
    }
}

async fn a_limited_and_failing_source_gives_the_same_tables<S: SourceUnderTest>() {
    let calm = S::start(9, None).await;
    let limit = RateLimit::EveryNth {
        n: 5,
        retry_after: Duration::ZERO,
    };
    let rough = S::start(9, Some(limit)).await;
    for (nth, kind) in [
        (8, FaultKind::Html),
        (12, FaultKind::TruncatedBody),
        (17, FaultKind::Status(503)),
        (18, FaultKind::TooManyRequests { retry_after: None }),
        (22, FaultKind::EmptyBody),
        (27, FaultKind::DroppedConnection),
    ] {
        rough.inject(Fault::new("/", kind).nth(nth));
    }
    let (lake, expected) = (Lake::open().await, Lake::open().await);
    sync(&expected, &calm.connection()).await.unwrap();
    let report = sync(&lake, &rough.connection()).await.unwrap();
    assert!(report.retries >= 8, "{}", report.retries);
    let found = rows(&lake, &rough.connection()).await;
    let expected = rows(&expected, &calm.connection()).await;
    assert_eq!(differences(&found, &expected, |_, _| false), None);
}

async fn a_source_that_stays_busy_is_continued_later<S: SourceUnderTest>() {
    let source = S::start(9, None).await;
    let acme = source.connection();
    let (lake, whole) = (Lake::open().await, Lake::open().await);
    sync(&whole, &acme).await.unwrap();
    let long = Some(Duration::from_secs(2));
    let busy = FaultKind::TooManyRequests { retry_after: long };
    source.inject(Fault::new("/", busy).nth(15));
    let mut hasty = small();
    hasty.limits.longest_wait = Duration::from_secs(1);
    let error = lake.sync_with(&acme, hasty).await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    assert!(error.to_string().contains("asks to wait 2 s"), "{error}");
    sync(&lake, &acme).await.unwrap();
    assert_eq!(lake.rows().await, whole.rows().await);
}

async fn a_second_sync_reads_next_to_nothing<S: SourceUnderTest>() {
    let source = S::start(10, None).await;
    let acme = source.connection();
    let lake = Lake::open().await;
    sync(&lake, &acme).await.unwrap();
    let (versions, before) = (lake.versions().await, source.requests());
    let report = sync(&lake, &acme).await.unwrap();
    assert_eq!(report.changed(), 0, "{report:?}");
    assert_eq!(lake.versions().await, versions);
    let second = source.requests() - before;
    assert!(second * 2 <= before, "{second} after {before} requests");
}

async fn incremental_equals_full<S: SourceUnderTest>(
    seed: u64,
    rounds: &[Vec<Happening>],
) -> Result<(), TestCaseError> {
    let source = S::start(seed, None).await;
    let acme = source.connection();
    let (lake, fresh) = (Lake::unguarded().await, Lake::unguarded().await);
    sync(&lake, &acme).await.unwrap();
    for round in rounds {
        round.iter().for_each(|one| source.happen(one));
        sync(&lake, &acme).await.unwrap();
    }
    sweep(&lake, &acme).await;
    sync(&fresh, &acme).await.unwrap();
    let (found, expected) = (rows(&lake, &acme).await, rows(&fresh, &acme).await);
    let keeps = |table: &str, row: &str| source.keeps(table, row);
    let different = differences(&found, &expected, keeps);
    prop_assert!(different.is_none(), "{}", different.unwrap_or_default());
    // What was read tells the tables, the deleted rows included.
    let before = lake.rows().await;
    let replay = SyncOptions {
        replay: true,
        ..small()
    };
    lake.sync_with(&acme, replay).await.unwrap();
    let different = differences(&lake.rows().await, &before, |_, _| false);
    prop_assert!(
        different.is_none(),
        "replay: {}",
        different.unwrap_or_default()
    );
    Ok(())
}

fn incremental_reading_equals_a_full_one_and_a_replay<S: SourceUnderTest>(default_cases: u32) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _no_faults = runtime.block_on(FAULTS.read());
    let rounds = prop::collection::vec(prop::collection::vec(happening(), 1..12), 1..4);
    let outcome = crate::histories_to_try(default_cases, 20)
        .run(&(0..50u64, rounds), |(seed, rounds)| {
            runtime.block_on(incremental_equals_full::<S>(seed, &rounds))
        });
    outcome.unwrap();
}

async fn a_record_that_breaks_its_contract_is_set_aside_and_comes_back<S: SourceUnderTest>() {
    let source = S::start(11, None).await;
    let acme = source.connection();
    let broken = source.breakage();
    let (lake, whole) = (Lake::open().await, Lake::open().await);
    sync(&whole, &acme).await.unwrap();
    let rewrite = FaultKind::Rewrite {
        find: broken.find.clone(),
        put: broken.put.clone(),
    };
    source.inject(Fault::new(&broken.path, rewrite).times(10_000));
    let report = sync(&lake, &acme).await.unwrap();
    assert_eq!(
        report.stream(broken.stream).unwrap().quarantined,
        1,
        "{report:?}"
    );
    let own = async |lake: &Lake| {
        let table = broken.table.split_once('.').unwrap();
        let table = schemas::TableName::new(table.0, table.1);
        let rows = lake.warehouse.tables().rows(&table, None).await.unwrap();
        let has = |row: &schemas::Row| row[broken.column].as_u64() == Some(broken.id);
        (rows.iter().any(has), rows.len())
    };
    let (known, expected) = (own(&lake).await, own(&whole).await);
    assert_eq!(
        (known.0, known.1),
        (false, expected.1 - 1),
        "the others are read"
    );
    let kept = lake.warehouse.meta().quarantined(10).await.unwrap();
    assert!(
        kept.iter()
            .any(|one| one.stream == broken.stream && one.connection == acme.name)
    );
    // The source mends it.
    source.mend();
    source.touch(&broken);
    let report = sync(&lake, &acme).await.unwrap();
    assert_eq!(report.quarantined(), 0, "{report:?}");
    assert!(own(&lake).await.0);
    assert!(
        lake.warehouse
            .meta()
            .quarantined(10)
            .await
            .unwrap()
            .is_empty()
    );
}

macro_rules! suite {
    ($name:ident, $source:ty, $cases:literal) => {
        mod $name {
            #[tokio::test]
            async fn a_killed_run_is_continued_to_the_same_tables() {
                super::a_killed_run_is_continued_to_the_same_tables::<$source>().await;
            }

            #[tokio::test]
            async fn a_killed_update_is_continued_to_the_same_tables() {
                super::a_killed_update_is_continued_to_the_same_tables::<$source>().await;
            }

            #[tokio::test]
            async fn a_limited_and_failing_source_gives_the_same_tables() {
                super::a_limited_and_failing_source_gives_the_same_tables::<$source>().await;
            }

            #[tokio::test]
            async fn a_source_that_stays_busy_is_continued_later() {
                super::a_source_that_stays_busy_is_continued_later::<$source>().await;
            }

            #[tokio::test]
            async fn a_second_sync_reads_next_to_nothing() {
                super::a_second_sync_reads_next_to_nothing::<$source>().await;
            }

            #[test]
            fn incremental_reading_equals_a_full_one_and_a_replay() {
                super::incremental_reading_equals_a_full_one_and_a_replay::<$source>($cases);
            }

            #[tokio::test]
            async fn a_record_that_breaks_its_contract_is_set_aside_and_comes_back() {
                super::a_record_that_breaks_its_contract_is_set_aside_and_comes_back::<$source>()
                    .await;
            }
        }
    };
}

suite!(of_jira, crate::connectors::jira::Jira, 1);
suite!(
    of_github,
    crate::connectors::forge::Forge<{ crate::connectors::forge::GITHUB }>,
    1
);
suite!(
    of_gitlab,
    crate::connectors::forge::Forge<{ crate::connectors::forge::GITLAB }>,
    1
);
