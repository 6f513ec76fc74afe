//! A request and its answer between the gate, the faults and the operations.

use axum::response::Response;

use super::answer::Problem;
use super::call::Call;

/// A request whose body has been read.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) call: &'a Call,
    pub(crate) parts: &'a http::request::Parts,
    pub(crate) body: &'a [u8],
}

/// The answer, and what happened to a participant or conversation.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) response: Result<Response, Problem>,
    pub(crate) effect: Option<&'static str>,
}

impl From<Result<Response, Problem>> for Served {
    fn from(response: Result<Response, Problem>) -> Self {
        Self { response, effect: None }
    }
}

impl Served {
    /// An accepted request, whose effect comes later, or never if a fault suppresses it.
    pub(crate) fn accepted(response: Response, effect: bool) -> Self {
        Self { response: Ok(response), effect: Some(if effect { "scheduled" } else { "ignored" }) }
    }
}
