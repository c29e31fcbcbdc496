//! Reading again what has not changed, and only what has changed.

use crate::assert_same;
use tests::{Product, small_site};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_sync_reads_next_to_nothing_and_publishes_nothing() {
    let site = small_site().await;
    let product = Product::reading(&site);
    product.run(&["sync"]).ok();
    product.run(&tests::REFRESH).ok();
    assert_eq!(product.releases(), 1);

    let before = site.requests().len();
    product.run(&["sync"]).ok();
    let requests = site.requests().split_off(before);
    let bulk: Vec<_> = requests
        .iter()
        .filter(|request| request.path.contains("bulkfetch"))
        .collect();
    assert!(
        bulk.is_empty(),
        "nothing changed, so no issue is fetched: {bulk:?}"
    );
    product.run(&tests::REFRESH).ok();
    assert_eq!(
        product.releases(),
        1,
        "nothing changed, so nothing is published"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaying_raw_gives_the_same_tables_without_the_site() {
    let site = small_site().await;
    let product = Product::reading(&site);
    product.run(&["sync"]).ok();
    product.run(&tests::REFRESH).ok();
    let copy = Product::reading(&site);
    copy.run(&["sync"]).ok();
    copy.run(&tests::REFRESH).ok();
    let before = site.requests().len();
    copy.run(&["sync", "--replay"]).ok();
    assert_eq!(site.requests().len(), before, "a replay makes no request");
    copy.run(&tests::REFRESH).ok();
    assert_same(&product, &copy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_everything_again_changes_nothing() {
    let site = small_site().await;
    let product = Product::reading(&site);
    product.run(&["sync"]).ok();
    product.run(&tests::REFRESH).ok();
    let fresh = Product::reading(&site);
    fresh.run(&["sync"]).ok();
    fresh.run(&["sync", "--full"]).ok();
    fresh.run(&tests::REFRESH).ok();
    assert_same(&product, &fresh).await;
}
