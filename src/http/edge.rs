//! The outermost layer: gives each request its context, renders problems, stamps the answer, and logs one line.

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tokio::time::Instant;

use super::AppState;
use super::accept::Accept;
use super::answer::{UnrenderedProblem, render};
use super::audited;
use super::begin::{REQUEST_ID, begin};
use super::context::RequestContext;
use super::routes::is_probe;
use super::span;
use super::upstream_form;
use crate::genesys::answer::{ALLOWED, CORRELATION_ID, COUNT, RESET};
use crate::genesys::whole_seconds;
use crate::ids;
use crate::json::address_text;
use crate::telemetry::traces::Span;

/// For the drop-in: what our own answers say in their bodies.
const OUTCOME: HeaderName = HeaderName::from_static("x-hangup-outcome");
const VERIFIED: HeaderName = HeaderName::from_static("x-hangup-verified");
/// Logged when the caller left before it was answered.
pub(super) const CALLER_GONE: u16 = 499;

/// See the module.
pub(super) async fn layer(
    State((app, on_loopback)): State<(AppState, bool)>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    let (context, span) = begin(&app, on_loopback, params.as_ref().ok(), &mut request);
    let method = request.method().clone();
    let mut line =
        RequestLogLine { app, context: context.clone(), method, started: Instant::now(), status: None, span };
    let accept = accept_of(request.headers());
    let drop_in = is_drop_in(request.uri().path());
    request.extensions_mut().insert(context.clone());

    let mut response = next.run(request).await;

    let problem = response.extensions_mut().remove::<UnrenderedProblem>().map(|UnrenderedProblem(problem)| problem);
    audited::end(&context, problem.as_ref());
    if let Some(problem) = problem {
        line.app.recent_errors.note(&problem, context.route, &context.request_id);
        if drop_in {
            upstream_form::render(&problem, &context.request_id, &mut response);
        } else {
            render(&problem, &Accept::of(&accept), &context.request_id, &mut response);
        }
        context.log().failed(problem);
    }
    if drop_in {
        stamp_drop_in(&line.app, &context, response.headers_mut());
    }
    stamp_ids(&context, response.headers_mut());
    line.status = Some(response.status().as_u16());
    response
}

/// Whether errors are answered in the upstream's form.
fn is_drop_in(path: &str) -> bool {
    path.starts_with("/api/v2/")
}

/// `Accept` alone: the request is gone when the answer is rendered.
fn accept_of(headers: &HeaderMap) -> HeaderMap {
    headers.get_all(header::ACCEPT).iter().map(|value| (header::ACCEPT, value.clone())).collect()
}

/// Adds as headers what our own answers say in their bodies, and how much of the upstream's rate limit is left, because SDKs look
/// for it there.
fn stamp_drop_in(app: &AppState, context: &RequestContext, headers: &mut HeaderMap) {
    let (outcome, verified) = {
        let log = context.log();
        match (log.code, log.outcome) {
            (Some(code), _) => (code, false),
            (None, outcome) => (outcome.unwrap_or("failed"), log.verified),
        }
    };
    headers.insert(OUTCOME, HeaderValue::from_static(outcome));
    headers.insert(VERIFIED, HeaderValue::from_static(if verified { "true" } else { "false" }));
    let window = app.disconnector.client().gate().reading();
    if let (Some(allowed), Some(remaining), Some(reset)) = (window.allowed, window.remaining, window.reset) {
        headers.insert(ALLOWED, allowed.into());
        headers.insert(COUNT, allowed.saturating_sub(remaining).into());
        headers.insert(RESET, whole_seconds(reset).into());
    }
}

/// The ids that every answer carries.
fn stamp_ids(context: &RequestContext, headers: &mut HeaderMap) {
    let id = |text: &str| HeaderValue::from_str(text).ok();
    if let Some(value) = id(&context.request_id) {
        headers.insert(REQUEST_ID, value);
    }
    if !headers.contains_key(&CORRELATION_ID) {
        let log = context.log();
        let upstream = log.correlation_id.as_deref();
        let chosen = upstream.or(context.correlation_id.as_deref()).unwrap_or(&context.request_id);
        if let Some(value) = id(chosen) {
            headers.insert(CORRELATION_ID, value);
        }
    }
}

/// Counts and logs a request when it is dropped: also when the caller left.
struct RequestLogLine {
    app: AppState,
    context: RequestContext,
    method: Method,
    started: Instant,
    status: Option<u16>,
    span: Span,
}

impl Drop for RequestLogLine {
    fn drop(&mut self) {
        let Self { app, context, method, started, status, span } = self;
        let duration = started.elapsed();
        let status = status.unwrap_or(CALLER_GONE);
        app.metrics.request(context.route, status, duration);
        span::end(span, context, status);
        if is_probe(context.route) && status < 400 {
            return;
        }
        let (mut conversation, mut participant) = (ids::TEXT, ids::TEXT);
        let caller_addr = address_text(context.addr);
        let log = context.log();
        tracing::info!(
            event = "request",
            request_id = &*context.request_id,
            method = method.as_str(),
            route = context.route,
            status,
            caller = log.caller.as_deref(),
            caller_addr,
            conversation_id = context.conversation.map(|id| id.text(&mut conversation)),
            participant_id = context.participant.map(|id| id.text(&mut participant)),
            outcome = log.outcome,
            code = log.code,
            attempts = log.attempts,
            upstream_status = log.upstream_status,
            upstream_code = log.upstream_code.as_deref(),
            correlation_id = log.correlation_id.as_deref(),
            cause = log.cause.as_deref(),
            trace_id = context.trace_id(),
            // Microseconds as a fraction, exactly: seconds times a thousand would show the rounding.
            duration_ms = duration.as_micros() as f64 / 1000.0,
            "request"
        );
    }
}
