//! Conversation-level ends of the drop-in. They need the permission `teardown`, and a medium in the path ends nothing else.

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::json;

use super::super::App;
use super::super::answer::json as answer;
use super::super::callers::{Refused, authenticate, exchange};
use super::super::exchange::Exchange;
use super::super::input::{self, Wishes};
use super::super::path::ConversationPath;
use super::as_the_upstream;
use crate::callers::Permission;
use crate::conversation::Conversation;
use crate::disconnect::look::{Read, read};
use crate::disconnect::{Origin, Request as Disconnect, Teardown, conversation_not_found};
use crate::genesys::request::{Medium, Rank};
use crate::ids::{ConversationId, ParticipantId};
use crate::problem::{Code, Problem};

/// `POST /api/v2/conversations/{cid}/disconnect`.
pub(in crate::http) async fn post(
    State(app): State<App>,
    ConversationPath(conversation): ConversationPath,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, _) = request.into_parts();
    let who = authenticate(&app, &parts, Permission::Teardown).await?;
    input::query(&parts, &[], |_, _| Ok(()))?;
    let cid = input::conversation_id(&conversation)?;
    let exchange = exchange(&parts);
    exchange.note(|note| note.conversation = Some(cid));
    end(&app, &exchange, who.origin, cid).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// `PATCH /api/v2/conversations/{medium}/{cid}` with `{"state":"disconnected"}`.
pub(in crate::http) async fn patch(
    app: App,
    ConversationPath(conversation): ConversationPath,
    medium: Medium,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let who = authenticate(&app, &parts, Permission::Teardown).await?;
    input::query(&parts, &[], |_, _| Ok(()))?;
    let cid = input::conversation_id(&conversation)?;
    let exchange = exchange(&parts);
    exchange.note(|note| note.conversation = Some(cid));
    let body = input::body(&parts.headers, body, app.max_body, app.body_timeout).await?;
    Wishes::of_patch(&input::members(&parts.headers, &body)?, None)?.state_alone()?;
    match members(&app, &who.origin, cid, medium).await? {
        Members::AllOfIt => end(&app, &exchange, who.origin, cid).await?,
        Members::These(ids) => {
            for id in ids {
                let request = Disconnect { media: Some(medium), ..Disconnect::new(who.origin.clone(), cid, id) };
                let settled = app.disconnector.disconnect(request).await?;
                exchange.settled(&settled);
                as_the_upstream(&settled)?;
            }
        }
    }
    // The upstream answers with the conversation; what it looks like a moment later is for the next read.
    Ok(answer(StatusCode::OK, &json!({"id": cid.to_string()})))
}

async fn end(app: &App, exchange: &Exchange, origin: Origin, conversation: ConversationId) -> Result<(), Problem> {
    let teardown = Teardown { origin, conversation, idempotency_key: None, wait: None, dry_run: false };
    let settled = app.disconnector.tear_down(teardown).await?;
    exchange.settled(&settled);
    as_the_upstream(&settled)
}

/// Whom the end of a medium concerns.
enum Members {
    /// There is nothing else in the conversation, or it has ended.
    AllOfIt,
    /// Only these have the medium, or they have others as well.
    These(Vec<ParticipantId>),
}

async fn members(app: &App, origin: &Origin, cid: ConversationId, medium: Medium) -> Result<Members, Problem> {
    let admission = app.disconnector.admit(origin)?;
    let (read, _) = read(app.disconnector.client(), &admission.context, Rank::Disconnect, cid).await?;
    match read {
        Read::Found(conversation) => of(&conversation, medium),
        Read::NotFound => Err(conversation_not_found(None)),
        Read::Hidden(problem) | Read::Foreign(problem) => Err(problem),
    }
}

fn of(conversation: &Conversation, medium: Medium) -> Result<Members, Problem> {
    if conversation.ended() {
        return Ok(Members::AllOfIt);
    }
    if !conversation.participants.iter().any(|participant| participant.media().contains(&medium)) {
        let detail = format!("the conversation has no {}; use the path of its medium", medium.singular());
        return Err(Problem::new(Code::ConversationNotFound, detail));
    }
    let live = || conversation.participants.iter().filter(|participant| participant.is_live());
    if live().all(|participant| participant.live_media() == [medium]) {
        return Ok(Members::AllOfIt);
    }
    let having = live().filter(|participant| participant.live_media().contains(&medium));
    Ok(Members::These(having.filter_map(|participant| ParticipantId::parse(&participant.id)).collect()))
}
