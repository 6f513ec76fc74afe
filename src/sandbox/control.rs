//! The control endpoints under `/sandbox`, without tokens, limits and faults. docs/SANDBOX.md shows each with curl.

mod answer;
mod conversations;
mod faults;
mod switches;

use axum::Router;
use axum::routing::{get, post};
use http::StatusCode;

use super::gate;
use super::state::Sandbox;
use answer::ControlRefused;

impl Sandbox {
    /// All endpoints, of the upstream and for control, as a service.
    pub fn router(&self) -> Router {
        router().fallback(gate::pass).with_state(self.clone())
    }
}

/// All control endpoints.
fn router() -> Router<Sandbox> {
    let routes = Router::new()
        .route("/conversations", get(conversations::list).post(conversations::create).delete(conversations::forget_all))
        .route("/conversations/{id}/participants", post(conversations::add_participant))
        .route("/queues", get(conversations::queues).post(conversations::add_queue))
        .route("/conversations/{id}", get(conversations::show).delete(conversations::end))
        .route("/clock", get(conversations::time).post(conversations::schedule))
        .route("/faults", get(faults::list).post(faults::add).put(faults::replace).delete(faults::clear))
        .route("/faults/{id}", get(faults::show).delete(faults::remove))
        .route("/tokens", get(switches::tokens).patch(switches::change_tokens).delete(switches::revoke))
        .route("/settings", get(switches::settings).patch(switches::change_settings))
        .route("/journal", get(switches::journal).delete(switches::clear_journal))
        .route("/reset", post(switches::reset))
        .fallback(async || ControlRefused::missing("such control endpoint; docs/SANDBOX.md lists them"))
        .method_not_allowed_fallback(async || {
            ControlRefused(
                StatusCode::METHOD_NOT_ALLOWED,
                "this control endpoint has other methods; see docs/SANDBOX.md".to_owned(),
            )
        });
    Router::new().nest("/sandbox", routes)
}
