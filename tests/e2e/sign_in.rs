//! An app's sign-in survives runs that are killed; its secrets are nowhere to be read.

use std::path::Path;
use std::time::Duration;

use chrono::Utc;
use simulator::{OAuth, Settings, Simulator, WorldSettings};
use tests::Product;

async fn site(leeway: u64) -> Simulator {
    let settings = Settings {
        world: WorldSettings::small(3, Utc::now()),
        oauth: Some(OAuth {
            leeway: Duration::from_secs(leeway),
            ..OAuth::default()
        }),
        ..Settings::default()
    };
    Simulator::start(settings).await.unwrap()
}

/// Writes the settings of the site's app with a refresh token.
fn configure(product: &Product, site: &Simulator, refresh_token: &str) {
    let url = site.url();
    let app = site.settings().oauth.clone().unwrap();
    product.write(
        "sprint-reports.toml",
        &format!(
            "[[connections]]\nname = \"site\"\nurl = \"{url}\"\nauth = \"oauth\"\n\
             client_id = \"{}\"\nclient_secret = \"{}\"\nrefresh_token = \"{refresh_token}\"\n\
             token_url = \"{url}/oauth/token\"\ngateway_url = \"{url}\"\n",
            app.client_id, app.client_secret
        ),
    );
}

fn product(site: &Simulator) -> Product {
    let product = Product::new();
    let first = site.settings().oauth.clone().unwrap().refresh_token;
    configure(&product, site, &first);
    product
}

fn renewals(site: &Simulator) -> usize {
    let requests = site.requests();
    requests
        .iter()
        .filter(|one| one.path == "/oauth/token")
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_that_is_killed_is_made_good_by_the_next_run() {
    for (point, renewed) in [
        ("ingest.sign_in.asking", 1),
        ("ingest.sign_in.answered", 2),
        ("ingest.sign_in.stored", 1),
    ] {
        let site = site(600).await;
        let product = product(&site);
        let ended = product.run_with_fault(&["sync"], &format!("kill@{point}"));
        assert_eq!(ended.code, None, "{point}: {}", ended.err);
        product.run(&["sync"]).ok();
        assert_eq!(renewals(&site), renewed, "{point}");
        product.run(&["sync"]).ok();
        assert_eq!(renewals(&site), renewed, "{point}");
    }
}

/// The one moment at which a token is lost: answered, and not stored; at a site that takes no token twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_lost_is_told_with_what_to_do() {
    let site = site(0).await;
    let product = product(&site);
    product.run_with_fault(&["sync"], "kill@ingest.sign_in.answered");
    let ended = product.run(&["sync"]);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    for part in [
        "the refresh token is no longer accepted (403 invalid_grant",
        "probably because a run ended at 20",
        "write the new refresh_token into the settings",
    ] {
        assert!(ended.err.contains(part), "{part}: {}", ended.err);
    }
    configure(&product, &site, &site.sign_in());
    product.run(&["connection", "test", "site"]).ok();
    product.run(&["sync"]).ok();
    assert_eq!(product.run(&["check"]).code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_is_made_and_no_secret_is_to_be_read() {
    let site = site(600).await;
    let log =
        "info,ingest=trace,warehouse=trace,reqwest=trace,hyper=trace,hyper_util=trace,sqlx=trace";
    let log = vec![("SPRINT_REPORTS_LOG".to_string(), log.to_string())];
    let product = product(&site).with_environment(log);
    let ended = product.run(&["sync", "--json"]).ok();
    assert!(
        ended.err.contains("access token renewed"),
        "nothing is logged"
    );
    let key = std::fs::read_to_string(product.path().join("data/key")).unwrap();
    let secrets = [
        "simulated-consent",
        "simulated-refresh",
        "simulated-access",
        "simulated-client-secret",
        key.trim(),
    ];
    for secret in secrets {
        assert!(!ended.out.contains(secret), "{secret}");
        assert!(!ended.err.contains(secret), "{secret}");
        nowhere(&product.path().join("data"), secret);
    }
    let stranger = vec![("SPRINT_REPORTS_KEY".to_string(), "0a".repeat(32))];
    let product = product.with_environment(stranger);
    let ended = product.run(&["sync"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.err.contains("can't be read with key"),
        "{}",
        ended.err
    );
    let product = product.with_environment(vec![("SPRINT_REPORTS_KEY".into(), "short".into())]);
    let ended = product.run(&["sync"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("64 hexadecimal digits"), "{}", ended.err);
}

/// Fails when a file below a folder, the key's apart, holds a text.
fn nowhere(folder: &Path, text: &str) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            nowhere(&path, text);
        } else if !path.ends_with("data/key") {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes());
            assert!(!found, "{text} in {}", path.display());
        }
    }
}

/// Another key: what was stored is read with it, and with nothing else any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_encrypted_with_another_key() {
    let site = site(600).await;
    let product = product(&site);
    let key = || std::fs::read_to_string(product.path().join("data/key")).unwrap();
    product.run(&["sync"]).ok();
    let old = key();
    let said = product.run(&["connection", "rotate-key"]).ok();
    assert!(
        said.out.starts_with("1 secrets are encrypted"),
        "{}",
        said.out
    );
    let new = key();
    assert!(
        new != old && new.trim().len() == 64,
        "one key, and another one"
    );
    assert!(!said.out.contains(new.trim()) && !said.out.contains(old.trim()));
    let before = renewals(&site);
    product.run(&["sync"]).ok();
    assert_eq!(renewals(&site), before, "the stored token was read");
    // Stopped after the file held both: everything can be read, and the command goes on.
    product.write("data/key", &format!("{}\n{new}", "ab".repeat(32)));
    product.run(&["sync"]).ok();
    product.run(&["connection", "rotate-key"]).ok();
    assert_eq!(key().trim(), "ab".repeat(32));
    product.run(&["sync"]).ok();
    product.write("data/key", &old);
    let ended = product.run(&["sync"]);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
}
