//! What users rely on, as pages beside this file, compared with the product in both directions:
//! commands and exit codes, settings, tables with their columns and types, REST with its shapes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

mod commands;
mod page;
mod rest;
mod settings;
mod tables;

use chrono::{TimeZone, Utc};
use simulator::{Settings, Simulator, WorldSettings};
use tests::Product;

/// A simulated site whose history ends in a year.
async fn site(year: i32) -> Simulator {
    let now = Utc.with_ymd_and_hms(year, 3, 4, 10, 0, 0).unwrap();
    let world = WorldSettings::small(11, now);
    let settings = Settings {
        world,
        ..Settings::default()
    };
    Simulator::start(settings).await.unwrap()
}

/// A product connected to a site.
fn connected(site: &Simulator) -> Product {
    let account = Settings::default().account;
    Product::connected(site.url(), &account.email, &account.token)
}

/// A product that has read a site and published, shared by tests that only read.
async fn filled() -> &'static Product {
    static FILLED: tokio::sync::OnceCell<Product> = tokio::sync::OnceCell::const_new();
    FILLED
        .get_or_init(|| async {
            let site = site(2026).await;
            let product = connected(&site);
            product.run(&["sync"]).ok();
            product.run(&["refresh"]).ok();
            product
        })
        .await
}
