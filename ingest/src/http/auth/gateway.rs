//! Which cloud id a site has: the gateway tells it to an app that was admitted to the site.

use reqwest::header::HeaderValue;
use serde::Deserialize;
use url::Url;

use super::super::transport;
use crate::http::Limits;
use crate::{Connection, Error, Result};

/// A site that an app was admitted to.
#[derive(Debug, Deserialize)]
struct Resource {
    #[serde(default)]
    id: String,
    #[serde(default)]
    url: String,
}

/// The cloud id of the connection's site.
pub(super) async fn cloud_id(
    connection: &Connection,
    site: &Url,
    limits: &Limits,
    header: &HeaderValue,
) -> Result<String> {
    let url = connection.resources()?;
    let http = transport::client(connection, &url, limits)?;
    let request = http
        .get(url.clone())
        .header("authorization", header.clone());
    let answer = transport::ask(request, "GET", &url, limits).await?;
    if answer.status != 200 {
        let call = answer.call;
        return Err(match answer.status {
            401 | 403 => Error::Unauthorized { call },
            status @ 500..=599 => Error::Failing {
                call,
                status,
                tries: answer.tries,
            },
            status => Error::Refused {
                call,
                status,
                message: crate::error::excerpt(&answer.body),
            },
        });
    }
    let resources: Vec<Resource> =
        serde_json::from_slice(&answer.body).map_err(|error| Error::BadPage {
            call: answer.call,
            status: answer.status,
            tries: answer.tries,
            reason: error.to_string(),
            excerpt: crate::error::excerpt(&answer.body),
        })?;
    chosen(connection, site, &resources)
}

fn chosen(connection: &Connection, site: &Url, resources: &[Resource]) -> Result<String> {
    let place = |url: &Url| Some((url.host_str()?.to_lowercase(), url.port_or_known_default()));
    let found = resources.iter().find(|one| {
        let url = Url::parse(&one.url).ok();
        url.as_ref()
            .and_then(place)
            .is_some_and(|of| Some(of) == place(site))
    });
    found.map(|one| one.id.clone()).ok_or_else(|| {
        let urls: Vec<_> = resources.iter().map(|one| one.url.as_str()).collect();
        let seen = match urls.as_slice() {
            [] => "no site".to_string(),
            urls => crate::error::excerpt(urls.join(", ").as_bytes()),
        };
        connection.refuse(format!(
            "the app was admitted to {seen}, not to {site}; correct url, admit the app to the site, or set cloud_id"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::tests::connection;

    #[test]
    fn the_site_is_found_by_its_address() {
        let one = connection("https://Acme.atlassian.net/");
        let resource = |id: &str, url: &str| Resource {
            id: id.into(),
            url: url.into(),
        };
        let resources = [
            resource("1", "https://other.atlassian.net"),
            resource("2", "https://acme.atlassian.net"),
            resource("3", "nonsense"),
        ];
        let site = one.base().unwrap();
        assert_eq!(chosen(&one, &site, &resources).unwrap(), "2");
        let error = chosen(&one, &site, &resources[..1])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("admitted to https://other.atlassian.net, not to https://acme"),
            "{error}"
        );
        let error = chosen(&one, &site, &[]).unwrap_err().to_string();
        assert!(error.contains("admitted to no site"), "{error}");
    }
}
