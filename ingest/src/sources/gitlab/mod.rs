//! GitLab, on gitlab.com or self-managed: addresses and names of its REST API (v4).

mod rows;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

use super::git::{Address, Ask, Dialect, Mapped, PageShape, Part, Refusal, Whole};

/// Entries of one page.
const PAGE: &str = "100";

/// What GitLab says in its way.
pub(crate) struct GitLab;

impl Dialect for GitLab {
    fn name(&self) -> &'static str {
        "GitLab"
    }

    fn url_hint(&self) -> &'static str {
        "https://gitlab.com, or the address of your own GitLab without /api"
    }

    fn address(&self, ask: Ask<'_>) -> Option<Address> {
        let page = || ("per_page", PAGE.to_string());
        let (path, query) = match ask {
            Ask::Account => ("user".to_string(), vec![]),
            Ask::Version => ("version".to_string(), vec![]),
            Ask::Repositories => (
                "projects".to_string(),
                vec![
                    ("membership", "true".to_string()),
                    ("order_by", "id".to_string()),
                    ("sort", "asc".to_string()),
                    ("pagination", "keyset".to_string()),
                    page(),
                ],
            ),
            Ask::Repository(name) => (format!("projects/{}", name.replace('/', "%2F")), vec![]),
            Ask::Listing("pull_requests", repository, since) => {
                let mut query = newest_first();
                query.push(("state", "all".to_string()));
                query.extend(since.map(updated_after));
                (format!("projects/{}/merge_requests", repository.id), query)
            }
            Ask::Listing(_, repository, since) => {
                let mut query = newest_first();
                // One is refused without the other.
                query.push(updated_after(since.unwrap_or_default()));
                (format!("projects/{}/deployments", repository.id), query)
            }
            // Listings tell all that a record tells.
            Ask::Record(..) => return None,
            Ask::Part("notes", repository, number, _) => (
                format!("projects/{}/merge_requests/{number}/notes", repository.id),
                vec![
                    ("order_by", "created_at".to_string()),
                    ("sort", "asc".to_string()),
                    page(),
                ],
            ),
            Ask::Part(part, repository, number, _) => (
                format!("projects/{}/merge_requests/{number}/{part}", repository.id),
                vec![page()],
            ),
            Ask::Head(repository, branch) => (
                format!("projects/{}/repository/commits", repository.id),
                vec![
                    ("ref_name", branch.to_string()),
                    ("per_page", "1".to_string()),
                ],
            ),
            Ask::Reachable(repository, sha, number) => (
                format!("projects/{}/repository/commits", repository.id),
                vec![
                    ("ref_name", sha.to_string()),
                    ("page", number.to_string()),
                    page(),
                ],
            ),
            Ask::Between(repository, from, to) => (
                format!("projects/{}/repository/commits", repository.id),
                vec![("ref_name", format!("{from}..{to}")), page()],
            ),
        };
        Some((format!("api/v4/{path}"), query))
    }

    fn comparison(&self) -> PageShape {
        PageShape::List
    }

    fn is_repository_name(&self, name: &str) -> bool {
        rows::is_path(name)
    }

    fn number(&self) -> &'static str {
        "iid"
    }

    fn listed_by(&self, _: &'static str) -> &'static str {
        "updated_at"
    }

    fn is_listed_in_part(&self, _: &'static str) -> bool {
        false
    }

    fn parts(&self, stream: &'static str) -> &'static [Part] {
        match stream {
            "pull_requests" => &[
                Part {
                    name: "notes",
                    pages: 5,
                },
                Part {
                    name: "commits",
                    pages: 10,
                },
            ],
            _ => &[],
        }
    }

    fn asks_open_deployments_again(&self) -> bool {
        false
    }

    fn lists_commits_backwards(&self) -> bool {
        true
    }

    fn repository(&self, row: &mut Mapped, record: &Value) -> Result<(), Refusal> {
        rows::repository(row, record)
    }

    fn pull_request(&self, row: &mut Mapped, whole: &Whole) -> Result<(), Refusal> {
        rows::pull_request(row, whole)
    }

    fn commit(&self, row: &mut Mapped, record: &Value) -> Result<(), Refusal> {
        rows::commit(row, record)
    }

    fn deployment(&self, row: &mut Mapped, whole: &Whole) -> Result<(), Refusal> {
        rows::deployment(row, whole)
    }
}

fn newest_first() -> Vec<(&'static str, String)> {
    vec![
        ("order_by", "updated_at".to_string()),
        ("sort", "desc".to_string()),
        ("per_page", PAGE.to_string()),
    ]
}

fn updated_after(since: DateTime<Utc>) -> (&'static str, String) {
    let text = since.to_rfc3339_opts(SecondsFormat::Millis, true);
    ("updated_after", text)
}
