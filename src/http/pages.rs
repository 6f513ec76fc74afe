//! What answers of the console's pages carry. Pages stand outside of `edge`, which gives and logs each of the requests that they
//! make to the routes inside it.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;

use super::accept::Accept;
use super::answer::{Outgoing, render};
use super::begin::{REQUEST_ID, request_id, taken_over};
use crate::genesys::answer::CORRELATION_ID;

/// Gives the request its id, which whatever the page asks for it shares, and renders a problem as everywhere.
pub(super) async fn layer(mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let accept = Accept::of(headers);
    let id = request_id(headers);
    let correlation_id = taken_over(headers, &CORRELATION_ID).unwrap_or_else(|| Arc::clone(&id));
    let value = |text: &str| HeaderValue::from_str(text).ok();
    request.headers_mut().extend(value(&id).map(|value| (REQUEST_ID, value)));

    let mut response = next.run(request).await;

    if let Some(Outgoing(problem)) = response.extensions_mut().remove() {
        render(&problem, &accept, &id, &mut response);
    }
    let ids = [(REQUEST_ID, value(&id)), (CORRELATION_ID, value(&correlation_id))];
    for (name, value) in ids {
        response.headers_mut().extend(value.map(|value| (name, value)));
    }
    response
}
