//! Which paths there are, on Cloud and on Data Center.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

use crate::server::call::{reading, writing};
use crate::server::{Shared, agile, changelog, gate, issues, oauth, reference, search, worklogs};
use crate::settings::Deployment;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let cloud = shared.settings.deployment == Deployment::Cloud;
    let mut router = agile_routes(Router::new());
    let versions: &[&str] = if cloud {
        &["2", "3", "latest"]
    } else {
        &["2", "latest"]
    };
    for version in versions {
        let prefix = format!("/rest/api/{version}");
        router = common_routes(router, &prefix);
        router = if cloud {
            cloud_routes(router, &prefix)
        } else {
            data_center_routes(router, &prefix)
        };
    }
    if cloud {
        router = software_routes(router).route(
            "/rest/agile/1.0/board/{id}/features",
            reading(agile::features),
        );
    }
    router
        .clone()
        .nest(&shared.gateway(), router)
        .route("/oauth/token", post(oauth::token))
        .route("/oauth/token/accessible-resources", get(oauth::resources))
        .fallback(nothing_here)
        .layer(from_fn_with_state(Arc::clone(&shared), gate::pass))
        .with_state(shared)
}

type Routes = Router<Arc<Shared>>;

fn common_routes(router: Routes, prefix: &str) -> Routes {
    let at = |path: &str| format!("{prefix}{path}");
    router
        .route(&at("/serverInfo"), reading(reference::server_info))
        .route(&at("/myself"), reading(reference::myself))
        .route(&at("/mypermissions"), reading(reference::permissions))
        .route(&at("/field"), reading(reference::fields))
        .route(&at("/status"), reading(reference::statuses))
        .route(
            &at("/statuscategory"),
            reading(reference::status_categories),
        )
        .route(&at("/priority"), reading(reference::priorities))
        .route(&at("/resolution"), reading(reference::resolutions))
        .route(&at("/issuetype"), reading(reference::issue_types))
        .route(&at("/issueLinkType"), reading(reference::link_types))
        .route(&at("/project"), reading(reference::projects))
        .route(&at("/project/{project}"), reading(reference::project))
        .route(
            &at("/project/{project}/versions"),
            reading(reference::versions),
        )
        .route(
            &at("/project/{project}/components"),
            reading(reference::components),
        )
        .route(&at("/user"), reading(reference::user))
        .route(&at("/issue/{issue}"), reading(issues::one))
        .route(&at("/issue/{issue}/comment"), reading(issues::comments))
        .route(
            &at("/issue/{issue}/remotelink"),
            reading(issues::remote_links),
        )
        .route(&at("/issue/{issue}/worklog"), reading(worklogs::of_issue))
        .route(&at("/worklog/updated"), reading(worklogs::updated))
        .route(&at("/worklog/deleted"), reading(worklogs::deleted))
        .route(&at("/worklog/list"), writing(worklogs::by_id))
}

fn cloud_routes(router: Routes, prefix: &str) -> Routes {
    let at = |path: &str| format!("{prefix}{path}");
    router
        .route(
            &at("/search"),
            reading(search::removed).merge(writing(search::removed)),
        )
        .route(&at("/search/id"), writing(search::removed))
        .route(
            &at("/search/jql"),
            reading(search::by_token).merge(writing(search::by_token)),
        )
        .route(&at("/search/approximate-count"), writing(search::count))
        .route(&at("/issue/bulkfetch"), writing(issues::bulk))
        .route(
            &at("/issue/{issue}/changelog"),
            reading(changelog::of_issue),
        )
        .route(&at("/changelog/bulkfetch"), writing(changelog::bulk))
        .route(&at("/field/search"), reading(reference::fields_page))
        .route(&at("/statuses/search"), reading(reference::statuses_page))
        .route(&at("/priority/search"), reading(reference::priorities_page))
        .route(
            &at("/resolution/search"),
            reading(reference::resolutions_page),
        )
        .route(&at("/project/search"), reading(reference::projects_page))
        .route(
            &at("/project/{project}/version"),
            reading(reference::versions_page),
        )
        .route(
            &at("/project/{project}/component"),
            reading(reference::components_page),
        )
        .route(&at("/label"), reading(reference::labels))
        .route(&at("/users"), reading(reference::users))
        .route(&at("/users/search"), reading(reference::users))
        .route(&at("/user/bulk"), reading(reference::users_bulk))
}

fn data_center_routes(router: Routes, prefix: &str) -> Routes {
    let at = |path: &str| format!("{prefix}{path}");
    router
        .route(
            &at("/search"),
            reading(search::by_start).merge(writing(search::by_start)),
        )
        .route(&at("/user/search"), reading(reference::users_by_name))
}

fn agile_routes(router: Routes) -> Routes {
    let at = |path: &str| format!("/rest/agile/1.0{path}");
    let report = "/rest/greenhopper/1.0/rapid/charts/sprintreport";
    router
        .route(&at("/board"), reading(agile::list))
        .route(&at("/board/{id}"), reading(agile::board))
        .route(
            &at("/board/{id}/configuration"),
            reading(agile::configuration),
        )
        .route(&at("/board/{id}/sprint"), reading(agile::sprints))
        .route(&at("/board/{id}/issue"), reading(agile::board_issues))
        .route(&at("/board/{id}/backlog"), reading(agile::backlog))
        .route(
            &at("/board/{id}/sprint/{sprint}/issue"),
            reading(agile::sprint_issues),
        )
        .route(&at("/sprint/{id}"), reading(agile::sprint))
        .route(&at("/sprint/{id}/issue"), reading(agile::sprint_issues))
        .route(report, reading(agile::sprint_report))
        .route(
            &report.replace("1.0", "latest"),
            reading(agile::sprint_report),
        )
}

/// The issue lists that replace those of the agile API.
fn software_routes(router: Routes) -> Routes {
    let at = |path: &str| format!("/rest/software/1.0{path}");
    router
        .route(
            &at("/board/{id}/issue"),
            reading(agile::board_issues_by_token),
        )
        .route(
            &at("/board/{id}/issue/approximate-count"),
            reading(agile::count_board),
        )
        .route(&at("/board/{id}/backlog"), reading(agile::backlog_by_token))
        .route(
            &at("/board/{id}/backlog/approximate-count"),
            reading(agile::count_backlog),
        )
        .route(
            &at("/sprint/{id}/issue/approximate-count"),
            reading(agile::count_sprint),
        )
        .route(
            &at("/board/{id}/sprint/{sprint}/issue"),
            reading(agile::sprint_issues_by_token),
        )
        .route(
            &at("/sprint/{id}/issue"),
            reading(agile::sprint_issues_by_token),
        )
}

async fn nothing_here(uri: Uri) -> Response {
    let message = format!("null for uri: {}", uri.path());
    (
        StatusCode::NOT_FOUND,
        Json(json!({"message": message, "status-code": 404})),
    )
        .into_response()
}
