//! Answers in the upstream's own form.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::foreign::Gateway;

/// Name of the limit on one token's requests.
pub(crate) const LIMIT: &str = "client.credentials.token.rate.per.minute";

/// An error answer before it has its correlation id.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: Cow<'static, str>,
    /// The value of the limit that a 429 names.
    pub(crate) limit: Option<u32>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Sent instead of an error body in the upstream's form.
    pub(crate) body: Option<String>,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (code, message) = (code.into(), message.into());
        Self { status, code, message, limit: None, headers: Vec::new(), body: None }
    }

    /// Adds a header; an invalid one is left out.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            self.headers.push((name, value));
        }
        self
    }

    pub(crate) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad.request", message)
    }

    pub(crate) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not.found", message)
    }

    /// There is no such conversation, or the client may not see it.
    pub(crate) fn unknown_conversation(id: Uuid) -> Self {
        Self::not_found(format!("The requested conversation {id} was not found."))
    }

    /// What Genesys Cloud's gateway answers for a path that does not exist.
    pub(crate) fn no_such_path() -> Self {
        Self::not_found("HTTP 404 Not Found")
    }

    /// 403 for a client that has none of these permissions.
    pub(crate) fn missing_permission(permissions: &[&str]) -> Self {
        let (code, message) = match permissions {
            [one] => (
                "missing.permissions",
                format!("Unable to perform the requested action. You are missing the following permission(s): {one}"),
            ),
            several => (
                "missing.any.permissions",
                format!(
                    "Unable to perform the requested action. You must have at least one of the following permissions assigned: [{}]",
                    several.join(", ")
                ),
            ),
        };
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// As the API's answer.
    pub(crate) fn api(&self, correlation_id: &str) -> Response {
        let mut body = json!({
            "message": self.message,
            "code": self.code,
            "status": self.status.as_u16(),
            "messageParams": {},
            "contextId": correlation_id,
            "details": [],
            "errors": [],
        });
        if let Some(value) = self.limit {
            body["limit"] = json!({ "key": LIMIT, "namespace": "platform.api", "value": value });
        }
        self.finish(&body)
    }

    /// As the answer of something that is not Genesys Cloud.
    pub(crate) fn foreign(&self, by: Gateway) -> Response {
        self.with_own_parts(by.answer(self.status))
    }

    /// As the login host's answer.
    pub(crate) fn login(&self) -> Response {
        self.finish(&json!({
            "error": self.code, "description": self.message, "error_description": self.message,
        }))
    }

    fn finish(&self, body: &Value) -> Response {
        self.with_own_parts(with_json(self.status, body))
    }

    fn with_own_parts(&self, mut response: Response) -> Response {
        if let Some(body) = &self.body {
            *response.body_mut() = Body::from(body.clone());
        }
        response.headers_mut().extend(self.headers.iter().cloned());
        response
    }
}

pub(crate) fn with_json(status: StatusCode, body: &Value) -> Response {
    let mut response = empty(status);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *response.body_mut() = Body::from(body.to_string());
    response
}

pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
