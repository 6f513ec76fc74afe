//! What analytics answers: conversations by query, in real time, and one that may have ended long ago.

mod activity;
mod details;
mod filter;
mod interval;

use axum::response::Response;
use http::StatusCode;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::unknown_conversation;
use crate::sandbox::answer::{Problem, with_json};
use crate::sandbox::state::Sandbox;

pub(super) use activity::activity_query;
pub(super) use details::details_query;

/// `GET /api/v2/analytics/conversations/{id}/details`: also when the conversations API has forgotten it.
pub(super) fn details(sandbox: &Sandbox, id: Uuid) -> Result<Response, Problem> {
    let seen = sandbox.conversations().with_known(id, |conversation, now| details::render(conversation, now));
    seen.map(|body| with_json(StatusCode::OK, &body)).ok_or_else(|| unknown_conversation(id))
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|e| Problem::bad_request(format!("The query could not be understood by the server: {e}")))
}
