//! `POST /conversations/{conversationId}/participants/{participantId}/disconnect`: disconnects one participant.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::AppState;
use super::answer::json_text;
use super::callers::{Permitted, to};
use super::context::RequestContext;
use super::input::{DisconnectBody, IdempotencyKey, Preferences};
use super::jobs::asynchronously;
use super::path::ParticipantPath;
use super::refused::Refused;
use crate::disconnect::Request;
use crate::disconnect::seen::AsSeen;
use crate::genesys::request::Operation;
use crate::ids::{self, ConversationId, ParticipantId};
use crate::jobs::{ItemInput, Plan, TargetInput};
use crate::json::Object;
use crate::outcome::{Outcome, Settled};
use crate::problem::Code;

/// Room for an answer, in bytes.
const USUAL: usize = 512;

/// Disconnects one participant.
pub(super) async fn disconnect(
    State(app): State<AppState>,
    Permitted { caller, origin, context, .. }: Permitted<to::Disconnect>,
    ParticipantPath(conversation, participant): ParticipantPath,
    preferences: Preferences,
    as_seen: Option<AsSeen>,
    idempotency_key: IdempotencyKey,
    body: DisconnectBody,
) -> Result<Response, Refused> {
    if preferences.respond_async {
        let item = ItemInput { conversation, target: TargetInput::Participant(participant) };
        let plan = Plan { dry_run: preferences.dry_run, as_seen, ..body.plan() };
        let key = idempotency_key.read(Code::InvalidBody)?;
        // Boxed: it needs several times as much room as the rest.
        return Box::pin(asynchronously(&app, &context, &caller, item, plan, key)).await;
    }
    let Preferences { wait, dry_run, .. } = preferences;
    let request = Request { wait, dry_run, as_seen, ..body.request(origin, conversation, participant) };
    let settled = app.disconnector.disconnect(request).await?;
    context.log().settled(&settled);
    Ok(answer(&context, &settled, preferences, conversation, participant))
}

/// Every member is always there.
fn answer(
    context: &RequestContext,
    settled: &Settled,
    preferences: Preferences,
    conversation_id: ConversationId,
    participant_id: ParticipantId,
) -> Response {
    // Without its body, a dry run would pass for a disconnect.
    if preferences.minimal && !settled.still_there && settled.outcome != Outcome::WouldDisconnect {
        return preferences.no_content();
    }
    let status = if settled.still_there { StatusCode::ACCEPTED } else { StatusCode::OK };
    let (mut conversation, mut participant) = (ids::TEXT, ids::TEXT);
    let mut body = String::with_capacity(USUAL);
    let mut answer = Object::begin(&mut body);
    answer
        .truth("ok", true)
        .word("outcome", settled.outcome.name())
        .truth("verified", settled.verified)
        .truth_or_null("gone", settled.gone)
        .word("conversationId", conversation_id.text(&mut conversation))
        .word("participantId", participant_id.text(&mut participant))
        .word_or_null("operation", settled.operation.map(Operation::name))
        .integer("attempts", settled.attempts)
        .text("requestId", &context.request_id)
        .text_or_null("correlationId", settled.correlation_id.as_deref());
    answer.end();
    let mut response = json_text(status, body);
    preferences.stamp(&mut response);
    response
}
