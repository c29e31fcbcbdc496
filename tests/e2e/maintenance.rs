//! `maintain`, `backup` and `restore` by the real binary.

use std::path::Path;

use serde_json::Value;
use simulator::{Edit, Simulator};
use tests::{Product, small_site};

/// Points of `maintain` at which it is killed.
const POINTS: [&str; 6] = [
    "maintenance.before_commit",
    "maintenance.compacted",
    "maintenance.release_recorded",
    "maintenance.release_removed",
    "maintenance.files_deleted",
    "maintenance.metadata",
];

const FIGURES: &str = "select m.*, (select count(*) from jira.changelog_items) as items,
    (select sum(issue_id) from jira.issues) as ids from marts.sprint_metrics m order by sprint_id";

/// Few models, to refresh often.
const REFRESH: [&str; 3] = ["refresh", "--select", "+sprint_metrics"];

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A product that keeps the current release only, and gives no grace.
fn eager(product: Product) -> Product {
    let variables = ["KEEP_RELEASES_DAYS", "KEEP_RELEASES_MONTHS", "GRACE_HOURS"];
    let variable = |name: &str| (format!("SPRINT_REPORTS__MAINTAIN__{name}"), "0".to_string());
    product.with_environment(variables.iter().map(|name| variable(name)).collect())
}

/// One with three releases, for each of which the site changed.
fn three(site: &Simulator) -> Product {
    let product = eager(Product::reading(site));
    for round in 0..3 {
        site.edit(|world| {
            let ids: Vec<u64> = world.issues().map(|issue| issue.id).take(3).collect();
            for id in ids {
                let summary = format!("in round {round}");
                let edit = Edit::SetSummary { issue: id, summary };
                world.apply_now(edit).unwrap();
            }
        });
        product.run(&["sync"]).ok();
        product.run(&REFRESH).ok();
    }
    assert_eq!(product.releases(), 3);
    product
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_maintenance_everything_stays_readable_and_the_next_run_finishes() {
    let site = small_site().await;
    let original = three(&site);
    let figures = original.sql(FIGURES);
    assert!(figures.len() > 3);
    // Every second one; all of them in a thorough run (`make soak`).
    let step = match std::env::var_os("SPRINT_REPORTS_THOROUGH") {
        Some(_) => 1,
        None => 2,
    };
    for point in POINTS.into_iter().step_by(step) {
        let product = eager(Product::reading(&site));
        copy(&original.path().join("data"), &product.path().join("data"));
        let killed = product.run_with_fault(&["maintain"], &format!("kill@{point}"));
        assert_eq!(killed.code, None, "maintain passes {point}: {}", killed.err);
        assert_eq!(product.sql(FIGURES), figures, "{point}");
        let report = product.run(&["maintain", "--json"]).ok().json();
        assert_eq!(report["problems"], Value::Array(Vec::new()), "{point}");
        assert_eq!(report["releases_kept"], 1, "{point}");
        assert_eq!(product.sql(FIGURES), figures, "{point}");
        // Whatever was left over is gone: a third run finds nothing to do.
        let report = product.run(&["maintain", "--json"]).ok().json();
        let sum = |field: &str| {
            let tables = report["tables"].as_array().unwrap().iter();
            tables
                .map(|table| table[field].as_u64().unwrap())
                .sum::<u64>()
        };
        let left = [
            sum("files_rewritten"),
            sum("files_deleted"),
            sum("log_files_deleted"),
        ];
        assert_eq!(left, [0; 3], "{point}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maintenance_publishes_nothing_and_the_product_goes_on() {
    let site = small_site().await;
    let product = three(&site);
    let figures = product.sql(FIGURES);
    let dry = product
        .run(&["maintain", "--dry-run", "--json"])
        .ok()
        .json();
    assert_eq!(dry["releases_removed"], serde_json::json!(["r2", "r1"]));
    assert_eq!(product.releases(), 3, "a dry run removes nothing");
    let report = product.run(&["maintain", "--json"]).ok().json();
    let tables = report["tables"].as_array().unwrap();
    let items = tables
        .iter()
        .find(|table| table["table"] == "jira.changelog_items")
        .unwrap();
    assert!(
        items["files_before"].as_u64() > items["files_after"].as_u64(),
        "{items}"
    );
    assert!(report["bytes_freed"].as_u64().unwrap() > 0);
    let ended = product.run(&["sql", "select 1", "--as-of", "r1"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("removed by retention"), "{}", ended.err);
    // Nothing has changed but the place of rows.
    let ended = product.run(&REFRESH).ok();
    assert!(ended.out.contains("nothing changed"), "{}", ended.out);
    product.run(&["sync"]).ok();
    product.run(&REFRESH).ok();
    assert_eq!(product.releases(), 1);
    // After a change only its rows are computed again, though the files are others.
    site.edit(|world| {
        let id = world.issues().map(|issue| issue.id).next().unwrap();
        let edit = Edit::SetPoints {
            issue: id,
            points: Some(21.0),
        };
        world.apply_now(edit).unwrap();
    });
    product.run(&["sync"]).ok();
    let mut refresh = REFRESH.to_vec();
    refresh.push("--json");
    let report = product.run(&refresh).ok().json();
    assert_eq!(report["release"], "r4");
    let models = report["models"].as_array().unwrap();
    let points = models
        .iter()
        .find(|model| model["model"] == "marts.issue_points_periods");
    let points = points.unwrap_or_else(|| panic!("{models:?}"));
    assert_eq!(points["keys"], 1, "{points}");
    assert_eq!(product.sql(FIGURES).len(), figures.len());
    let full = product
        .run(&["refresh", "--full", "--select", "+sprint_metrics"])
        .ok();
    assert!(full.out.contains("published"), "{}", full.out);
    let runs = product.sql("select status from system.runs where pipeline = 'maintain'");
    assert_eq!(runs.len(), 2);
    assert!(
        runs.iter().all(|run| run["status"] == "succeeded"),
        "{runs:?}"
    );
    // A file that is gone is found.
    let folder = product.path().join("data/lake/tables/jira/issues");
    let files = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let file = files
        .filter(|path| path.is_file())
        .max_by_key(|path| path.metadata().unwrap().len());
    std::fs::remove_file(file.unwrap()).unwrap();
    let ended = product.run(&["maintain"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.out.contains("the file is missing; release"),
        "{}",
        ended.out
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_system_answers_the_same_and_goes_on_from_its_cursor() {
    let site = small_site().await;
    let product = three(&site);
    let copy = product.path().join("copy");
    let place = copy.display().to_string();
    let unfinished = product.run_with_fault(&["backup", "half"], "kill@backup.before_manifest");
    assert_eq!(unfinished.code, None, "{}", unfinished.err);
    let ended = product.run(&["backup", &place]).ok();
    assert!(
        ended
            .out
            .contains("the key that secrets are encrypted with"),
        "{}",
        ended.out
    );
    let restored = Product::reading(&site);
    let half = product.path().join("half").display().to_string();
    let ended = restored.run(&["restore", &half]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("not finished"), "{}", ended.err);
    let killed = restored.run_with_fault(&["restore", &place], "kill@restore.copied");
    assert_eq!(killed.code, None, "{}", killed.err);
    let ended = restored.run(&["restore", &place]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.err.contains("perhaps of a restore that was stopped"),
        "{}",
        ended.err
    );
    let restored = Product::reading(&site);
    restored.run(&["restore", &place]).ok();
    for as_of in ["r1", "r2", "r3"] {
        let ask = |product: &Product| {
            let arguments = ["sql", FIGURES, "--format", "json", "--as-of", as_of];
            product.run(&arguments).ok().out
        };
        assert_eq!(ask(&restored), ask(&product), "{as_of}");
    }
    let before = site.requests().len();
    restored.run(&["sync"]).ok();
    let requests = site.requests().split_off(before);
    let is_bulk = |path: &str| path.contains("bulkfetch");
    assert!(
        !requests.iter().any(|request| is_bulk(&request.path)),
        "{requests:?}"
    );
    let ended = restored.run(&REFRESH).ok();
    assert!(ended.out.contains("nothing changed"), "{}", ended.out);
    let ended = restored.run(&["maintain"]).ok();
    assert!(ended.out.contains("3 releases kept"), "{}", ended.out);
}
