//! A year of an hourly schedule, told in fewer words.

use std::path::Path;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use schemas::{Row, TableName};
use serde_json::json;
use warehouse::maintenance::{MaintainOptions, Retention, maintain};
use warehouse::{NewRelease, TableState, Warehouse};

use crate::{Silent, answer, commit, files, open, publish_at, row};

fn table(name: &str) -> TableName {
    TableName::new("jira", name)
}

/// What there is at the end of a day.
#[derive(Debug, Clone, Copy)]
struct Size {
    live: usize,
    data: usize,
    log: usize,
    log_kib: u64,
    releases: usize,
}

/// A lake whose files and releases bear the instants of a simulated clock.
struct Simulated {
    folder: tempfile::TempDir,
    lake: Warehouse,
    began: SystemTime,
    /// Rows of the changelog at each release.
    rows: Vec<i64>,
    histories: i64,
    /// Somebody who opened the tables at the beginning and does not look at them until the end.
    bystander: Warehouse,
}

impl Simulated {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = open(&folder).await;
        let bystander = open(&folder).await;
        Self {
            bystander,
            folder,
            lake,
            began: SystemTime::now() - Duration::from_secs(1),
            rows: Vec::new(),
            histories: 0,
        }
    }

    /// A sync and a refresh: what changed is appended and merged, and a release is published.
    async fn hour(&mut self, now: DateTime<Utc>) {
        let tables = self.lake.tables();
        let hour = self.rows.len() as i64;
        let items: Vec<Row> = (0..4)
            .map(|n| {
                row(json!({
                    "connection": "acme", "history_id": self.histories + n, "ordinal": 0,
                    "issue_id": (hour * 7 + n * 13) % 500, "changed_at": now.to_rfc3339(),
                    "field": "status", "field_id": "status",
                }))
            })
            .collect();
        self.histories += 4;
        let marks = commit(&[("high", hour)]);
        tables
            .append_new(&table("changelog_items"), items, &marks)
            .await
            .unwrap();
        let issue = |id: i64| {
            row(json!({
                "connection": "acme", "issue_id": id, "issue_key": format!("A-{id}"),
                "summary": format!("at {now}"), "created_at": "2020-01-01T00:00:00Z",
                "updated_at": now.to_rfc3339(),
            }))
        };
        // A new one, and one of before.
        let issues = vec![issue(hour), issue(hour * 3 / 4)];
        tables
            .upsert(&table("issues"), issues, &marks)
            .await
            .unwrap();
        let mut content = NewRelease::default();
        for name in ["changelog_items", "issues"] {
            let version = tables.version(&table(name)).await.unwrap().unwrap();
            content.tables.insert(table(name), TableState { version });
        }
        self.lake
            .releases()
            .publish(content, "run", None)
            .await
            .unwrap();
        self.rows.push(self.histories);
        publish_at(&self.folder, self.rows.len() as u64, now);
        self.age(now);
    }

    async fn newest_rows_of_bystander(&self) {
        let tables = self.bystander.tables();
        let rows = tables.rows(&table("changelog_items"), None).await.unwrap();
        assert_eq!(rows.len() as i64, self.histories);
        let high = tables.mark(&table("issues"), "high").await.unwrap();
        assert_eq!(high, Some(self.rows.len() as i64 - 1));
    }

    /// Files written since bear the instant of the simulated clock.
    fn age(&self, now: DateTime<Utc>) {
        for path in files(&self.folder.path().join("lake")) {
            let file = std::fs::File::options().write(true).open(path).unwrap();
            if file.metadata().unwrap().modified().unwrap() > self.began {
                file.set_modified(now.into()).unwrap();
            }
        }
    }

    async fn maintain(&self, now: DateTime<Utc>, days: u32, months: u32) {
        let options = MaintainOptions {
            retention: Retention {
                keep_releases_days: days,
                keep_releases_months: months,
                ..Retention::default()
            },
            now: Some(now),
            ..MaintainOptions::default()
        };
        let report = maintain(&self.lake, &options, &Silent).await.unwrap();
        assert_eq!(report.problems, []);
        self.age(now);
    }

    async fn size(&self) -> Size {
        let of = |name: &str| self.folder.path().join("lake/tables/jira").join(name);
        let all: Vec<_> = ["changelog_items", "issues"]
            .map(of)
            .iter()
            .flat_map(|of| files(of))
            .collect();
        let is_log = |path: &&std::path::PathBuf| {
            path.components()
                .any(|part| part.as_os_str() == "_delta_log")
        };
        let log: Vec<_> = all.iter().filter(is_log).collect();
        let bytes = |path: &Path| std::fs::metadata(path).unwrap().len();
        let mut live = 0;
        for name in ["changelog_items", "issues"] {
            live += self.lake.tables().file_count(&table(name)).await.unwrap();
        }
        Size {
            live,
            data: all.len() - log.len(),
            log: log.len(),
            log_kib: log.iter().map(|path| bytes(path)).sum::<u64>() >> 10,
            releases: self.lake.releases().list().await.unwrap().len(),
        }
    }
}

/// Days of so many hours each, with maintenance every day or without; sizes at the end of each day.
async fn simulate(days: i64, hours: i64, keep: Option<(u32, u32)>) -> (Simulated, Vec<Size>) {
    let began = Utc::now() - TimeDelta::days(days + 1);
    let mut simulated = Simulated::new().await;
    let mut sizes = Vec::new();
    for day in 0..days {
        for hour in 0..hours {
            let at = began + TimeDelta::days(day) + TimeDelta::minutes(hour * 24 * 60 / hours);
            simulated.hour(at).await;
            if day + hour == 0 {
                simulated.newest_rows_of_bystander().await;
            }
        }
        if let Some((keep_days, keep_months)) = keep {
            let night = began + TimeDelta::days(day + 1) - TimeDelta::minutes(1);
            simulated.maintain(night, keep_days, keep_months).await;
        }
        sizes.push(simulated.size().await);
    }
    (simulated, sizes)
}

fn most(sizes: &[Size], of: fn(&Size) -> usize) -> usize {
    sizes.iter().map(of).max().unwrap()
}

/// What is kept answers as it did; what grows no more has stopped growing well before the end.
async fn is_bounded(simulated: &Simulated, sizes: &[Size], settled: usize) {
    let half = settled + (sizes.len() - settled) / 2;
    for (what, of) in [
        (
            "live files",
            (|size: &Size| size.live) as fn(&Size) -> usize,
        ),
        ("data files", |size| size.data),
        ("log files", |size| size.log),
        ("log size", |size| size.log_kib as usize),
        ("releases", |size| size.releases),
    ] {
        let (earlier, later) = (most(&sizes[settled..half], of), most(&sizes[half..], of));
        assert!(
            later * 10 <= earlier * 14,
            "{what} grow: {earlier} at most, later {later}"
        );
    }
    simulated.newest_rows_of_bystander().await;
    for release in simulated.lake.releases().list().await.unwrap() {
        let count = "select count(*) as n from jira.changelog_items";
        let found = answer(&simulated.lake, count, &release.release_id)
            .await
            .unwrap();
        let expected = simulated.rows[release.number as usize - 1];
        assert_eq!(found[0]["n"], expected, "{}", release.release_id);
    }
}

fn print(what: &str, sizes: &[Size]) {
    println!("{what}");
    for (day, size) in sizes.iter().enumerate() {
        if (day + 1) % (sizes.len() / 6).max(1) == 0 {
            println!("  after day {:>3}: {size:?}", day + 1);
        }
    }
}

/// Each day stands for a week or so: what is kept is kept for fewer days than by default.
#[tokio::test(flavor = "multi_thread")]
async fn tables_stay_in_shape_under_a_schedule_and_would_not_without_maintenance() {
    let (maintained, sizes) = simulate(20, 2, Some((2, 0))).await;
    print("with maintenance", &sizes);
    is_bounded(&maintained, &sizes, 6).await;
    let (_, without) = simulate(8, 2, None).await;
    print("without", &without);
    let (last, with) = (without.last().unwrap(), most(&sizes, |size| size.data));
    assert!(
        last.data > with,
        "after less than half of the time there are more: {last:?}"
    );
    let halfway = without[without.len() / 2];
    assert!(last.data * 10 >= halfway.data * 15 && last.log * 10 >= halfway.log * 15);
    assert!(last.live * 10 >= halfway.live * 15, "{halfway:?} {last:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a year of hours takes long; make soak runs it"]
async fn a_year_of_hours() {
    let (maintained, sizes) = simulate(365, 24, Some((30, 3))).await;
    print("with maintenance", &sizes);
    is_bounded(&maintained, &sizes, 125).await;
}
