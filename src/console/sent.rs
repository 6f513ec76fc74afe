//! The forms that the page sends: small, and there at once.

use std::time::Duration;

use axum::extract::{Form, FromRequest, Request};
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::api::Failed;

/// Longest time for a form to arrive.
const WITHIN: Duration = Duration::from_secs(10);

/// A form, and the head of the request that brought it.
pub(super) struct Sent<T> {
    pub(super) head: Parts,
    pub(super) form: T,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Failed;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failed> {
        let (head, body) = request.into_parts();
        let form = Form::<T>::from_request(Request::from_parts(head.clone(), body), state);
        match tokio::time::timeout(WITHIN, form).await {
            Ok(Ok(Form(form))) => Ok(Self { head, form }),
            _ => Err(Failed::bad_request("the form did not arrive as a whole; send it again")),
        }
    }
}
