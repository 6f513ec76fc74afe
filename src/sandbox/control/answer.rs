//! Requests and answers of the control endpoints.

use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::sandbox::answer::with_json;
use crate::sandbox::spec::SpecError;

/// Why a control request is refused; the text names the member or the id.
#[derive(Debug)]
pub(super) struct ControlRefused(pub(super) StatusCode, pub(super) String);

pub(super) type ControlResult = Result<Response, ControlRefused>;

impl IntoResponse for ControlRefused {
    fn into_response(self) -> Response {
        with_json(self.0, &json!({ "ok": false, "message": self.1 }))
    }
}

impl ControlRefused {
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }

    pub(super) fn missing(what: &str) -> Self {
        Self(StatusCode::NOT_FOUND, format!("there is no {what}"))
    }
}

impl From<SpecError> for ControlRefused {
    fn from(error: SpecError) -> Self {
        let status = match error {
            SpecError::IdTaken(_) => StatusCode::CONFLICT,
            SpecError::Invalid(_) => StatusCode::BAD_REQUEST,
        };
        Self(status, error.to_string())
    }
}

pub(super) fn ok(body: &Value) -> ControlResult {
    Ok(with_json(StatusCode::OK, body))
}

/// The body as JSON, an empty one as `{}`.
pub(super) fn value(body: &Bytes) -> Result<Value, ControlRefused> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body).map_err(|e| ControlRefused::bad(format!("the body is not valid JSON: {e}")))
}

pub(super) fn parsed<T: DeserializeOwned>(value: Value) -> Result<T, ControlRefused> {
    serde_json::from_value(value).map_err(|e| ControlRefused::bad(e.to_string()))
}

/// The query as pairs. Each name must be one of `names`.
pub(super) fn query(query: Option<&str>, names: &[&str]) -> Result<Vec<(String, String)>, ControlRefused> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs
        .map(|(name, value)| {
            if names.contains(&&*name) {
                Ok((name.into_owned(), value.into_owned()))
            } else {
                Err(ControlRefused::bad(format!("unknown query parameter `{name}`, expected one of {names:?}")))
            }
        })
        .collect()
}
