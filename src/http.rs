//! The HTTP side: routes, and what every request passes on its way in.

mod answer;
mod audit;
mod audited;
mod callers;
mod context;
mod conversations;
mod disconnect;
mod docs;
mod dropin;
mod edge;
mod fallback;
mod health;
mod in_process;
mod input;
mod jobs;
mod mode;
mod oauth;
mod path;
mod prefix;
mod recent_errors;
mod refused;
pub mod routes;
mod search;
mod selector;
mod span;
mod status;
mod teardown;
mod upstream_form;

use std::any::Any;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, patch, post};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use tokio_util::task::TaskTracker;
use tower::ServiceBuilder;
use tower::util::MapRequest;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tracing_appender::non_blocking::ErrorCounter;

use crate::audit::Audit;
use crate::callers::Callers;
use crate::callers::proxies::TrustedProxies;
use crate::claims::Claims;
use crate::disconnect::{Disconnector, Watch, internal};
use crate::fleet::Fleet;
use crate::genesys::request::Medium;
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::search::Search;
use crate::server::ServeStats;
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::telemetry::traces::Traces;

pub use docs::{OPENAPI, OPENAPI_JSON};
pub use in_process::{Aside, InProcess};
pub use recent_errors::{RecentError, RecentErrors};

/// What handlers share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<Shared>);

/// See [`App`].
#[derive(Debug)]
pub struct Shared {
    /// The use case.
    pub disconnector: Disconnector,
    /// Reads that those who watch a conversation share.
    pub watch: Watch,
    /// Finding live conversations.
    pub search: Search,
    /// Who may call.
    pub callers: Callers,
    /// Whose `X-Forwarded-For` is believed.
    pub proxies: TrustedProxies,
    /// Whom requests may reach.
    pub claims: Claims,
    /// What is queued.
    pub jobs: Jobs,
    /// The other replicas.
    pub fleet: Fleet,
    /// What outlives the process.
    pub store: Store,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Who disconnected whom.
    pub audit: Audit,
    /// Where spans go.
    pub traces: Traces,
    /// Connections of the callers' listener.
    pub connections: Arc<ServeStats>,
    /// Log lines that were dropped, where somebody has installed a log.
    pub log_dropped: OnceLock<ErrorCounter>,
    /// The steps of leaving.
    pub shutdown: Shutdown,
    /// Work that outlives its caller.
    pub tasks: TaskTracker,
    /// When the process started.
    pub started: Started,
    /// The last errors, for the status.
    pub recent_errors: RecentErrors,
    /// Whether the main listener is on loopback: pages in a browser there must be kept away.
    pub on_loopback: bool,
    /// The same for the listener of the operators' side.
    pub admin_on_loopback: bool,
    /// Largest body, in bytes.
    pub max_body: usize,
    /// Longest time for a body.
    pub body_timeout: Duration,
}

/// A moment on the clock for durations and in words.
#[derive(Debug)]
pub struct Started {
    /// For durations.
    pub at: tokio::time::Instant,
    /// RFC 3339, UTC.
    pub text: String,
}

impl Default for Started {
    fn default() -> Self {
        Self { at: tokio::time::Instant::now(), text: crate::audit::now() }
    }
}

impl std::ops::Deref for App {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// Shares these between handlers.
    #[must_use]
    pub fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

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

/// The routes of one listener. To callers it also gives `pages`, which ask what they show of the routes that they are given.
pub fn router(app: &App, listener: Listener, pages: impl FnOnce(Routes) -> Router) -> Routes {
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
                let end =
                    move |app, who, path, query, body| dropin::teardown::patch(medium, app, who, path, query, body);
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
    // Beyond loopback without keys, whoever reaches the operators' listener is not known.
    if listener != Listener::Admin || on_loopback || !app.callers.is_keyless() {
        router = router.route(routes::MODE, get(mode::get).put(mode::put)).route(routes::STATUS, get(status::get));
    }
    let router = router
        .fallback(fallback::no_such_route)
        .method_not_allowed_fallback(fallback::method_not_allowed)
        // One layer of the router, for each of them costs every request a box and a clone.
        .layer(
            ServiceBuilder::new()
                // What we answer is about people of this moment: nobody keeps it, and nobody takes it for something else.
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
        _ => stripped(router.clone().merge(pages(stripped(router)))),
    }
}

fn patch_of(medium: Option<Medium>) -> MethodRouter<App> {
    patch(move |app, who, path, query, seen, body| dropin::patch(medium, app, who, path, query, seen, body))
}

fn read_of(medium: Option<Medium>) -> MethodRouter<App> {
    get(move |app, who, path| dropin::read(medium, app, who, path))
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(event = "panic", cause = text.unwrap_or("unknown"), "a handler panicked");
    internal().into_response()
}
