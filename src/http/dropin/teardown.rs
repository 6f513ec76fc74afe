//! Conversation-level ends of the drop-in. They need the permission `teardown`, and a medium in the path ends nothing else.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::json;

use super::super::AppState;
use super::super::answer::json as answer;
use super::super::callers::{Permitted, to};
use super::super::context::RequestContext;
use super::super::input::{DisconnectBody, Members, NoQuery};
use super::super::path::ConversationPath;
use super::super::refused::Refused;
use super::super::upstream_form::as_the_upstream;
use crate::callers::Guards;
use crate::conversation::Conversation;
use crate::disconnect::seen::AsSeen;
use crate::disconnect::{
    Glance, Origin, Request, Teardown, all_as_seen, conversation_not_found, forbidden_participant,
};
use crate::genesys::request::Rank;
use crate::ids::{ConversationId, ParticipantId};
use crate::medium::Medium;
use crate::problem::{Code, Problem};

/// `POST /api/v2/conversations/{cid}/disconnect`. Its body says nothing.
pub(in crate::http) async fn post(
    State(app): State<AppState>,
    Permitted { origin, context, .. }: Permitted<to::Teardown>,
    ConversationPath(conversation): ConversationPath,
    _: NoQuery,
    as_seen: Option<AsSeen>,
) -> Result<Response, Refused> {
    end(&app, &context, origin, conversation, as_seen).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// `PATCH /api/v2/conversations/{medium}/{cid}` with `{"state":"disconnected"}`.
pub(in crate::http) async fn patch(
    medium: Medium,
    State(app): State<AppState>,
    Permitted { origin, context, .. }: Permitted<to::Teardown>,
    ConversationPath(cid): ConversationPath,
    _: NoQuery,
    as_seen: Option<AsSeen>,
    Members(members): Members,
) -> Result<Response, Refused> {
    DisconnectBody::of_patch(&members, None)?.state_alone()?;
    match reached(&app, &origin, cid, medium, as_seen.as_ref()).await? {
        MediumScope::AllOfIt => end(&app, &context, origin, cid, as_seen).await?,
        MediumScope::These(ids) => {
            let origin = Origin { deadline: Some(app.disconnector.deadline()), ..origin };
            let one = |id| Request { media: Some(medium), ..Request::new(origin.clone(), cid, id) };
            let settled = app.disconnector.disconnect_each(ids.into_iter().map(one).collect(), None).await?;
            context.log().settled(&settled);
            as_the_upstream(&settled)?;
        }
    }
    // The upstream answers with the conversation; what it looks like a moment later is for the next read.
    Ok(answer(StatusCode::OK, &json!({"id": cid.to_string()})))
}

async fn end(
    app: &AppState,
    context: &RequestContext,
    origin: Origin,
    conversation: ConversationId,
    as_seen: Option<AsSeen>,
) -> Result<(), Problem> {
    let teardown =
        Teardown { origin, conversation, idempotency_key: None, as_seen, wait: None, dry_run: false, among: None };
    let settled = app.disconnector.tear_down(teardown).await?;
    context.log().settled(&settled);
    as_the_upstream(&settled)
}

/// Whom the end of a medium concerns.
enum MediumScope {
    /// There is nothing else in the conversation, or it has ended.
    AllOfIt,
    /// Only these have the medium, or they have others as well.
    These(Vec<ParticipantId>),
}

async fn reached(
    app: &AppState,
    origin: &Origin,
    cid: ConversationId,
    medium: Medium,
    as_seen: Option<&AsSeen>,
) -> Result<MediumScope, Problem> {
    match app.disconnector.glance(origin, Rank::Disconnect, cid).await? {
        Glance::Found(conversation) => of(&conversation, medium, origin.guards.as_deref(), as_seen),
        Glance::Ended => Ok(MediumScope::AllOfIt),
        Glance::Unknown { .. } => Err(conversation_not_found(None)),
        Glance::Unreadable(problem) => Err(problem),
    }
}

fn of(
    conversation: &Conversation,
    medium: Medium,
    guards: Option<&Guards>,
    as_seen: Option<&AsSeen>,
) -> Result<MediumScope, Problem> {
    if conversation.ended() {
        return Ok(MediumScope::AllOfIt);
    }
    if !conversation.participants.iter().any(|participant| participant.media().contains(&medium)) {
        let detail = format!("the conversation has no {}; use the path of its medium", medium.singular());
        return Err(Problem::new(Code::ConversationNotFound, detail));
    }
    let live = || conversation.participants.iter().filter(|participant| participant.is_live());
    if live().all(|participant| participant.live_media() == [medium]) {
        return Ok(MediumScope::AllOfIt);
    }
    let having = || live().filter(|participant| participant.live_media().contains(&medium));
    // All of them, or nobody is touched.
    let permits = |guards: &Guards| having().all(|p| guards.permits(p.purpose.as_deref(), p.queue_id.as_deref()));
    if !guards.is_none_or(permits) {
        return Err(forbidden_participant());
    }
    all_as_seen(as_seen, having())?;
    let ids: Option<Vec<_>> = having().map(|participant| ParticipantId::parse(&participant.id)).collect();
    // Without an id the participant cannot be disconnected, and saying that the medium has ended would be wrong.
    ids.map(MediumScope::These).ok_or_else(|| {
        let detail = format!(
            "the id of a participant with a live {} cannot be read, and nobody was disconnected",
            medium.singular()
        );
        Problem::new(Code::UpstreamInvalidResponse, detail).still_there()
    })
}
