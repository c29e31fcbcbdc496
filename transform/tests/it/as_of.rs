//! A sprint at an instant is what a refresh at that instant published.

use warehouse::QueryOptions;

use crate::history::{History, at};
use crate::incremental::{Event, World};

/// What these tests look at.
const MODELS: [&str; 1] = ["sprint_metrics"];

async fn rows(h: &History, sql: &str, as_of: Option<&str>) -> Vec<String> {
    let options = QueryOptions {
        as_of: as_of.map(str::to_string),
        ..QueryOptions::default()
    };
    let stream = h.lake.query().run(sql, &options).await.unwrap();
    let rows = stream.into_rows().await.unwrap().into_iter();
    let mut rows: Vec<String> = rows
        .map(|row| serde_json::Value::Object(row).to_string())
        .collect();
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sprint_at_any_instant_is_what_a_refresh_published_then() {
    let (mut h, mut world) = (History::of(&MODELS).await, World::new());
    let create = |points, sprint, parent| Event::Create {
        points,
        sprint,
        parent,
    };
    let steps: Vec<Vec<Event>> = vec![
        (0..8)
            .map(|number| create(number, number % 2 == 0, None))
            .collect(),
        vec![
            create(3, false, Some(0)),
            Event::Status { issue: 0, to: 1 },
            Event::Status { issue: 2, to: 2 },
            Event::Sprint { issue: 1, to: 1 },
        ],
        vec![
            Event::Points { issue: 0, to: 7 },
            Event::Points { issue: 3, to: 2 },
            Event::Sprint { issue: 4, to: 2 },
            Event::Status { issue: 0, to: 2 },
        ],
        vec![Event::Start, Event::Sprint { issue: 5, to: 2 }],
        vec![
            Event::Close,
            Event::Status { issue: 2, to: 0 },
            Event::Sprint { issue: 6, to: 2 },
            Event::Points { issue: 6, to: 5 },
        ],
        vec![Event::Close, Event::Status { issue: 5, to: 2 }],
    ];
    let mut moments = Vec::new();
    for step in &steps {
        for event in step {
            world.happen(event, &mut h);
        }
        let release = h.refresh().await.unwrap().release.unwrap();
        moments.push((release, at(world.day)));
    }
    let mut compared = 0;
    // Every table for half of the instants: each call plans all models anew.
    for (number, (release, instant)) in moments.iter().enumerate().skip(1) {
        for sprint in [[11, 12][number / 2 % 2]] {
            for table in [["sprint_metrics", "sprint_scope"][number % 2]] {
                let published = format!("select * from marts.{table} where sprint_id = {sprint}");
                let published = rows(&h, &published, Some(release)).await;
                let call = format!("select f.* from {table}_at({sprint}, '{instant}') as f");
                assert_eq!(
                    rows(&h, &call, None).await,
                    published,
                    "{table} of sprint {sprint} at {instant}, {release}"
                );
                compared += published.len();
            }
        }
    }
    assert!(compared > 5, "{compared} rows compared");
    // Before it was started, a sprint has no figures.
    let early = "select * from sprint_metrics_at(11, '2026-01-02T00:00:00Z')";
    assert!(rows(&h, early, None).await.is_empty());
    let options = QueryOptions::default();
    let wrong = h
        .lake
        .query()
        .run("select * from sprint_scope_at(1)", &options);
    let error = wrong.await.unwrap_err();
    assert_eq!(error.sqlstate(), "42883");
    assert!(error.to_string().contains("takes 2 values"), "{error}");
}
