//! The control surface under `/sandbox`: no tokens, no limits, no faults. docs/SANDBOX.md shows each with curl.

mod conversations;
mod faults;
mod switches;

use axum::Router;
use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer::with_json;
use super::gate;
use super::spec::SpecError;
use super::state::Sandbox;

/// Why a control call is refused; the text names the member or the id.
#[derive(Debug)]
struct Refused(StatusCode, String);

type Answer = Result<Response, Refused>;

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        with_json(self.0, &json!({ "ok": false, "message": self.1 }))
    }
}

impl Refused {
    fn bad(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }

    fn missing(what: &str) -> Self {
        Self(StatusCode::NOT_FOUND, format!("there is no {what}"))
    }
}

impl From<SpecError> for Refused {
    fn from(error: SpecError) -> Self {
        let status = match error {
            SpecError::IdTaken(_) => StatusCode::CONFLICT,
            SpecError::Invalid(_) => StatusCode::BAD_REQUEST,
        };
        Self(status, error.to_string())
    }
}

impl Sandbox {
    /// The whole surface, upstream and control, as a service.
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
        .fallback(async || Refused::missing("such control endpoint; docs/SANDBOX.md lists them"))
        .method_not_allowed_fallback(async || {
            Refused(
                StatusCode::METHOD_NOT_ALLOWED,
                "this control endpoint has other methods; see docs/SANDBOX.md".to_owned(),
            )
        });
    Router::new().nest("/sandbox", routes)
}

fn ok(body: &Value) -> Answer {
    Ok(with_json(StatusCode::OK, body))
}

/// The body as JSON, an empty one as `{}`.
fn value(body: &Bytes) -> Result<Value, Refused> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body).map_err(|e| Refused::bad(format!("the body is not valid JSON: {e}")))
}

fn parsed<T: DeserializeOwned>(value: Value) -> Result<T, Refused> {
    serde_json::from_value(value).map_err(|e| Refused::bad(e.to_string()))
}

/// The query as pairs, all of which must have one of these names.
fn query(query: Option<&str>, names: &[&str]) -> Result<Vec<(String, String)>, Refused> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs
        .map(|(name, value)| {
            if names.contains(&&*name) {
                Ok((name.into_owned(), value.into_owned()))
            } else {
                Err(Refused::bad(format!("unknown query parameter `{name}`, expected one of {names:?}")))
            }
        })
        .collect()
}
