//! REST.
//!
//! Every read comes from one release, which its `ETag` names; every answer carries an id that the
//! log has too; every error has the same envelope.

mod boards;
mod error;
mod health;
mod local;
mod metrics;
mod pipelines;
mod read;
mod releases;
mod request;
mod runs;
mod sprints;
mod sql;
mod streams;
mod webhooks;

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use tokio::sync::watch;
use tower::util::MapRequest;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};
use warehouse::Warehouse;

use crate::Webhooks;

pub(crate) use metrics::install as install_metrics;
pub use webhooks::WebhookSecret;

/// Largest body of a request; webhooks have a limit of their own.
const BODY: usize = 1 << 20;
/// Longest time until an answer begins; queries have their own, shorter deadline.
const ANSWER: Duration = Duration::from_secs(600);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sprint Reports",
        description = "Sprints, their reports, and the releases they come from. Every read comes from one release: `ETag` names it, `as_of` chooses an older one. Errors have one envelope; its `request_id` is in the log and in `X-Correlation-ID`. Paths under `/api` answer with and without a last slash.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        contact(name = "Sprint Reports"),
    ),
    tags(
        (name = "sprints", description = "Sprints and what became of their issues"),
        (name = "boards", description = "Figures over the sprints of a board"),
        (name = "releases", description = "Published states of all tables"),
        (name = "pipelines", description = "Jobs that run by themselves, their runs, and what happens"),
        (name = "sql", description = "Ad hoc queries"),
        (name = "webhooks", description = "Events that sources send"),
        (name = "operation", description = "Health and metrics"),
    ),
    servers((url = "/", description = "This server")),
)]
struct Api;

fn routed() -> OpenApiRouter<Warehouse> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(health::overall))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
        .routes(routes!(releases::list))
        .routes(routes!(sprints::one))
        .routes(routes!(sprints::report))
        .routes(routes!(sprints::burndown))
        .routes(routes!(boards::velocity))
        .routes(routes!(sql::run))
        .routes(routes!(pipelines::list))
        .routes(routes!(pipelines::one))
        .routes(routes!(pipelines::run))
        .routes(routes!(runs::list))
        .routes(routes!(runs::one))
        .routes(routes!(runs::cancel))
        .routes(routes!(runs::follow))
        .routes(routes!(streams::events))
        // Documented with its last slash, as clients know it; the slash is taken off before routing.
        .merge(
            OpenApiRouter::<Warehouse>::with_openapi(Listed::openapi())
                .route("/api/v1/sprints", get(sprints::list)),
        )
        .layer(RequestBodyLimitLayer::new(BODY))
        .merge(
            OpenApiRouter::default()
                .routes(routes!(webhooks::any))
                .routes(routes!(webhooks::of_connection)),
        )
}

#[derive(OpenApi)]
#[openapi(paths(sprints::list))]
struct Listed;

/// The description of all paths (OpenAPI 3.1).
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().to_openapi()
}

/// The routes behind the rule that a slash at the end of a path makes no difference.
type Service = MapRequest<Router, fn(Request<Body>) -> Request<Body>>;

/// All routes, for the address that they are served on.
pub(crate) fn service(
    warehouse: Warehouse,
    address: SocketAddr,
    webhooks: Webhooks,
    stopping: watch::Receiver<bool>,
) -> Service {
    let (router, api) = routed().split_for_parts();
    let page = SwaggerUi::new("/docs")
        .url("/api/v1/openapi.json", api)
        .config(Config::default().use_base_layout());
    let router = router
        .with_state(warehouse)
        .merge(page)
        .method_not_allowed_fallback(error::wrong_method)
        .fallback(error::not_found)
        .layer(Extension(local::Local(address.ip().is_loopback())))
        .layer(Extension(streams::Streams::new(stopping)))
        .layer(Extension(webhooks::Hooks::new(webhooks)))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            ANSWER,
        ))
        .layer(CatchPanicLayer::custom(panicked as fn(_) -> _))
        .layer(axum::middleware::from_fn(request::observe));
    MapRequest::new(router, request::without_slash as fn(_) -> _)
}

fn panicked(cause: Box<dyn std::any::Any + Send + 'static>) -> Response {
    error::panicked(cause)
}
