//! Pages that name the next one in their headers (RFC 8288, or `x-next-page`).

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use url::Url;

/// A page of a listing.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) body: T,
    /// Address of the next page; none after the last.
    pub(crate) next: Option<Url>,
    /// The site's clock, where it tells it.
    pub(crate) date: Option<DateTime<Utc>>,
}

/// Address of the next page.
pub(super) fn next(headers: &HeaderMap, url: &Url) -> Option<Url> {
    let links = headers.get_all("link").iter();
    let mut links = links
        .filter_map(|value| value.to_str().ok())
        .flat_map(split);
    if let Some(next) = links.find_map(|(target, is_next)| is_next.then_some(target)) {
        return url.join(next).ok();
    }
    let number = headers.get("x-next-page")?.to_str().ok()?.trim();
    let number: u64 = number.parse().ok()?;
    let others = url.query_pairs().into_owned();
    let others: Vec<(String, String)> = others.filter(|(name, _)| name != "page").collect();
    let mut next = url.clone();
    next.query_pairs_mut()
        .clear()
        .extend_pairs(others)
        .append_pair("page", &number.to_string());
    Some(next)
}

/// The targets of a header, and whether each is the next page.
fn split(header: &str) -> Vec<(&str, bool)> {
    let mut found = Vec::new();
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((target, after)) = after.split_once('>') else {
            break;
        };
        let parameters = after.split('<').next().unwrap_or_default();
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            let mut relations = value.trim().trim_matches('"').split_whitespace();
            name.trim().eq_ignore_ascii_case("rel")
                && relations.any(|one| one.eq_ignore_ascii_case("next"))
        });
        found.push((target, is_next));
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_of(name: &'static str, value: &'static str) -> Option<String> {
        let url = Url::parse("https://host/api/things?page=2&state=all").unwrap();
        let headers = [(name.parse().unwrap(), value.parse().unwrap())];
        next(&headers.into_iter().collect(), &url).map(String::from)
    }

    #[test]
    fn the_next_page_is_found_in_every_form() {
        let link = "<https://host/api/things?page=1>; rel=\"prev\", <https://host/api/things?page=3&a=b,c>; rel=\"next\", <https://host/api/things?page=9>; rel=\"last\"";
        assert_eq!(
            next_of("link", link).as_deref(),
            Some("https://host/api/things?page=3&a=b,c")
        );
        assert_eq!(
            next_of("link", "</api/x?cursor=7>; title=y; rel=next").as_deref(),
            Some("https://host/api/x?cursor=7")
        );
        assert_eq!(next_of("link", "<https://host/a>; rel=\"last\""), None);
        assert_eq!(next_of("link", "<https://host/a"), None);
        assert_eq!(next_of("link", "rel=next"), None);
        assert_eq!(
            next_of("x-next-page", "3").as_deref(),
            Some("https://host/api/things?state=all&page=3")
        );
        assert_eq!(next_of("x-next-page", ""), None);
        assert_eq!(next_of("x-total", "3"), None);
    }
}
