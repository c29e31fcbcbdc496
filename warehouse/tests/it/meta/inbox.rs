use chrono::{TimeDelta, Utc};
use warehouse::Warehouse;
use warehouse::meta::{Accepted, FinishedEvent, InboxEvent, InboxLimits, NewEvent};

use super::Backend;

super::over_both!(
    an_event_is_kept_once_and_worked_off_in_order,
    a_batch_is_bounded_by_number_and_bytes,
    a_full_inbox_takes_nothing_more_but_knows_what_it_has,
    what_an_old_reader_refused_a_newer_one_tries_again,
    of_refused_events_the_newest_are_kept,
    who_waits_for_an_event_is_woken,
    of_deliveries_of_one_event_at_the_same_time_one_is_kept,
    what_one_database_does_not_take_the_other_does_not_either,
);

fn event(connection: &str, identifier: &str, body: &str) -> NewEvent {
    NewEvent {
        connection: connection.into(),
        identifier: identifier.into(),
        retry: Some("1".into()),
        flow: Some("Primary".into()),
        body: body.into(),
    }
}

async fn accept(lake: &Warehouse, event: &NewEvent) -> Accepted {
    let most = InboxLimits::default();
    lake.meta().accept_event(event, most).await.unwrap()
}

async fn due(lake: &Warehouse) -> Vec<InboxEvent> {
    lake.meta().due_events("acme", 100, 1 << 20).await.unwrap()
}

fn finished(event: &InboxEvent, refused_by: Option<i64>) -> FinishedEvent {
    FinishedEvent {
        event_id: event.event_id,
        kind: Some("jira:issue_updated".into()),
        reason: refused_by.map(|_| "not JSON".into()),
        refused_by,
    }
}

async fn an_event_is_kept_once_and_worked_off_in_order(backend: Backend) {
    let lake = backend.warehouse().await;
    for identifier in ["a", "b", "c"] {
        let event = event("acme", identifier, identifier);
        assert_eq!(accept(&lake, &event).await, Accepted::Stored);
        assert_eq!(accept(&lake, &event).await, Accepted::Duplicate);
    }
    // An identifier is one connection's own.
    assert_eq!(
        accept(&lake, &event("other", "a", "x")).await,
        Accepted::Stored
    );
    // Another process finds them.
    let lake = backend.warehouse().await;
    let events = due(&lake).await;
    let names: Vec<_> = events
        .iter()
        .map(|event| event.identifier.as_str())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(events[0].body, b"a");
    let later = Utc::now() + TimeDelta::hours(1);
    let meta = lake.meta();
    meta.postpone_events(&[(events[0].event_id, later, "too early")])
        .await
        .unwrap();
    meta.finish_events(&[finished(&events[1], None)])
        .await
        .unwrap();
    assert_eq!(due(&lake).await, [events[2].clone()]);
    // Worked off, it is still known; its body is gone.
    assert_eq!(
        accept(&lake, &event("acme", "b", "b")).await,
        Accepted::Duplicate
    );
    let rows = meta.inbox(10).await.unwrap();
    let row = |name: &str| {
        let of =
            |row: &&warehouse::meta::InboxRow| row.connection == "acme" && row.identifier == name;
        rows.iter().find(of).unwrap().clone()
    };
    assert_eq!((row("a").attempts, row("a").state.as_str()), (1, "pending"));
    assert_eq!(
        row("a").due_at.map(|at| at.timestamp()),
        Some(later.timestamp())
    );
    assert_eq!(row("b").state, "done");
    assert_eq!(row("b").kind.as_deref(), Some("jira:issue_updated"));
    assert_eq!(row("b").flow.as_deref(), Some("Primary"));
    assert_eq!(
        meta.forget_events(Utc::now() - TimeDelta::hours(1))
            .await
            .unwrap(),
        0
    );
    assert_eq!(meta.forget_events(Utc::now()).await.unwrap(), 1);
    assert_eq!(
        accept(&lake, &event("acme", "b", "b")).await,
        Accepted::Stored
    );
}

async fn a_batch_is_bounded_by_number_and_bytes(backend: Backend) {
    let lake = backend.warehouse().await;
    for identifier in ["a", "b", "c"] {
        accept(&lake, &event("acme", identifier, "0123456789")).await;
    }
    let count = async |events: u32, bytes: u64| {
        lake.meta()
            .due_events("acme", events, bytes)
            .await
            .unwrap()
            .len()
    };
    assert_eq!(count(2, 1000).await, 2);
    assert_eq!(count(100, 11).await, 2);
    // One at least, however large.
    assert_eq!(count(100, 0).await, 1);
}

async fn a_full_inbox_takes_nothing_more_but_knows_what_it_has(backend: Backend) {
    let lake = backend.warehouse().await;
    let few = InboxLimits {
        events: 2,
        bytes: 25,
    };
    let accept = async |identifier: &str, body: &str| {
        let event = event("acme", identifier, body);
        lake.meta().accept_event(&event, few).await.unwrap()
    };
    assert_eq!(accept("a", "0123456789").await, Accepted::Stored);
    assert_eq!(accept("large", "0123456789012345").await, Accepted::Full);
    assert_eq!(accept("b", "0123456789").await, Accepted::Stored);
    assert_eq!(accept("c", "0").await, Accepted::Full);
    assert_eq!(accept("a", "0123456789").await, Accepted::Duplicate);
    // Another connection has room of its own.
    let other = event("other", "a", "x");
    assert_eq!(
        lake.meta().accept_event(&other, few).await.unwrap(),
        Accepted::Stored
    );
    let events = due(&lake).await;
    lake.meta()
        .finish_events(&[finished(&events[0], None)])
        .await
        .unwrap();
    assert_eq!(accept("c", "0").await, Accepted::Stored);
}

async fn what_an_old_reader_refused_a_newer_one_tries_again(backend: Backend) {
    let lake = backend.warehouse().await;
    accept(&lake, &event("acme", "a", "odd")).await;
    let events = due(&lake).await;
    let meta = lake.meta();
    meta.finish_events(&[finished(&events[0], Some(1))])
        .await
        .unwrap();
    assert!(due(&lake).await.is_empty());
    let counts = meta.inbox_counts().await.unwrap();
    assert_eq!((counts[0].state.as_str(), counts[0].events), ("refused", 1));
    assert_eq!(meta.reopen_events("acme", 1).await.unwrap(), 0);
    assert_eq!(meta.reopen_events("acme", 2).await.unwrap(), 1);
    assert_eq!(due(&lake).await[0].body, b"odd");
}

async fn of_refused_events_the_newest_are_kept(backend: Backend) {
    let lake = backend.warehouse().await;
    let meta = lake.meta();
    for identifier in ["a", "b", "c"] {
        accept(&lake, &event("acme", identifier, identifier)).await;
        let record = warehouse::meta::Quarantined {
            connection: "acme".into(),
            stream: "webhooks".into(),
            key: identifier.into(),
            run_id: "r".into(),
            error: "odd".into(),
            payload: identifier.into(),
            seen_at: Utc::now(),
            mapping_version: 1,
        };
        meta.quarantine(&record).await.unwrap();
    }
    for event in due(&lake).await {
        meta.finish_events(&[finished(&event, Some(1))])
            .await
            .unwrap();
    }
    assert_eq!(meta.trim_refused("acme", "webhooks", 3).await.unwrap(), 0);
    assert_eq!(meta.trim_refused("acme", "webhooks", 1).await.unwrap(), 2);
    let kept = meta.quarantined_keys("acme", "c").await.unwrap();
    assert_eq!(kept, [("webhooks".to_string(), "c".to_string(), true)]);
    assert!(!meta.quarantined_keys("acme", "x").await.unwrap()[0].2);
    assert_eq!(meta.inbox(10).await.unwrap().len(), 1);
}

async fn who_waits_for_an_event_is_woken(backend: Backend) {
    let lake = backend.warehouse().await;
    let waiting = tokio::spawn({
        let lake = lake.clone();
        async move {
            let begun = std::time::Instant::now();
            lake.meta()
                .event_arrived(std::time::Duration::from_secs(30))
                .await;
            begun.elapsed()
        }
    });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    accept(&lake, &event("acme", "a", "x")).await;
    assert!(waiting.await.unwrap().as_secs() < 10);
}

async fn of_deliveries_of_one_event_at_the_same_time_one_is_kept(backend: Backend) {
    let lakes = [backend.warehouse().await, backend.warehouse().await];
    let deliveries = (0..24).map(|number| {
        let lake = lakes[number % 2].clone();
        // Every event is delivered three times, in any order.
        let event = event("acme", &format!("e{}", number / 3), "x");
        tokio::spawn(async move { accept(&lake, &event).await })
    });
    let mut stored = 0;
    for delivery in deliveries.collect::<Vec<_>>() {
        match delivery.await.unwrap() {
            Accepted::Stored => stored += 1,
            Accepted::Duplicate => {}
            Accepted::Full => panic!("there is room"),
        }
    }
    assert_eq!(stored, 8);
    let events = due(&lakes[0]).await;
    assert_eq!(events.len(), 8);
    assert!(events.is_sorted_by_key(|event| event.event_id));
}

async fn what_one_database_does_not_take_the_other_does_not_either(backend: Backend) {
    let lake = backend.warehouse().await;
    let odd = event("acme", &"i".repeat(5000), "\0\u{1f980}");
    assert_eq!(accept(&lake, &odd).await, Accepted::Stored);
    assert_eq!(accept(&lake, &odd).await, Accepted::Duplicate);
    let other = event("acme", &format!("{}j", "i".repeat(4999)), "");
    assert_eq!(accept(&lake, &other).await, Accepted::Stored);
    let events = due(&lake).await;
    assert_eq!(events[0].body, odd.body);
    let end = FinishedEvent {
        event_id: events[0].event_id,
        kind: Some("a\0b".into()),
        reason: Some("c\0d".into()),
        refused_by: Some(1),
    };
    lake.meta().finish_events(&[end]).await.unwrap();
    let row = lake.meta().inbox(10).await.unwrap().remove(1);
    assert_eq!(row.kind.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(row.reason.as_deref(), Some("c\u{fffd}d"));
}
