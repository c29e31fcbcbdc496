//! Compaction, retention of releases, vacuum, verification.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use schemas::{Row, TableName};
use serde_json::json;
use warehouse::maintenance::{MaintainOptions, Report, Retention, connection_lease, maintain};
use warehouse::{Changes, Error, NewRelease, TableState, Warehouse, batch_to_rows};

use crate::{Silent, answer, commit, files, open, publish_at, row};

fn items() -> TableName {
    TableName::new("jira", "changelog_items")
}

fn boards() -> TableName {
    TableName::new("jira", "boards")
}

fn item(history: i64) -> Row {
    row(json!({
        "connection": "acme", "history_id": history, "ordinal": 0, "issue_id": history % 7,
        "changed_at": "2026-01-01T00:00:00Z", "field": "status", "field_id": "status",
    }))
}

fn board(id: i64, name: &str) -> Row {
    row(json!({"connection": "acme", "board_id": id, "name": name}))
}

/// Keeps the current release only, and gives no grace.
fn nothing() -> MaintainOptions {
    MaintainOptions {
        retention: Retention {
            keep_releases_days: 0,
            keep_releases_months: 0,
            grace: Duration::ZERO,
            ..Retention::default()
        },
        ..MaintainOptions::default()
    }
}

async fn run(lake: &Warehouse, options: &MaintainOptions) -> Report {
    maintain(lake, options, &Silent).await.unwrap()
}

async fn publish(lake: &Warehouse, tables: &[TableName]) -> String {
    let mut content = NewRelease::default();
    for table in tables {
        let version = lake.tables().version(table).await.unwrap().unwrap();
        content.tables.insert(table.clone(), TableState { version });
    }
    let release = lake.releases().publish(content, "run", None).await;
    release.unwrap().release_id
}

const BOARDS: &str = "select board_id, name from jira.boards order by board_id";

/// Six releases, each with another name of board 1 and one more board.
async fn six(folder: &tempfile::TempDir) -> (Warehouse, Vec<Vec<Row>>) {
    let lake = open(folder).await;
    let days = ["01-10", "01-31", "02-10", "02-28", "03-01", "03-02"];
    let mut answers = Vec::new();
    for (number, day) in (1..).zip(days) {
        let rows = vec![board(1, day), board(number as i64 + 1, "more")];
        let tables = lake.tables();
        let marks = commit(&[("high", number as i64)]);
        tables.upsert(&boards(), rows, &marks).await.unwrap();
        let name = publish(&lake, &[boards()]).await;
        answers.push(answer(&lake, BOARDS, &name).await.unwrap());
        publish_at(
            folder,
            number,
            format!("2026-{day}T10:00:00Z").parse().unwrap(),
        );
    }
    (lake, answers)
}

fn march(text: &str) -> Option<DateTime<Utc>> {
    Some(format!("2026-03-{text}Z").parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_release_answers_as_before_and_a_removed_one_says_what_became_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, answers) = six(&folder).await;
    // Somebody whose handles are older than what is done now.
    let bystander = open(&folder).await;
    answer(&bystander, BOARDS, "r6").await.unwrap();
    let mut options = nothing();
    options.retention.keep_releases_days = 1;
    options.retention.keep_releases_months = 12;
    options.now = march("02T12:00:00");
    let before = files(&folder.path().join("lake")).len();
    let dry = MaintainOptions {
        dry_run: true,
        ..options.clone()
    };
    let would = run(&lake, &dry).await;
    assert_eq!(would.releases_removed, ["r3", "r1"]);
    assert_eq!(files(&folder.path().join("lake")).len(), before);
    // The clock of the files is this machine's: everything is as old as grace asks.
    options.now = None;
    publish_dates(&folder, -1);
    let report = run(&lake, &options).await;
    assert_eq!(report.releases_removed, ["r3", "r1"]);
    assert_eq!((report.releases_kept, report.problems.len()), (4, 0));
    assert!(report.files_deleted() >= 2, "{report:?}");
    for lake in [&lake, &bystander, &open(&folder).await] {
        for (number, expected) in (1..).zip(&answers) {
            let found = answer(lake, BOARDS, &format!("r{number}")).await;
            match number {
                1 | 3 => {
                    let text = found.unwrap_err().to_string();
                    assert!(text.contains("removed by retention"), "{text}");
                    assert!(text.contains("kept are 4 releases, beside it "), "{text}");
                }
                _ => assert_eq!(&found.unwrap(), expected, "r{number}"),
            }
        }
        let unknown = answer(lake, BOARDS, "r7").await.unwrap_err();
        assert!(matches!(unknown, Error::UnknownRelease(_)));
        assert_eq!(
            lake.tables().mark(&boards(), "high").await.unwrap(),
            Some(6)
        );
    }
    // Back to a kept one, and on from there.
    let back = lake.releases().roll_back("r2", "run").await.unwrap();
    assert_eq!(
        answer(&lake, BOARDS, &back.release_id).await.unwrap(),
        answers[1]
    );
    let again = run(&lake, &options).await;
    assert_eq!(again.problems, []);
    assert_eq!(answer(&lake, BOARDS, "r7").await.unwrap(), answers[1]);
}

/// Moves the releases of [`six`] so that the last was published some hours ago.
fn publish_dates(folder: &tempfile::TempDir, hours: i64) {
    let last = Utc::now() + TimeDelta::hours(hours);
    // Two long ago in one month, two in another, and two of late.
    let ago = [70, 70, 40, 40, 1, 0];
    for (number, days) in (1..).zip(ago) {
        let at = match number {
            1 | 3 => last - TimeDelta::days(days) - TimeDelta::seconds(1),
            _ => last - TimeDelta::days(days),
        };
        publish_at(folder, number, at);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instant_whose_release_was_removed_is_not_answered_with_another() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, answers) = six(&folder).await;
    let mut options = nothing();
    options.retention.keep_releases_days = 1;
    options.retention.keep_releases_months = 12;
    options.now = march("02T12:00:00");
    run(&lake, &options).await;
    for (instant, release) in [
        ("2026-02-01T00:00:00Z", 2),
        ("2026-02-28T10:00:01Z", 4),
        ("2026-03-02T00:00:00Z", 5),
    ] {
        let found = lake.releases().find(instant).await.unwrap();
        assert_eq!(found.release_id, format!("r{release}"), "{instant}");
        let found = answer(&lake, BOARDS, instant).await.unwrap();
        assert_eq!(found, answers[release - 1]);
    }
    for removed in [
        "2026-01-15T00:00:00Z",
        "2026-02-15T00:00:00Z",
        "2026-02-28T09:59:59Z",
    ] {
        let error = answer(&lake, BOARDS, removed).await.unwrap_err();
        assert!(
            matches!(error, Error::ReleaseRemoved { .. }),
            "{removed}: {error}"
        );
    }
    let before_all = answer(&lake, BOARDS, "2026-01-09T00:00:00Z")
        .await
        .unwrap_err();
    assert!(matches!(before_all, Error::UnknownRelease(_)));
    // The same after one more that was kept has gone: what is between counts as removed.
    let mut later = options.clone();
    later.retention.keep_releases_months = 1;
    run(&lake, &later).await;
    let error = answer(&lake, BOARDS, "2026-02-05T00:00:00Z")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::ReleaseRemoved { .. }), "{error}");
    let found = lake.releases().find("2026-03-01T00:00:00Z").await.unwrap();
    assert_eq!(found.release_id, "r4");
}

#[tokio::test(flavor = "multi_thread")]
async fn within_the_time_of_grace_nothing_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, answers) = six(&folder).await;
    let table = folder.path().join("lake/tables");
    let before = files(&table);
    let mut options = nothing();
    options.retention.grace = Duration::from_secs(3600);
    // Releases of long ago go; versions, files and what a removed release named stay for an hour.
    let held = lake.releases().find("r1").await.unwrap();
    let report = run(&lake, &options).await;
    assert_eq!(report.releases_removed.len(), 5);
    assert_eq!((report.files_deleted(), report.log_files_deleted()), (0, 0));
    assert!(before.iter().all(|file| file.exists()));
    let snapshot = warehouse::Snapshot::from(&held);
    let context = lake.sessions().open(&snapshot).await.unwrap();
    let batches = context.sql(BOARDS).await.unwrap().collect().await.unwrap();
    let rows: Vec<Row> = batches
        .iter()
        .flat_map(|batch| batch_to_rows(batch).unwrap())
        .collect();
    assert_eq!(
        rows, answers[0],
        "whoever reads a release that was removed goes on reading"
    );
    // An hour later they are gone.
    options.now = Some(Utc::now() + TimeDelta::hours(2));
    let report = run(&lake, &options).await;
    assert!(report.files_deleted() >= 5, "{report:?}");
    assert_eq!(answer(&lake, BOARDS, "r6").await.unwrap(), answers[5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_become_one_and_a_refresh_sees_no_change() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&folder).await;
    let tables = lake.tables();
    for history in 1..=12 {
        let marks = commit(&[("high", history)]);
        tables
            .append_new(&items(), vec![item(history)], &marks)
            .await
            .unwrap();
    }
    assert_eq!(tables.file_count(&items()).await.unwrap(), 12);
    let from = tables.version(&items()).await.unwrap().unwrap();
    let rows_before = tables.rows(&items(), None).await.unwrap();
    publish(&lake, &[items()]).await;
    let options = MaintainOptions::default();
    let report = run(&lake, &options).await;
    let of_items = report
        .tables
        .iter()
        .find(|table| table.table == "jira.changelog_items");
    let of_items = of_items.unwrap();
    assert_eq!((of_items.files_before, of_items.files_after), (12, 1));
    assert_eq!(of_items.rows_rewritten, 12);
    assert_eq!(tables.file_count(&items()).await.unwrap(), 1);
    let to = tables.version(&items()).await.unwrap().unwrap();
    assert!(to > from);
    assert_eq!(tables.mark(&items(), "high").await.unwrap(), Some(12));
    let sorted = |rows: Vec<Row>| {
        let mut rows: Vec<String> = rows.iter().map(|row| json!(row).to_string()).collect();
        rows.sort();
        rows
    };
    let rows_after = tables.rows(&items(), None).await.unwrap();
    assert_eq!(sorted(rows_after), sorted(rows_before));
    // Only rearranged: the version that a release names stands for the newest.
    assert_eq!(
        tables.version_since(&items(), Some(from)).await.unwrap(),
        Some(from)
    );
    let columns = ["history_id".to_string()];
    let changes = tables.changes(&items(), &columns, from, to).await.unwrap();
    assert!(matches!(changes, Changes::Nothing));
    // What is written afterwards is the only difference, and the older files are not read for it.
    tables
        .append_new(&items(), vec![item(13)], &commit(&[]))
        .await
        .unwrap();
    let mut changed = item(5);
    changed.insert("to_string".to_string(), json!("Done"));
    tables
        .upsert(&items(), vec![changed], &commit(&[]))
        .await
        .unwrap();
    let last = tables.version(&items()).await.unwrap().unwrap();
    assert_eq!(
        tables.version_since(&items(), Some(from)).await.unwrap(),
        Some(last)
    );
    let live = tables.changes(&items(), &columns, to, last).await.unwrap();
    let without: Vec<_> = files(&folder.path().join("lake/tables/jira/changelog_items"))
        .into_iter()
        .filter(|file| {
            file.extension()
                .is_some_and(|extension| extension == "parquet")
        })
        .collect();
    let log = folder
        .path()
        .join("lake/tables/jira/changelog_items/_delta_log");
    let older: Vec<_> = (0..=from)
        .map(|version| std::fs::read_to_string(log.join(format!("{version:020}.json"))).unwrap())
        .collect();
    for file in without {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if older.iter().any(|commit| commit.contains(&name)) {
            std::fs::remove_file(file).unwrap();
        }
    }
    let far = tables
        .changes(&items(), &columns, from, last)
        .await
        .unwrap();
    for changes in [live, far] {
        let Changes::Rows { before, after } = changes else {
            panic!("{changes:?}");
        };
        let ids = |batches: Vec<_>| {
            let rows = batches
                .iter()
                .flat_map(|batch| batch_to_rows(batch).unwrap());
            let mut ids: Vec<i64> = rows
                .map(|row| row["history_id"].as_i64().unwrap())
                .collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!((ids(before), ids(after)), (vec![5], vec![5, 13]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_writes_is_left_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&folder).await;
    let tables = lake.tables();
    for history in 1..=3 {
        tables
            .append_new(&items(), vec![item(history)], &commit(&[]))
            .await
            .unwrap();
    }
    let options = MaintainOptions {
        connections: vec!["acme".to_string()],
        ..MaintainOptions::default()
    };
    let name = connection_lease("acme");
    let lease = lake
        .meta()
        .lease(&name, "sync", Duration::ZERO)
        .await
        .unwrap();
    let report = run(&lake, &options).await;
    let why = report.tables[0].skipped.clone().unwrap();
    assert!(
        why.contains("connection 'acme' is in use by 'sync'"),
        "{why}"
    );
    assert_eq!(tables.file_count(&items()).await.unwrap(), 3);
    lease.release().await.unwrap();
    let report = run(&lake, &options).await;
    assert_eq!(report.tables[0].skipped, None);
    assert_eq!(tables.file_count(&items()).await.unwrap(), 1);
    // And of two that maintain, one.
    let _other = lake
        .meta()
        .lease("maintenance of the lake", "maintain", Duration::ZERO)
        .await;
    let refused = maintain(&lake, &options, &Silent).await.unwrap_err();
    assert!(matches!(refused, Error::Held { .. }), "{refused}");
    let runs = lake.meta().runs(10).await.unwrap();
    assert!(
        runs.iter()
            .all(|run| run.pipeline == "maintain" && run.status == "succeeded")
    );
    let steps = lake.meta().steps(100).await.unwrap();
    let compact = steps
        .iter()
        .find(|step| step.step.step == "compact")
        .unwrap();
    assert!(compact.details.as_ref().unwrap().contains("files_after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_missing_or_cut_is_named_with_the_releases_that_need_it() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, _) = six(&folder).await;
    let folder_of = folder.path().join("lake/tables/jira/boards");
    let log = folder_of.join("_delta_log");
    let added = |version: u64| {
        let text = std::fs::read_to_string(log.join(format!("{version:020}.json"))).unwrap();
        let actions = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let mut paths =
            actions.filter_map(|action| action["add"]["path"].as_str().map(String::from));
        paths.next().unwrap()
    };
    let version = |release: &str| {
        let lake = lake.clone();
        let release = release.to_string();
        async move { lake.releases().find(&release).await.unwrap().content.tables[&boards()].version }
    };
    let missing = added(version("r2").await);
    let cut = added(version("r6").await);
    std::fs::remove_file(folder_of.join(&missing)).unwrap();
    std::fs::write(folder_of.join(&cut), "cut").unwrap();
    let mut options = nothing();
    options.retention.keep_releases_months = 12;
    options.now = march("02T12:00:00");
    options.dry_run = true;
    let report = run(&lake, &options).await;
    let named = |file: &str| {
        let found = report.problems.iter().find(|problem| problem.file == file);
        found
            .unwrap_or_else(|| panic!("{:?}", report.problems))
            .problem
            .clone()
    };
    assert_eq!(
        named(&missing),
        "the file is missing; release r2 is concerned"
    );
    let cut = named(&cut);
    assert!(cut.starts_with("the file has 3 bytes instead of "), "{cut}");
    assert!(cut.ends_with("release r6 is concerned"), "{cut}");
    assert_eq!(report.problems.len(), 2);
    let run = lake.meta().runs(1).await.unwrap().remove(0);
    assert_eq!(
        (run.status.as_str(), run.reason.as_deref()),
        ("failed", Some("2 problems were found"))
    );
    // A version that can't be opened at all keeps everything else where it is.
    let first = version("r4").await;
    std::fs::remove_file(log.join(format!("{first:020}.json"))).unwrap();
    options.dry_run = false;
    let before = files(&folder_of).len();
    let report = self::run(&lake, &options).await;
    let of_version = report
        .problems
        .iter()
        .find(|problem| problem.file.starts_with("version "));
    assert!(
        of_version
            .unwrap()
            .problem
            .contains("nothing of the table was deleted")
    );
    assert_eq!(files(&folder_of).len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_files_and_runs_go_when_their_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&folder).await;
    let record = |stream: &str, key: &str| schemas::RawRecord {
        connection: "acme".into(),
        stream: stream.into(),
        key: key.into(),
        fetched_at: Utc::now(),
        run_id: "r".into(),
        source_updated: None,
        payload: "{}".into(),
    };
    for key in ["1", "2", "3"] {
        lake.raw().land(&[record("issues", key)]).await.unwrap();
    }
    lake.raw().land(&[record("boards", "1")]).await.unwrap();
    let named = lake.meta().start_run("refresh", "command").await.unwrap();
    let old = lake.meta().start_run("sync", "command").await.unwrap();
    for run in [&named, &old] {
        lake.meta()
            .finish_run(run, "succeeded", None)
            .await
            .unwrap();
    }
    let running = lake.meta().start_run("sync", "command").await.unwrap();
    lake.releases()
        .publish(NewRelease::default(), &named, None)
        .await
        .unwrap();
    let mut options = MaintainOptions {
        now: Some(Utc::now() + TimeDelta::days(100)),
        ..MaintainOptions::default()
    };
    let report = run(&lake, &options).await;
    assert_eq!(
        (report.raw_files_removed, report.runs_removed),
        (0, 1),
        "raw is kept for ever"
    );
    let left = lake.meta().runs(10).await.unwrap();
    let left: Vec<&str> = left.iter().map(|run| run.run_id.as_str()).collect();
    assert!(left.contains(&named.as_str()), "a kept release names it");
    assert!(left.contains(&running.as_str()) && !left.contains(&old.as_str()));
    options.retention.keep_raw_days = 99;
    let report = run(&lake, &options).await;
    assert_eq!(
        report.raw_files_removed, 2,
        "the last file of each stream stays"
    );
    assert_eq!(lake.raw().files("acme", "issues").await.unwrap().len(), 1);
    assert_eq!(lake.raw().files("acme", "boards").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_old_version_keeps_a_checkpoint_instead_of_all_commits_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&folder).await;
    let tables = lake.tables();
    for history in 1..=34 {
        let marks = commit(&[("high", history)]);
        tables
            .append_new(&items(), vec![item(history)], &marks)
            .await
            .unwrap();
        if history == 22 || history == 34 {
            publish(&lake, &[items()]).await;
        }
    }
    publish_at(&folder, 1, Utc::now() - TimeDelta::days(40));
    let mut options = nothing();
    options.retention.keep_releases_months = 12;
    let log = folder
        .path()
        .join("lake/tables/jira/changelog_items/_delta_log");
    let names = || -> Vec<String> {
        let names = files(&log).into_iter();
        let names = names.map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
        names.filter(|name| name != "_last_checkpoint").collect()
    };
    // The first time the newest version gets its checkpoint, the second time the lone one.
    run(&lake, &options).await;
    let report = run(&lake, &options).await;
    assert_eq!(report.problems, []);
    let left = names();
    assert!(
        left.contains(&format!("{:020}.checkpoint.parquet", 22)),
        "{left:?}"
    );
    assert!(
        left.len() <= 6,
        "two versions, the compaction, their checkpoints: {left:?}"
    );
    let count = "select count(*) as n from jira.changelog_items";
    for lake in [&lake, &open(&folder).await] {
        assert_eq!(answer(lake, count, "r1").await.unwrap()[0]["n"], 22);
        assert_eq!(answer(lake, count, "r2").await.unwrap()[0]["n"], 34);
        assert_eq!(lake.tables().rows(&items(), None).await.unwrap().len(), 34);
        assert_eq!(
            lake.tables().mark(&items(), "high").await.unwrap(),
            Some(34)
        );
    }
    let marks = commit(&[("high", 35)]);
    let other = open(&folder).await;
    other
        .tables()
        .append_new(&items(), vec![item(35)], &marks)
        .await
        .unwrap();
    assert_eq!(lake.tables().rows(&items(), None).await.unwrap().len(), 35);
}
