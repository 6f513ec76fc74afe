//! `/mode`: whether the service enforces or only observes, switched by operators without a restart.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::AppState;
use super::answer::json as answer;
use super::callers::Operator;
use super::input::{Members, NoQuery};
use super::refused::Refused;
use crate::config::Mode;
use crate::problem::{Code, Problem};

/// Says the mode.
pub(super) async fn get(State(app): State<AppState>, _: Operator, _: NoQuery) -> Response {
    say(&app)
}

/// Switches the mode: `{"mode":"observe"}` or `{"mode":"enforce"}`.
pub(super) async fn put(
    State(app): State<AppState>,
    Operator(context): Operator,
    _: NoQuery,
    Members(members): Members,
) -> Result<Response, Refused> {
    let mode = match members.get("mode").and_then(|mode| mode.as_str()) {
        Some("observe") => Mode::Observe,
        Some("enforce") => Mode::Enforce,
        _ => {
            return Err(Problem::new(Code::InvalidBody, "send {\"mode\":\"observe\"} or {\"mode\":\"enforce\"}").into());
        }
    };
    if let Err(error) = app.fleet.set_mode(mode).await {
        let detail = "the mode holds for all replicas and is kept in the store, which cannot be reached; nothing was changed, \
                      repeat the request";
        return Err(Problem::new(Code::StoreUnavailable, detail).cause(&error).into());
    }
    app.disconnector.set_mode(mode);
    context.log().outcome = Some(word(&app));
    Ok(say(&app))
}

/// The word for the mode in force.
pub(super) fn word(app: &AppState) -> &'static str {
    if app.disconnector.observing() { "observe" } else { "enforce" }
}

fn say(app: &AppState) -> Response {
    answer(StatusCode::OK, &json!({"ok": true, "mode": word(app)}))
}
