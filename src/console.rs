//! The console: pages for supervisors and operators, in a browser.
//!
//! The page itself holds no data. Its content comes as HTML fragments, each of which calls the API in this process,
//! with the headers of the browser's request (see `api`). So the console can do what its caller's key may do and
//! nothing else, and only the API checks that.

mod answers;
mod api;
mod assets;
mod conversation;
mod dialog;
mod form;
mod issuer;
mod job;
mod jobs;
mod page;
mod parts;
mod search;
mod status;
mod status_answer;
mod teardown;
mod timeline;

use std::any::Any;

use axum::Router;
use axum::handler::Handler;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, StatusCode};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::config::Jwt;
use crate::http::Routes;
use crate::problem::{Code, Problem};
use api::Api;
use issuer::SignInIssuer;

/// The content security policy: scripts and styles only from this service, nothing inline, no frames, forms sent by our
/// script only, and no other host than the issuer's.
fn policy(issuer: Option<&SignInIssuer>) -> HeaderValue {
    let issuer = issuer.map(|issuer| format!(" {}", issuer.origin())).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'{issuer}; img-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
}

/// The console's routes. They do everything through `api`; people can sign in with the issuer of `jwt`.
pub fn pages(api: Routes, jwt: &Jwt) -> Router {
    let issuer = SignInIssuer::of(jwt);
    let policy = policy(issuer.as_ref());
    let header = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
    };
    Router::new()
        .route("/", get(|| async { redirect("console") }))
        .route("/console/", get(|| async { redirect("../console") }))
        .route("/console", get(move || async move { page::shell(issuer.as_ref()) }))
        .route("/console/signed-in", get(issuer::signed_in))
        .merge(assets::routes())
        .route("/console/session", get(page::frame))
        .route("/console/search", get(search::view))
        .route("/console/conversations", get(search::found))
        .route("/console/conversations/{conversationId}", get(conversation::view))
        .route("/console/conversations/{conversationId}/live", get(conversation::live))
        .route("/console/conversations/{conversationId}/timeline", get(timeline::timeline))
        .route("/console/conversations/{conversationId}/disconnect", form(teardown::ask, teardown::end))
        .route(
            "/console/conversations/{conversationId}/participants/{participantId}",
            form(dialog::ask, dialog::disconnect),
        )
        .route("/console/conversations/{conversationId}/participants/{participantId}/gone", get(dialog::gone))
        .route("/console/jobs", get(jobs::view))
        .route("/console/jobs/list", get(jobs::list))
        .route("/console/jobs/new", get(jobs::new))
        .route("/console/jobs/{jobId}", get(job::view))
        .route("/console/jobs/{jobId}/progress", get(job::progress))
        .route("/console/jobs/{jobId}/items", get(job::items))
        .route("/console/jobs/{jobId}/{act}", form(job::ask, job::change))
        .route("/console/status", get(status::view))
        .route("/console/status/now", get(status::now))
        .route("/console/mode", form(status::ask_mode, status::set_mode))
        .method_not_allowed_fallback(async |method: Method| method_not_allowed(&method, "GET"))
        .layer(
            ServiceBuilder::new()
                .layer(header(CACHE_CONTROL, "no-store"))
                .layer(header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
                .layer(header(REFERRER_POLICY, "no-referrer"))
                .layer(SetResponseHeaderLayer::overriding(CONTENT_SECURITY_POLICY, policy))
                .layer(header(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
                .layer(CompressionLayer::new().no_deflate().no_br().no_zstd())
                .layer(CatchPanicLayer::custom(|_: Box<dyn Any + Send>| panicked())),
        )
        .with_state(Api::new(api))
}

/// The route of a dialog: GET shows its form, POST carries it out.
fn form<A: 'static, B: 'static>(ask: impl Handler<A, Api>, act: impl Handler<B, Api>) -> MethodRouter<Api> {
    get(ask).post(act).fallback(async |method: Method| method_not_allowed(&method, "GET and POST"))
}

/// The answer to another method. The router adds `Allow`.
fn method_not_allowed(method: &Method, allowed: &str) -> Problem {
    Problem::new(Code::MethodNotAllowed, format!("this path does not take {method}; it takes {allowed}"))
}

/// Redirects to a relative URL, because a proxy may serve the console under a prefix.
fn redirect(to: &'static str) -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]).into_response()
}

fn panicked() -> Response {
    tracing::error!(event = "panic", "a page of the console panicked");
    (StatusCode::INTERNAL_SERVER_ERROR, "an error of our own; try again").into_response()
}
