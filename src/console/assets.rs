//! The page's styles, scripts and icon. They need no key, because they are in the public source.

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header;

use super::api::Api;

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

pub(super) fn routes() -> Router<Api> {
    let plain = |kind: &'static str, body: &'static str| get(move || async move { asset(kind, body) });
    Router::new()
        .route("/console/page.css", plain(STYLE, include_str!("assets/page.css")))
        .route("/console/session.js", plain(SCRIPT, include_str!("assets/session.js")))
        .route("/console/page.js", plain(SCRIPT, include_str!("assets/page.js")))
        .route("/console/jobs.js", plain(SCRIPT, include_str!("assets/jobs.js")))
        .route("/console/issuer.js", plain(SCRIPT, include_str!("assets/issuer.js")))
        .route("/console/signed-in.js", plain(SCRIPT, include_str!("assets/signed-in.js")))
        .route("/console/icon.svg", plain("image/svg+xml", include_str!("assets/icon.svg")))
        .route("/console/htmx.min.js", get(htmx))
}

fn asset(kind: &'static str, body: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

/// Kept compressed in the binary and sent compressed, because only browsers load it, and all of them accept gzip.
async fn htmx() -> Response {
    let body: &'static [u8] = include_bytes!("assets/htmx/htmx.min.js.gz");
    ([(header::CONTENT_TYPE, SCRIPT), (header::CONTENT_ENCODING, "gzip")], body).into_response()
}
