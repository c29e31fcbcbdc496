//! Reference data: what a site lists in full.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Api, Deployment, Offered, offered};
use crate::Result;
use crate::http::Patience;

/// Users of one page.
const USERS: u32 = 1000;

/// A listing, if the site offers it.
type Listed = Result<Offered<Vec<Box<RawValue>>>>;

impl Api<'_> {
    pub(crate) async fn projects(&self) -> Listed {
        let lead = ("expand", "lead".to_string());
        match self.deployment {
            Deployment::Cloud => {
                let live = ("status", "live".to_string());
                let archived = ("status", "archived".to_string());
                let path = "rest/api/3/project/search";
                offered(self.values(path, &[lead, live, archived]).await)
            }
            Deployment::DataCenter => {
                let query = [lead, ("includeArchived", "true".to_string())];
                let path = "rest/api/2/project";
                offered(self.client.get(path, &query, Patience::Patient).await)
            }
        }
    }

    pub(crate) async fn boards(&self) -> Listed {
        offered(self.values("rest/agile/1.0/board", &[]).await)
    }

    pub(crate) async fn board_configuration(
        &self,
        board_id: i64,
    ) -> Result<Offered<Box<RawValue>>> {
        let path = format!("rest/agile/1.0/board/{board_id}/configuration");
        offered(self.get(&path).await)
    }

    /// What a board can do; Data Center doesn't tell.
    pub(crate) async fn board_features(&self, board_id: i64) -> Result<Offered<Box<RawValue>>> {
        let path = format!("rest/agile/1.0/board/{board_id}/features");
        offered(self.get(&path).await)
    }

    pub(crate) async fn board_sprints(&self, board_id: i64) -> Listed {
        let path = format!("rest/agile/1.0/board/{board_id}/sprint");
        offered(self.values(&path, &[]).await)
    }

    /// The sprint report of a closed sprint, as people see it on a board. The resource is not documented.
    pub(crate) async fn sprint_report(
        &self,
        board_id: i64,
        sprint_id: i64,
    ) -> Result<Offered<Box<RawValue>>> {
        let path = "rest/greenhopper/1.0/rapid/charts/sprintreport";
        let query = [
            ("rapidViewId", board_id.to_string()),
            ("sprintId", sprint_id.to_string()),
        ];
        offered(self.client.get(path, &query, Patience::Patient).await)
    }

    pub(crate) async fn statuses(&self) -> Listed {
        offered(self.get(&self.at("status")).await)
    }

    pub(crate) async fn fields(&self) -> Listed {
        offered(self.get(&self.at("field")).await)
    }

    /// Fields that [`Api::fields`] may lack. Data Center lists all in one.
    pub(crate) async fn searched_fields(&self) -> Listed {
        match self.deployment {
            Deployment::Cloud => offered(self.values("rest/api/3/field/search", &[]).await),
            Deployment::DataCenter => Ok(Offered::Yes(Vec::new())),
        }
    }

    pub(crate) async fn issue_types(&self) -> Listed {
        offered(self.get(&self.at("issuetype")).await)
    }

    pub(crate) async fn priorities(&self) -> Listed {
        self.paged_on_cloud("priority/search", "priority").await
    }

    pub(crate) async fn resolutions(&self) -> Listed {
        self.paged_on_cloud("resolution/search", "resolution").await
    }

    pub(crate) async fn link_types(&self) -> Listed {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Types {
            issue_link_types: Vec<Box<RawValue>>,
        }
        let types: Result<Types> = self.get(&self.at("issueLinkType")).await;
        offered(types.map(|types| types.issue_link_types))
    }

    pub(crate) async fn versions(&self, project_id: i64) -> Listed {
        let paged = format!("project/{project_id}/version");
        self.paged_on_cloud(&paged, &format!("{paged}s")).await
    }

    pub(crate) async fn components(&self, project_id: i64) -> Listed {
        let paged = format!("project/{project_id}/component");
        self.paged_on_cloud(&paged, &format!("{paged}s")).await
    }

    /// All users; the endpoint gives bare arrays and doesn't say which is the last.
    pub(crate) async fn users(&self) -> Listed {
        let (path, all) = match self.deployment {
            Deployment::Cloud => ("rest/api/3/users/search", Vec::new()),
            // Of some versions an empty search finds nobody (JRASERVER-65089); a point finds all.
            Deployment::DataCenter => (
                "rest/api/2/user/search",
                vec![
                    ("username", ".".to_string()),
                    ("includeInactive", "true".to_string()),
                ],
            ),
        };
        let mut users: Vec<Box<RawValue>> = Vec::new();
        loop {
            let mut query = all.clone();
            query.push(("startAt", users.len().to_string()));
            query.push(("maxResults", USERS.to_string()));
            let page: Vec<Box<RawValue>> =
                match offered(self.client.get(path, &query, Patience::Patient).await)? {
                    Offered::Yes(page) => page,
                    Offered::No(reason) => return Ok(Offered::No(reason)),
                };
            let repeated = page
                .first()
                .is_some_and(|one| users.iter().any(|user| user.get() == one.get()));
            if page.is_empty() || repeated {
                return Ok(Offered::Yes(users));
            }
            users.extend(page);
        }
    }

    /// A listing that has pages on Cloud and is one array on Data Center.
    async fn paged_on_cloud(&self, cloud: &str, data_center: &str) -> Listed {
        match self.deployment {
            Deployment::Cloud => offered(self.values(&self.at(cloud), &[]).await),
            Deployment::DataCenter => offered(self.get(&self.at(data_center)).await),
        }
    }
}
