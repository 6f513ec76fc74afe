//! Forms that the page sends.

use std::time::Duration;

use axum::extract::{Form, FromRequest, Request};
use serde::de::DeserializeOwned;

use super::api::Failed;

/// Longest time for a form to arrive.
const WITHIN: Duration = Duration::from_secs(10);

/// A form that has arrived in time.
pub(super) struct TimelyForm<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for TimelyForm<T> {
    type Rejection = Failed;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failed> {
        match tokio::time::timeout(WITHIN, Form::<T>::from_request(request, state)).await {
            Ok(Ok(Form(form))) => Ok(Self(form)),
            _ => Err(Failed::bad_request("the form did not arrive as a whole; send it again")),
        }
    }
}
