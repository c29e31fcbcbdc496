//! The gateway and the app: which token is good where, and how long.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::{OAuth, Settings, Simulator};

use crate::client::small;

async fn site(oauth: OAuth) -> Simulator {
    let settings = Settings {
        oauth: Some(oauth),
        ..small()
    };
    Simulator::start(settings).await.unwrap()
}

async fn renew(site: &Simulator, refresh_token: &str, secret: &str) -> (u16, Value) {
    let body = json!({"grant_type": "refresh_token", "client_id": "simulated-app",
        "client_secret": secret, "refresh_token": refresh_token});
    let url = format!("{}/oauth/token", site.url());
    let answer = reqwest::Client::new()
        .post(url)
        .json(&body)
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn get(url: String, token: &str) -> (u16, Value) {
    let request = reqwest::Client::new().get(url).bearer_auth(token);
    let answer = request.send().await.unwrap();
    (
        answer.status().as_u16(),
        answer.json().await.unwrap_or_default(),
    )
}

fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap().to_string()
}

#[tokio::test]
async fn a_refresh_token_is_good_once() {
    let strict = OAuth {
        leeway: Duration::ZERO,
        ..OAuth::default()
    };
    let site = site(strict).await;
    let secret = OAuth::default().client_secret;
    assert_eq!(renew(&site, "simulated-consent-0", "wrong").await.0, 401);
    let (status, first) = renew(&site, "simulated-consent-0", &secret).await;
    assert_eq!((status, &first["expires_in"]), (200, &json!(3600)));
    let (_, second) = renew(&site, &text(&first, "refresh_token"), &secret).await;
    let access = text(&second, "access_token");
    let resources = format!("{}/oauth/token/accessible-resources", site.url());
    let (_, found) = get(resources.clone(), &access).await;
    assert_eq!(found[1]["url"], site.url());
    assert_eq!(found[1]["id"], site.settings().cloud_id);
    // One that is used again voids all that came from it.
    let (status, refused) = renew(&site, &text(&first, "refresh_token"), &secret).await;
    assert_eq!((status, &refused["error"]), (403, &json!("invalid_grant")));
    assert_eq!(get(resources, &access).await.0, 401);
    let (status, _) = renew(&site, &text(&second, "refresh_token"), &secret).await;
    assert_eq!(status, 403);
    assert_eq!(renew(&site, &site.sign_in(), &secret).await.0, 200);
}

#[tokio::test]
async fn the_gateway_shows_the_site_under_its_own_address() {
    let lenient = OAuth {
        access_life: Duration::from_secs(1),
        ..OAuth::default()
    };
    let site = site(lenient).await;
    let secret = OAuth::default().client_secret;
    let (_, first) = renew(&site, "simulated-consent-0", &secret).await;
    // Within the leeway a token is good again, for an answer that got lost.
    let (status, again) = renew(&site, "simulated-consent-0", &secret).await;
    assert_eq!(status, 200);
    let access = text(&first, "access_token");
    let myself = |base: &str| format!("{base}/rest/api/3/myself");
    let gateway = site.gateway_url();
    let (status, me) = get(myself(&gateway), &access).await;
    assert_eq!(status, 200);
    assert!(me["self"].as_str().unwrap().starts_with(&gateway));
    assert_eq!(get(myself(site.url()), &access).await.0, 401);
    let account = site.settings().account.token.clone();
    assert_eq!(get(myself(&gateway), &account).await.0, 200);
    let (_, mine) = get(myself(site.url()), &account).await;
    assert_eq!(mine["self"], format!("{}/rest/api/3/myself", site.url()));
    let other = text(&again, "access_token");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(get(myself(&gateway), &other).await.0, 401);
}
