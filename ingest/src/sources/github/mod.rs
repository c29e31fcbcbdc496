//! GitHub, and GitHub Enterprise Server: addresses and names of its REST API.

mod rows;

use serde_json::Value;

use super::git::{Address, Ask, Dialect, Mapped, PageShape, Part, Refusal, Whole};

/// Entries of one page.
const PAGE: &str = "100";

/// What GitHub says in its way.
pub(crate) struct GitHub;

impl Dialect for GitHub {
    fn name(&self) -> &'static str {
        "GitHub"
    }

    fn url_hint(&self) -> &'static str {
        "https://api.github.com, or https://HOST/api/v3 of an Enterprise Server"
    }

    fn address(&self, ask: Ask<'_>) -> Option<Address> {
        let page = || ("per_page", PAGE.to_string());
        let (path, query) = match ask {
            Ask::Account => ("user".to_string(), vec![]),
            Ask::Version => return None,
            Ask::Repositories => {
                let sort = ("sort", "full_name".to_string());
                ("user/repos".to_string(), vec![sort, page()])
            }
            Ask::Repository(name) => (format!("repos/{name}"), vec![]),
            Ask::Listing("pull_requests", repository, _) => (
                format!("repos/{}/pulls", repository.full_name),
                vec![
                    ("state", "all".to_string()),
                    ("sort", "updated".to_string()),
                    ("direction", "desc".to_string()),
                    page(),
                ],
            ),
            Ask::Listing(_, repository, _) => (
                format!("repos/{}/deployments", repository.full_name),
                vec![page()],
            ),
            Ask::Record("pull_requests", repository, number, _) => (
                format!("repos/{}/pulls/{number}", repository.full_name),
                vec![],
            ),
            Ask::Record(_, repository, _, id) => (
                format!("repos/{}/deployments/{id}", repository.full_name),
                vec![],
            ),
            Ask::Part("statuses", repository, _, id) => (
                format!("repos/{}/deployments/{id}/statuses", repository.full_name),
                vec![page()],
            ),
            Ask::Part(part, repository, number, _) => (
                format!("repos/{}/pulls/{number}/{part}", repository.full_name),
                vec![page()],
            ),
            Ask::Head(repository, branch) => (
                format!("repos/{}/commits", repository.full_name),
                vec![("sha", branch.to_string()), ("per_page", "1".to_string())],
            ),
            Ask::Reachable(repository, sha, number) => (
                format!("repos/{}/commits", repository.full_name),
                vec![
                    ("sha", sha.to_string()),
                    ("page", number.to_string()),
                    page(),
                ],
            ),
            Ask::Between(repository, from, to) => (
                format!("repos/{}/compare/{from}...{to}", repository.full_name),
                vec![page()],
            ),
        };
        Some((path, query))
    }

    fn comparison(&self) -> PageShape {
        PageShape::Comparison
    }

    fn is_repository_name(&self, name: &str) -> bool {
        rows::is_full_name(name)
    }

    fn number(&self) -> &'static str {
        "number"
    }

    fn listed_by(&self, stream: &'static str) -> &'static str {
        match stream {
            "deployments" => "created_at",
            _ => "updated_at",
        }
    }

    fn is_listed_in_part(&self, stream: &'static str) -> bool {
        stream == "pull_requests"
    }

    fn parts(&self, stream: &'static str) -> &'static [Part] {
        match stream {
            "pull_requests" => &[
                Part {
                    name: "reviews",
                    pages: 10,
                },
                // GitHub shows 250 at most.
                Part {
                    name: "commits",
                    pages: 3,
                },
            ],
            _ => &[Part {
                name: "statuses",
                pages: 10,
            }],
        }
    }

    fn asks_open_deployments_again(&self) -> bool {
        true
    }

    fn lists_commits_backwards(&self) -> bool {
        false
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
