use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta, Utc};
use warehouse::meta::{Accepted, FinishedEvent, InboxLimits, NewEvent};
use warehouse::{Error, MetaDb};

use super::Backend;

super::over_both!(
    one_holds_it_and_the_other_is_told_who,
    of_many_one_holds_it_at_a_time,
    what_a_silent_or_dead_holder_had_one_takes_over,
    events_are_worked_off_once_by_workers_that_take_turns,
);

async fn take(meta: &MetaDb, name: &str, wait: Duration) -> Result<warehouse::meta::Lease, Error> {
    meta.lease(name, "sync", wait).await
}

async fn one_holds_it_and_the_other_is_told_who(backend: Backend) {
    let (meta, other) = (backend.open().await, backend.open().await);
    let lease = take(&meta, "a", Duration::ZERO).await.unwrap();
    let error = take(&other, "a", Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, Error::Held { .. }), "{error}");
    let own = format!(":{}", std::process::id());
    assert!(error.to_string().contains(&own), "{error}");
    drop(take(&other, "b", Duration::ZERO).await.unwrap());
    let waiting = tokio::spawn(async move { take(&other, "a", Duration::from_secs(20)).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    lease.release().await.unwrap();
    // Dropping gives it back too.
    drop(waiting.await.unwrap().unwrap());
    let again = take(&meta, "a", Duration::from_secs(5)).await.unwrap();
    again.release().await.unwrap();
}

async fn of_many_one_holds_it_at_a_time(backend: Backend) {
    let inside = Arc::new(AtomicUsize::new(0));
    let mut workers = Vec::new();
    for _ in 0..4 {
        let (meta, inside) = (backend.open().await, Arc::clone(&inside));
        workers.push(tokio::spawn(async move {
            for _ in 0..3 {
                let lease = take(&meta, "a", Duration::from_secs(60)).await.unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two hold it");
                tokio::time::sleep(Duration::from_millis(5)).await;
                assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1, "two hold it");
                lease.release().await.unwrap();
            }
        }));
    }
    for worker in workers {
        worker.await.unwrap();
    }
}

/// A lease as another process would have written it.
async fn write(backend: &Backend, process: &str, life: TimeDelta) {
    let text = |life: TimeDelta| (Utc::now() + life).to_rfc3339_opts(SecondsFormat::Micros, true);
    let (taken, expires) = (text(-TimeDelta::days(2)), text(life));
    backend.raw("delete from leases").await;
    backend
        .raw(&format!(
            "insert into leases values ('a', 'theirs', 'sync', '{process}', '{taken}', '{expires}')"
        ))
        .await;
}

async fn what_a_silent_or_dead_holder_had_one_takes_over(backend: Backend) {
    let day = TimeDelta::days(1);
    let mut metas = Vec::new();
    for _ in 0..4 {
        metas.push(backend.open().await);
    }
    let own = take(&metas[0], "b", Duration::ZERO).await.unwrap();
    let rows = backend.raw("select process from leases").await;
    let process: String = sqlx::Row::get(&rows[0], "process");
    own.release().await.unwrap();
    let (host, _) = process.rsplit_once(':').unwrap();
    let (machine, _) = host.rsplit_once('/').unwrap();
    let twin = format!("{machine}/00000000:1");
    // Alive until it expires, also when the other machine has the name of this one; a file is one
    // machine's.
    for (process, life, is_taken) in [
        ("elsewhere/1:1".to_string(), day, false),
        ("elsewhere/1:1".to_string(), -day, true),
        (format!("{host}:99999999"), day, true),
        (process.clone(), day, true),
        (twin, day, !backend.is_postgres()),
    ] {
        write(&backend, &process, life).await;
        let attempts: Vec<_> = metas
            .iter()
            .map(|meta| {
                let meta = meta.clone();
                tokio::spawn(async move { take(&meta, "a", Duration::ZERO).await })
            })
            .collect();
        let mut taken = Vec::new();
        for attempt in attempts {
            taken.extend(attempt.await.unwrap().ok());
        }
        assert_eq!(taken.len(), usize::from(is_taken), "{process} for {life}");
        for lease in taken {
            lease.release().await.unwrap();
        }
    }
}

/// Every worker takes the lease of the connection, and then what is due, as `ingest` does.
async fn events_are_worked_off_once_by_workers_that_take_turns(backend: Backend) {
    let meta = backend.open().await;
    for number in 0..30 {
        let event = NewEvent {
            connection: "acme".into(),
            identifier: number.to_string(),
            retry: None,
            flow: None,
            body: b"x".to_vec(),
        };
        let accepted = meta.accept_event(&event, InboxLimits::default()).await;
        assert_eq!(accepted.unwrap(), Accepted::Stored);
    }
    let mut workers = Vec::new();
    for _ in 0..4 {
        let meta = backend.open().await;
        workers.push(tokio::spawn(async move {
            let mut worked = Vec::new();
            loop {
                let lease = take(&meta, "acme", Duration::from_secs(60)).await.unwrap();
                let due = meta.due_events("acme", 4, 1 << 20).await.unwrap();
                let finished: Vec<_> = due
                    .iter()
                    .map(|event| FinishedEvent {
                        event_id: event.event_id,
                        kind: None,
                        reason: None,
                        refused_by: None,
                    })
                    .collect();
                meta.finish_events(&finished).await.unwrap();
                lease.release().await.unwrap();
                if due.is_empty() {
                    return worked;
                }
                worked.extend(due.into_iter().map(|event| event.identifier));
            }
        }));
    }
    let mut times = BTreeMap::new();
    for worker in workers {
        for event in worker.await.unwrap() {
            *times.entry(event).or_insert(0) += 1;
        }
    }
    assert_eq!(times.len(), 30);
    assert!(times.values().all(|times| *times == 1), "{times:?}");
}
