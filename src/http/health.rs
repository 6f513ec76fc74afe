//! `/livez`, `/readyz`, `/metrics`: for operators. None of them touches the upstream.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use tracing_appender::non_blocking::ErrorCounter;

use super::AppState;
use super::answer::json as answer;
use super::callers::keep_pages_away;
use super::context::RequestContext;
use super::refused::Refused;
use crate::metrics::Readings;

/// The process runs and answers.
pub(super) async fn livez() -> Response {
    answer(StatusCode::OK, &json!({"ok": true}))
}

/// Whether there is a usable token and the process is not stopping; if not, why. Observe mode is reported, and does not make it
/// unready.
pub(super) async fn readyz(State(app): State<AppState>) -> Response {
    let mut reasons = not_ready(&app);
    let ready = reasons.is_empty();
    if app.disconnector.observing() {
        reasons.push("observe mode: nothing is disconnected".to_owned());
    }
    if !app.store.stats().up {
        reasons.push("degraded: the store is out of reach, selectors and teardowns are refused".to_owned());
    }
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = answer(status, &json!({"ok": ready, "reasons": reasons}));
    if !ready {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Why the service is not ready; empty when it is.
pub(super) fn not_ready(app: &AppState) -> Vec<String> {
    let leaving = app.shutdown.not_ready.is_cancelled().then(|| "shutting down".to_owned());
    leaving.into_iter().chain(app.disconnector.client().tokens().not_ready()).collect()
}

/// Prometheus text. It names keys and tells how much they are used: nothing for pages of other sites.
pub(super) async fn metrics(
    State(app): State<AppState>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Refused> {
    if !context.behind_proxy {
        keep_pages_away(&request.into_parts().0, &context)?;
    }
    let readings = Readings {
        upstream: app.disconnector.client().reading(),
        audit: app.audit.stats(),
        callers: app.callers.stats(),
        connections: Arc::clone(&app.connections),
        tls: app.tls.clone(),
        spans_lost: app.traces.lost(),
        store: app.store.stats(),
        claims: app.claims.stats(),
        queue: app.metrics.jobs().depth(),
        replicas: app.fleet.live(),
        log_dropped: app.log_dropped.get().map_or(0, ErrorCounter::dropped_lines),
    };
    let text = app.metrics.text(readings);
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
