//! The HTTP side: routes, and what every request passes on its way in.

mod answer;
mod callers;
mod docs;
mod exchange;
mod fallback;
mod health;
mod input;
mod mission;
pub mod routes;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;

use crate::callers::Callers;
use crate::callers::proxies::TrustedProxies;
use crate::disconnect::outcome::Settled;
use crate::disconnect::{Disconnector, Request as Mission};
use crate::metrics::Metrics;
use crate::problem::{Code, Problem};
use crate::shutdown::Shutdown;

pub use docs::OPENAPI;

/// What handlers share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<Shared>);

/// See [`App`].
#[derive(Debug)]
pub struct Shared {
    /// The use case.
    pub disconnector: Disconnector,
    /// Who may call.
    pub callers: Callers,
    /// Whose `X-Forwarded-For` is believed.
    pub proxies: TrustedProxies,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The steps of leaving.
    pub shutdown: Shutdown,
    /// Work that outlives its caller.
    pub tasks: TaskTracker,
    /// Anybody on loopback may call, so pages in a browser there must be kept away.
    pub keeps_pages_away: bool,
    /// Largest body, in bytes.
    pub max_body: usize,
    /// Longest time for a body.
    pub body_timeout: Duration,
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

    /// Carries a mission out in a task of its own: a caller that hangs up does not stop it.
    async fn carry_out(&self, mission: Mission) -> Result<Settled, Problem> {
        let (disconnector, kill) = (self.disconnector.clone(), self.shutdown.kill.clone());
        let task = self.tasks.spawn(async move {
            let abandoned = || {
                tracing::error!(
                    event = "abandoned", conversation_id = %mission.conversation, participant_id = %mission.participant,
                    caller = &*mission.origin.caller, request_id = &*mission.origin.request_id,
                    "gave a mission up at the end of the drain time; its effect is unknown"
                );
                let detail = "this instance had to stop before the mission was done; repeat the request";
                Err(Problem::new(Code::ShuttingDown, detail).effect(true))
            };
            kill.run_until_cancelled(disconnector.disconnect(&mission)).await.unwrap_or_else(abandoned)
        });
        task.await.unwrap_or_else(|_| Err(internal()))
    }
}

fn internal() -> Problem {
    Problem::new(Code::Internal, "an error of our own, which is logged; repeat the request").effect(true)
}

/// Which routes a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
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

/// The router of one listener.
pub fn router(app: &App, door: Door) -> Router {
    let mut router = Router::new();
    if door != Door::Admin {
        router = router.route(routes::DISCONNECT, post(mission::disconnect)).route(routes::OPENAPI, get(docs::openapi));
    }
    if door != Door::Callers {
        router = router.route(routes::LIVEZ, get(health::livez)).route(routes::READYZ, get(health::readyz));
    }
    if matches!(door, Door::Admin | Door::Both { metrics: true }) {
        router = router.route(routes::METRICS, get(health::metrics));
    }
    router
        .fallback(fallback::no_such_route)
        .method_not_allowed_fallback(fallback::method_not_allowed)
        .layer(CatchPanicLayer::custom(|panic: Box<dyn Any + Send>| panicked(&*panic)))
        .layer(from_fn_with_state(app.clone(), exchange::layer))
        .with_state(app.clone())
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(event = "panic", cause = text.unwrap_or("unknown"), "a handler panicked");
    internal().into_response()
}
