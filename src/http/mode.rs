//! `/mode` on the admin port: whether the service enforces or only observes, switched without a restart.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::App;
use super::answer::json as answer;
use super::callers::Refused;
use super::input;
use crate::config::Mode;
use crate::problem::{Code, Problem};

/// Says the mode.
pub(super) async fn get(State(app): State<App>) -> Response {
    say(&app)
}

/// Switches the mode: `{"mode":"observe"}` or `{"mode":"enforce"}`.
pub(super) async fn put(State(app): State<App>, request: Request) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let body = input::body(&parts.headers, body, app.max_body, app.body_timeout).await?;
    let members = input::members(&parts.headers, &body)?;
    let mode = match members.get("mode").and_then(|mode| mode.as_str()) {
        Some("observe") => Mode::Observe,
        Some("enforce") => Mode::Enforce,
        _ => {
            return Err(Problem::new(Code::InvalidBody, "send {\"mode\":\"observe\"} or {\"mode\":\"enforce\"}").into());
        }
    };
    app.disconnector.set_mode(mode);
    Ok(say(&app))
}

fn say(app: &App) -> Response {
    let mode = if app.disconnector.observing() { "observe" } else { "enforce" };
    answer(StatusCode::OK, &json!({"ok": true, "mode": mode}))
}
