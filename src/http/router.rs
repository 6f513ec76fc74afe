//! Which handler answers which path, on which listener.

use std::any::Any;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, patch, post};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use tower::ServiceBuilder;
use tower::util::MapRequest;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use super::app::AppState;
use super::{
    audit, conversations, disconnect, docs, dropin, edge, fallback, health, jobs, mode, oauth, pages, prefix, routes,
    search, selector, status, teardown,
};
use crate::disconnect::internal;
use crate::medium::Medium;

/// Which routes a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Callers and operations.
    Both {
        /// Whether `/metrics` is among them.
        metrics: bool,
    },
    /// Callers only: operations have a listener of their own.
    Callers,
    /// Operations only.
    Admin,
}

/// What serves the requests of one listener: the router, behind the prefix that is taken off before routing.
pub type Routes = MapRequest<Router, fn(Request) -> Request>;

/// The routes of one listener. A listener for callers also serves the pages of `console`, which is given these routes to ask them
/// for what it shows.
pub fn router(app: &AppState, listener: Listener, console: impl FnOnce(Routes) -> Router) -> Routes {
    let mut router = Router::new();
    if listener != Listener::Admin {
        router = router
            .route(routes::DISCONNECT, post(disconnect::disconnect))
            .route(routes::CONVERSATIONS, get(search::find))
            .route(routes::CONVERSATION, get(conversations::short))
            .route(routes::PARTICIPANTS, get(conversations::participants))
            .route(routes::SELECTOR, post(selector::disconnect))
            .route(routes::TEARDOWN, post(teardown::disconnect))
            .route(routes::JOBS, get(jobs::list).post(jobs::create))
            .route(routes::JOB, get(jobs::get))
            .route(routes::JOB_ITEMS, get(jobs::items))
            .route(routes::JOB_START, post(jobs::start))
            .route(routes::JOB_PAUSE, post(jobs::pause))
            .route(routes::JOB_RESUME, post(jobs::resume))
            .route(routes::JOB_CANCEL, post(jobs::cancel))
            .route(routes::AUDIT, get(audit::get))
            .route(routes::TOKEN, post(oauth::token))
            .route(routes::API_DISCONNECT, post(dropin::post))
            .route(routes::API_TEARDOWN, post(dropin::teardown::post))
            .route(routes::API_PARTICIPANT, patch_of(None))
            .route(routes::API_CONVERSATION, read_of(None))
            .merge(docs::routes());
        // One route for each medium: a parameter in this place would swallow the other paths' ids.
        for medium in Medium::ALL {
            let path = |template: &str| template.replace("{media}", medium.segment());
            router = router.route(&path(routes::API_MEDIUM_PARTICIPANT), patch_of(Some(medium)));
            if medium.is_read_by_path() {
                let end = move |app, who, path, query, seen, body| {
                    dropin::teardown::patch(medium, app, who, path, query, seen, body)
                };
                router = router.route(&path(routes::API_MEDIUM), read_of(Some(medium)).patch(end));
            }
        }
    }
    if listener != Listener::Callers {
        router = router.route(routes::LIVEZ, get(health::livez)).route(routes::READYZ, get(health::readyz));
    }
    if matches!(listener, Listener::Admin | Listener::Both { metrics: true }) {
        router = router.route(routes::METRICS, get(health::metrics));
    }
    let on_loopback = if listener == Listener::Admin { app.admin_on_loopback } else { app.on_loopback };
    // Beyond loopback without keys, any stranger can reach the operators' listener.
    if listener != Listener::Admin || on_loopback || !app.callers.is_keyless() {
        router = router.route(routes::MODE, get(mode::get).put(mode::put)).route(routes::STATUS, get(status::get));
    }
    let router = router
        .fallback(fallback::no_such_route)
        .method_not_allowed_fallback(fallback::method_not_allowed)
        // One layer for all, because each layer costs every request a box and a clone.
        .layer(
            ServiceBuilder::new()
                // Answers are about people at this moment: they must not be cached, nor taken for another type.
                .layer(SetResponseHeaderLayer::overriding(CACHE_CONTROL, HeaderValue::from_static("no-store")))
                .layer(SetResponseHeaderLayer::overriding(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
                .layer(from_fn_with_state((app.clone(), on_loopback), edge::layer))
                .layer(CatchPanicLayer::custom(|panic: Box<dyn Any + Send>| panicked(&*panic))),
        )
        .with_state(app.clone());
    // Around the router: a layer of the router itself would come after routing.
    let stripped = |router| MapRequest::new(router, prefix::strip as fn(Request) -> Request);
    match listener {
        Listener::Admin => stripped(router),
        _ => stripped(
            router.clone().merge(console(stripped(router)).layer(from_fn_with_state(app.clone(), pages::layer))),
        ),
    }
}

fn patch_of(medium: Option<Medium>) -> MethodRouter<AppState> {
    patch(move |app, who, path, query, seen, body| dropin::patch(medium, app, who, path, query, seen, body))
}

fn read_of(medium: Option<Medium>) -> MethodRouter<AppState> {
    get(move |app, who, path| dropin::read(medium, app, who, path))
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(event = "panic", cause = text.unwrap_or("unknown"), "a handler panicked");
    internal().into_response()
}
