//! How a connection signs in: tokens that don't change, directly and through the gateway, and an app
//! whose tokens are renewed.

use std::time::Duration;

use chrono::Utc;
use ingest::{Auth, Connection, Error, OAuthApp, Secret};
use simulator::{Fault, FaultKind, OAuth, Settings, Simulator, WorldSettings};
use warehouse::{Config, SecretKey, Warehouse};

use crate::{Lake, connection};

async fn site(oauth: OAuth) -> Simulator {
    let settings = Settings {
        world: WorldSettings {
            projects: 1,
            issues_per_sprint: 4,
            ..WorldSettings::small(5, Utc::now())
        },
        oauth: Some(oauth),
        ..Settings::default()
    };
    Simulator::start(settings).await.unwrap()
}

/// A connection that signs in as the site's app.
fn app(site: &Simulator, lake: &Lake) -> Connection {
    let known = site.settings().oauth.clone().unwrap();
    Connection {
        auth: Auth::OAuth,
        token: Secret::default(),
        oauth: OAuthApp {
            client_id: known.client_id,
            client_secret: Secret::new(known.client_secret),
            refresh_token: Secret::new(known.refresh_token),
            token_url: format!("{}/oauth/token", site.url()),
        },
        sign_ins: Some(lake.warehouse.meta().clone()),
        gateway_url: site.url().to_string(),
        ..connection(site.url())
    }
}

fn renewals(site: &Simulator) -> usize {
    let requests = site.requests();
    requests
        .iter()
        .filter(|one| one.path == "/oauth/token")
        .count()
}

fn refused(site: &Simulator) -> usize {
    site.requests()
        .iter()
        .filter(|one| one.status == 401)
        .count()
}

/// All rows, without the addresses under which the site shows itself.
async fn rows(lake: &Lake, site: &Simulator) -> Vec<(String, Vec<String>)> {
    let plain = |row: String| row.replace(&site.gateway_url(), "").replace(site.url(), "");
    let mut all = lake.rows().await;
    for (_, rows) in &mut all {
        *rows = std::mem::take(rows).into_iter().map(plain).collect();
        rows.sort();
    }
    all
}

#[tokio::test]
async fn every_way_in_gives_the_same_rows() {
    let site = site(OAuth::default()).await;
    let direct = Lake::open().await;
    direct.sync(&connection(site.url())).await.unwrap();
    let expected = rows(&direct, &site).await;
    assert!(expected.iter().any(|(_, rows)| rows.len() > 10));
    let cloud_id = site.settings().cloud_id.clone();
    let lake = Lake::open().await;
    let by_app = app(&site, &lake);
    let service_account = Connection {
        auth: Auth::Bearer,
        cloud_id: cloud_id.clone(),
        gateway_url: site.url().to_string(),
        ..connection(site.url())
    };
    let scoped_token = Connection {
        auth: Auth::Basic,
        ..service_account.clone()
    };
    let gateway_itself = Connection {
        auth: Auth::Bearer,
        ..connection(&site.gateway_url())
    };
    let known_id = Connection {
        cloud_id,
        ..by_app.clone()
    };
    for way in [
        service_account,
        scoped_token,
        gateway_itself,
        known_id,
        by_app,
    ] {
        site.clear_requests();
        let lake = Lake::open().await;
        let way = Connection {
            sign_ins: way.sign_ins.map(|_| lake.warehouse.meta().clone()),
            ..way
        };
        if way.auth == Auth::OAuth {
            // A consent is good for one product.
            let mut way = way.clone();
            way.oauth.refresh_token = Secret::new(site.sign_in());
            lake.sync(&way).await.unwrap();
        } else {
            lake.sync(&way).await.unwrap();
        }
        let outside = site.requests();
        let outside = outside
            .iter()
            .filter(|one| !one.path.starts_with("/ex/jira/"));
        assert!(outside.count() <= 2, "{way:?}");
        assert_eq!(rows(&lake, &site).await, expected, "{way:?}");
    }
}

#[tokio::test]
async fn another_way_in_changes_no_identity() {
    let site = site(OAuth::default()).await;
    let lake = Lake::open().await;
    lake.sync(&connection(site.url())).await.unwrap();
    let before = rows(&lake, &site).await;
    let by_gateway = app(&site, &lake);
    let report = lake.sync(&by_gateway).await.unwrap();
    assert_eq!(rows(&lake, &site).await, before);
    assert!(report.is_complete());
}

#[tokio::test]
async fn an_access_token_is_shared_by_runs_and_renewed_before_it_ends() {
    let life = OAuth {
        access_life: Duration::from_secs(5),
        leeway: Duration::ZERO,
        ..OAuth::default()
    };
    let site = site(life).await;
    let lake = Lake::open().await;
    let acme = app(&site, &lake);
    ingest::discover(&acme).await.unwrap();
    ingest::discover(&acme).await.unwrap();
    assert_eq!(renewals(&site), 1);
    // A fifth of its life is left when it is renewed.
    tokio::time::sleep(Duration::from_millis(4100)).await;
    ingest::discover(&acme).await.unwrap();
    assert_eq!((renewals(&site), refused(&site)), (2, 0));
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_of_a_run_is_renewed_once() {
    let strict = OAuth {
        leeway: Duration::ZERO,
        ..OAuth::default()
    };
    let site = site(strict).await;
    let lake = Lake::open().await;
    let acme = app(&site, &lake);
    let (outcome, ()) = tokio::join!(lake.sync(&acme), async {
        while site.requests().len() < 15 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        site.end_access();
    });
    assert!(outcome.unwrap().is_complete());
    assert_eq!(renewals(&site), 2);
    assert!((1..=8).contains(&refused(&site)), "{}", refused(&site));
    // A site that refuses every token is told, after one renewal.
    site.clear_requests();
    site.inject(Fault::status("/serverInfo", 401).times(10));
    let error = lake.sync(&acme).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert_eq!(renewals(&site), 1);
}

#[tokio::test]
async fn of_many_that_need_a_token_at_once_one_renews_it() {
    let strict = OAuth {
        leeway: Duration::ZERO,
        ..OAuth::default()
    };
    let site = site(strict).await;
    let lake = Lake::open().await;
    let other = Warehouse::open(&lake.config).await.unwrap();
    let acme = app(&site, &lake);
    let elsewhere = Connection {
        sign_ins: Some(other.meta().clone()),
        ..acme.clone()
    };
    for round in 1..=3 {
        site.end_access();
        let readers = [&acme, &elsewhere, &acme, &elsewhere, &acme, &elsewhere];
        let found = futures::future::join_all(readers.map(ingest::discover)).await;
        for one in found {
            one.unwrap();
        }
        assert_eq!(renewals(&site), round);
    }
}

#[tokio::test]
async fn a_refresh_token_that_is_void_is_one_clear_sentence_and_a_new_one_wins() {
    let strict = OAuth {
        leeway: Duration::ZERO,
        ..OAuth::default()
    };
    let site = site(strict).await;
    let lake = Lake::open().await;
    let mut acme = app(&site, &lake);
    lake.sync(&acme).await.unwrap();
    let next = site.sign_in();
    let error = lake.sync(&acme).await.unwrap_err();
    assert!(matches!(error, Error::SignIn { .. }));
    let text = error.to_string();
    for part in [
        "connection 'acme': the refresh token is no longer accepted (403 invalid_grant",
        "write the new refresh_token into the settings",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("simulated-refresh"), "{text}");
    acme.oauth.refresh_token = Secret::new(next);
    lake.sync(&acme).await.unwrap();
    // The old one in the settings again: what was stored for it is gone, and so is it.
    let old = app(&site, &lake);
    lake.sync(&old).await.unwrap_err();
}

#[tokio::test]
async fn what_is_wrong_with_an_app_is_said() {
    let site = site(OAuth::default()).await;
    let lake = Lake::open().await;
    let good = app(&site, &lake);
    let says = async |change: &dyn Fn(&mut Connection)| {
        let mut one = good.clone();
        change(&mut one);
        let error = ingest::discover(&one).await.unwrap_err().to_string();
        assert!(!error.contains("simulated-c"), "{error}");
        error
    };
    let wrong = says(&|one| one.oauth.client_secret = Secret::new("wrong")).await;
    assert!(
        wrong.contains("client_id and client_secret are not accepted (401"),
        "{wrong}"
    );
    let none = says(&|one| one.oauth.client_id.clear()).await;
    assert!(
        none.contains("needs client_id, client_secret and refresh_token"),
        "{none}"
    );
    let nowhere = says(&|one| one.sign_ins = None).await;
    assert!(nowhere.contains("needs the metadata database"), "{nowhere}");
    let inside = says(&|one| one.oauth.token_url = "https://10.0.0.8/token".into()).await;
    assert!(inside.contains("token_url is at 10.0.0.8"), "{inside}");
    let plain = says(&|one| one.oauth.token_url = "http://auth.example.org/token".into()).await;
    assert!(
        plain.contains("token_url 'http://auth.example.org/token' is plain http"),
        "{plain}"
    );
    let elsewhere = says(&|one| one.url = "https://acme.example.org".into()).await;
    assert!(
        elsewhere.contains("not to https://acme.example.org"),
        "{elsewhere}"
    );
    site.inject(Fault::new("/oauth/token", FaultKind::Html));
    site.end_access();
    let fresh = Lake::open().await;
    let html = says(&|one| one.sign_ins = Some(fresh.warehouse.meta().clone())).await;
    assert!(
        html.contains("is not what a renewal gives; correct token_url"),
        "{html}"
    );
    // What may pass is tried again.
    site.inject(Fault::status("/oauth/token", 502));
    ingest::discover(&good).await.unwrap();
}

#[tokio::test]
async fn what_is_stored_is_read_with_its_key_only_and_shows_nothing() {
    let site = site(OAuth::default()).await;
    let lake = Lake::open().await;
    let acme = app(&site, &lake);
    lake.sync(&acme).await.unwrap();
    let shown = format!("{acme:?}");
    for text in [
        "simulated-consent",
        "simulated-refresh",
        "simulated-access",
        "simulated-client-secret",
    ] {
        assert!(!shown.contains(text), "{shown}");
        for file in std::fs::read_dir(lake.folder.path()).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap_or_default();
            let found = bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes());
            assert!(!found, "{text} in {}", path.display());
        }
    }
    let stranger = Config {
        key: Some(SecretKey::random().unwrap()),
        ..lake.config.clone()
    };
    let other = Warehouse::open(&stranger).await.unwrap();
    let locked = Connection {
        sign_ins: Some(other.meta().clone()),
        ..acme
    };
    let error = ingest::discover(&locked).await.unwrap_err().to_string();
    assert!(error.contains("can't be read with key"), "{error}");
}
