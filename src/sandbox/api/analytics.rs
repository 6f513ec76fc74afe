//! Analytics: conversations by query, current activity, and the details of one conversation.

mod activity;
mod body;
mod details;
mod filter;
mod interval;

use axum::response::Response;
use http::StatusCode;
use uuid::Uuid;

use crate::sandbox::answer::{Problem, with_json};
use crate::sandbox::state::Sandbox;

pub(super) use activity::activity_query;
pub(super) use details::details_query;

/// `GET /api/v2/analytics/conversations/{id}/details`, also for a conversation that the conversations API no longer
/// knows.
pub(super) fn details(sandbox: &Sandbox, id: Uuid) -> Result<Response, Problem> {
    let seen = sandbox.conversations().with_known(id, |conversation, now| details::render(conversation, now));
    seen.map(|body| with_json(StatusCode::OK, &body)).ok_or_else(|| Problem::unknown_conversation(id))
}
