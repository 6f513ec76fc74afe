//! `POST /conversations/{conversationId}/disconnect`: ends the conversation for everybody.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::AppState;
use super::answer::json;
use super::callers::{Permitted, to};
use super::input::{IdempotencyKey, Members, Preferences};
use super::jobs::asynchronously;
use super::path::ConversationPath;
use super::refused::Refused;
use crate::disconnect::Teardown;
use crate::disconnect::seen::AsSeen;
use crate::genesys::request::Operation;
use crate::ids::ConversationId;
use crate::jobs::{ItemInput, Plan, TargetInput};
use crate::outcome::Outcome;
use crate::problem::{Code, Problem};
use crate::selector::says_yes;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TeardownAnswer<'a> {
    ok: bool,
    outcome: &'static str,
    verified: bool,
    gone: Option<bool>,
    conversation_id: ConversationId,
    operation: Option<&'static str>,
    attempts: u32,
    request_id: &'a str,
    correlation_id: Option<&'a str>,
}

/// Handles a teardown. The body must say that it is meant.
pub(super) async fn disconnect(
    State(app): State<AppState>,
    Permitted { caller, origin, context, .. }: Permitted<to::Teardown>,
    ConversationPath(conversation): ConversationPath,
    preferences: Preferences,
    as_seen: Option<AsSeen>,
    idempotency_key: IdempotencyKey,
    Members(members): Members,
) -> Result<Response, Refused> {
    if members.len() != 1 || !members.get("all").is_some_and(says_yes) {
        let detail = "to end the conversation for everybody, the body must be {\"all\":true} and nothing else; to disconnect \
                      one participant, name it in the path";
        return Err(Problem::new(Code::InvalidBody, detail).into());
    }
    let idempotency_key = idempotency_key.read(Code::InvalidBody)?;
    let Preferences { wait, dry_run, .. } = preferences;
    if preferences.respond_async {
        let item = ItemInput { conversation, target: TargetInput::All };
        let plan = Plan { dry_run, as_seen, ..Plan::default() };
        return asynchronously(&app, &context, &caller, item, plan, idempotency_key).await;
    }
    let idempotency_key = idempotency_key.map(Into::into);
    let teardown = Teardown { origin, conversation, idempotency_key, as_seen, wait, dry_run, among: None };
    let settled = app.disconnector.tear_down(teardown).await?;
    context.log().settled(&settled);
    if preferences.minimal && !settled.still_there && settled.outcome != Outcome::WouldDisconnect {
        return Ok(preferences.no_content());
    }
    let mut response = json(
        if settled.still_there { StatusCode::ACCEPTED } else { StatusCode::OK },
        &TeardownAnswer {
            ok: true,
            outcome: settled.outcome.name(),
            verified: settled.verified,
            gone: settled.gone,
            conversation_id: conversation,
            operation: settled.operation.map(Operation::name),
            attempts: settled.attempts,
            request_id: &context.request_id,
            correlation_id: settled.correlation_id.as_deref(),
        },
    );
    preferences.stamp(&mut response);
    Ok(response)
}
