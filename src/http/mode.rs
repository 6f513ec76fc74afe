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
use crate::store::StoreError;

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
        return Err(not_set(&error).into());
    }
    app.disconnector.set_mode(mode);
    context.log().outcome = Some(word(&app));
    Ok(say(&app))
}

/// The store did not take the mode, or did not say so.
fn not_set(error: &StoreError) -> Problem {
    let unknown = error.may_have_happened();
    let detail = if unknown {
        "the mode holds for all replicas and is kept in the store, which did not answer; it is not known whether it was changed. Read \
         the mode of GET /status, or repeat the request"
    } else {
        "the mode holds for all replicas and is kept in the store, which cannot be reached; nothing was changed, repeat the request"
    };
    Problem::new(Code::StoreUnavailable, detail).effect(unknown).cause(error)
}

/// The word for the mode in force.
pub(super) fn word(app: &AppState) -> &'static str {
    if app.disconnector.observing() { "observe" } else { "enforce" }
}

fn say(app: &AppState) -> Response {
    answer(StatusCode::OK, &json!({"ok": true, "mode": word(app)}))
}

#[cfg(test)]
mod tests {
    use super::not_set;
    use crate::problem::Effect;
    use crate::store::StoreError;

    #[test]
    fn a_store_that_does_not_answer_may_have_changed_the_mode() {
        for (error, effect, said) in [
            (StoreError::TimedOut, Effect::Unknown, "it is not known whether it was changed"),
            (StoreError::Lost("closed".to_owned()), Effect::Unknown, "it is not known whether it was changed"),
            (StoreError::OutOfReach("refused".to_owned()), Effect::None, "nothing was changed"),
        ] {
            let problem = not_set(&error);
            assert!(problem.effect == effect && problem.detail.contains(said), "{error}: {}", problem.detail);
        }
    }
}
