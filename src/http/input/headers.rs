//! Headers that change what a disconnect does.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::header::IF_MATCH;
use http::request::Parts;
use http::{HeaderName, HeaderValue};

use crate::disconnect::seen::AsSeen;
use crate::problem::{Code, Problem};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// `If-Match`, where there is one.
impl<S: Sync> OptionalFromRequestParts<S> for AsSeen {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        let values = parts.headers.get_all(IF_MATCH).iter().map(|value| value.to_str().unwrap_or_default());
        let mut values = values.peekable();
        Ok(values.peek().is_some().then(|| Self::read(values)))
    }
}

/// `Idempotency-Key`, taken as it is. Read only where it is used: elsewhere any value is ignored.
#[derive(Debug)]
pub(in crate::http) struct IdempotencyKey(Option<HeaderValue>);

impl IdempotencyKey {
    /// The key, where one was sent.
    ///
    /// # Errors
    /// `invalid`, the code of such requests, where it is empty, too long, or not plain text.
    pub(in crate::http) fn read(&self, invalid: Code) -> Result<Option<&str>, Problem> {
        let Some(value) = &self.0 else { return Ok(None) };
        let text = value.to_str().ok().filter(|text| (1..=255).contains(&text.len()));
        let wrong = || Problem::new(invalid, "Idempotency-Key must be 1 to 255 visible ASCII characters");
        text.map(Some).ok_or_else(wrong)
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.headers.get(IDEMPOTENCY_KEY).cloned()))
    }
}
