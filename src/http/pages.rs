//! Headers and log lines of the console's pages. Pages are outside of `edge`; the requests that a page makes to the API pass
//! `edge` and have log lines of their own.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, Method};
use tokio::time::Instant;

use super::AppState;
use super::accept::Accept;
use super::answer::{UnrenderedProblem, render};
use super::begin::{REQUEST_ID, peer, request_id, taken_over};
use super::edge::CALLER_GONE;
use crate::genesys::answer::CORRELATION_ID;

/// Gives the page an id, which all requests that it makes share, and renders a problem as everywhere else.
pub(super) async fn layer(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let accept = Accept::of(headers);
    let id = request_id(headers);
    let correlation_id = taken_over(headers, &CORRELATION_ID).unwrap_or_else(|| Arc::clone(&id));
    let mut line = PageLogLine {
        request_id: Arc::clone(&id),
        method: request.method().clone(),
        path: request.extensions().get::<MatchedPath>().cloned(),
        addr: app.proxies.caller_addr(headers, peer(&request)),
        started: Instant::now(),
        status: CALLER_GONE,
    };
    let value = |text: &str| HeaderValue::from_str(text).ok();
    request.headers_mut().extend(value(&id).map(|value| (REQUEST_ID, value)));

    let mut response = next.run(request).await;

    if let Some(UnrenderedProblem(problem)) = response.extensions_mut().remove() {
        render(&problem, &accept, &id, &mut response);
    }
    let ids = [(REQUEST_ID, value(&id)), (CORRELATION_ID, value(&correlation_id))];
    for (name, value) in ids {
        response.headers_mut().extend(value.map(|value| (name, value)));
    }
    line.status = response.status().as_u16();
    response
}

/// Logs a page when it is dropped, also when the browser has left.
struct PageLogLine {
    request_id: Arc<str>,
    method: Method,
    path: Option<MatchedPath>,
    addr: IpAddr,
    started: Instant,
    status: u16,
}

impl Drop for PageLogLine {
    fn drop(&mut self) {
        let Self { request_id, method, path, addr, started, status } = self;
        tracing::info!(
            event = "page",
            request_id = &**request_id,
            method = method.as_str(),
            route = path.as_ref().map(MatchedPath::as_str),
            status = *status,
            caller_addr = %addr,
            duration_ms = started.elapsed().as_micros() as f64 / 1000.0,
            "page"
        );
    }
}
