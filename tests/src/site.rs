//! A simulated site, and products that read it.

use chrono::{DateTime, TimeZone, Utc};
use simulator::{Edit, Settings, Simulator, WorldSettings};

use crate::Product;

/// The instant at which the simulated histories end.
pub fn now() -> DateTime<Utc> {
    now_in(2026)
}

fn now_in(year: i32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(year, 3, 4, 10, 0, 0)
        .single()
        .expect("an instant")
}

/// Refreshes the models of sprints and all that they read: what most tests look at.
pub const REFRESH: [&str; 13] = [
    "refresh",
    "--select",
    "+sprint_metrics",
    "--select",
    "+velocity",
    "--select",
    "+sprint_burndown_daily",
    "--select",
    "+sprints",
    "--select",
    "+issue_assignee_periods",
    "--select",
    "+issue_parent_periods",
];

/// A simulated site with a world of two years.
pub async fn large_site(seed: u64) -> Simulator {
    let settings = Settings {
        world: WorldSettings {
            seed,
            now: now(),
            ..WorldSettings::default()
        },
        ..Settings::default()
    };
    Simulator::start(settings).await.expect("a free port")
}

/// A simulated site with a small world.
pub async fn small_site() -> Simulator {
    small_site_in(2026).await
}

/// The same with a history that ends in another year.
pub async fn small_site_in(year: i32) -> Simulator {
    let settings = Settings {
        world: WorldSettings {
            simple_board: true,
            ..WorldSettings::small(11, now_in(year))
        },
        ..Settings::default()
    };
    let site = Simulator::start(settings).await.expect("a free port");
    // A world this small has no links of its own, and none links to other sites.
    site.edit(|world| {
        let ids: Vec<u64> = world.issues().map(|issue| issue.id).take(2).collect();
        let link = Edit::Block {
            outward: ids[0],
            inward: ids[1],
        };
        world.apply_now(link).expect("two issues can be linked");
        let remote = Edit::LinkRemote {
            issue: ids[0],
            title: "The page that says why".to_string(),
        };
        world
            .apply_now(remote)
            .expect("an issue can link elsewhere");
    });
    site
}

impl Product {
    /// With one connection, to a simulated site.
    pub fn reading(site: &Simulator) -> Self {
        let account = Settings::default().account;
        Self::connected(site.url(), &account.email, &account.token)
    }
}

/// A product that has synced and published once, shared by tests that only read.
pub async fn filled() -> &'static Product {
    static FILLED: tokio::sync::OnceCell<Product> = tokio::sync::OnceCell::const_new();
    FILLED
        .get_or_init(|| async {
            let site = small_site().await;
            let product = Product::reading(&site);
            product.run(&["sync"]).ok();
            product.run(&["refresh"]).ok();
            product
        })
        .await
}
