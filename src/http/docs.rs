//! `/openapi.yaml`: the contract, from the binary.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};

/// The contract.
pub const OPENAPI: &str = include_str!("../../openapi.yaml");

/// Serves the contract.
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/yaml"))], OPENAPI).into_response()
}
