//! Drop-in: the upstream's own paths, statuses and error bodies, so that SDKs change host and credentials and no code.
//!
//! Whatever the org really has, POST answers 204 and PATCH 202 with effect. A caller's token is never forwarded.

mod read;
pub(super) mod teardown;

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::request::Parts;

use super::App;
use super::callers::{Authenticated, Refused, authenticate, exchange};
use super::input::{self, Wishes};
use super::path::ParticipantPath;
use crate::callers::Permission;
use crate::disconnect::outcome::{Outcome, Settled};
use crate::disconnect::{Request as Disconnect, conversation_not_found};
use crate::genesys::request::Medium;
use crate::problem::{Code, Problem};

pub(super) use read::read;

/// How long the POST, which is synchronous, waits for the participant to be gone where the org only has the PATCH.
const POST_WAIT: Duration = Duration::from_secs(2);

/// `POST /api/v2/conversations/{cid}/participants/{pid}/disconnect`.
pub(super) async fn post(State(app): State<App>, path: ParticipantPath, request: Request) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let who = authenticate(&app, &parts, Permission::Disconnect).await?;
    input::query(&parts, &[], |_, _| Ok(()))?;
    let body = input::body(&parts.headers, body, app.max_body, app.body_timeout).await?;
    let wishes = Wishes::read(&input::members(&parts.headers, &body)?)?;
    carry_out(&app, &parts, who, &path, wishes, Some(POST_WAIT)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `PATCH /api/v2/conversations/{cid}/participants/{pid}`, and with a medium the path of that medium, which ends nothing else.
pub(super) async fn patch(
    app: App,
    path: ParticipantPath,
    media: Option<Medium>,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let who = authenticate(&app, &parts, Permission::Disconnect).await?;
    input::query(&parts, &[], |_, _| Ok(()))?;
    let body = input::body(&parts.headers, body, app.max_body, app.body_timeout).await?;
    let wishes = Wishes::of_patch(&input::members(&parts.headers, &body)?, media)?;
    carry_out(&app, &parts, who, &path, wishes, None).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn carry_out(
    app: &App,
    parts: &Parts,
    who: Authenticated,
    ParticipantPath(conversation, participant): &ParticipantPath,
    wishes: Wishes,
    wait: Option<Duration>,
) -> Result<(), Problem> {
    let conversation = input::conversation_id(conversation)?;
    let participant = input::participant_id(participant)?;
    let exchange = exchange(parts);
    exchange.note(|note| {
        note.conversation = Some(conversation);
        note.participant = Some(participant);
    });
    let as_seen = input::as_seen(&parts.headers);
    let request = wishes.request(who.origin, conversation, participant);
    let settled = app.disconnector.disconnect(Disconnect { wait, trust_stated: true, as_seen, ..request }).await?;
    exchange.settled(&settled);
    as_the_upstream(&settled)
}

/// What is an outcome for our own paths and an error for the upstream's.
fn as_the_upstream(settled: &Settled) -> Result<(), Problem> {
    match settled.outcome {
        Outcome::WouldDisconnect => {
            let detail = "hangup is in observe mode; nobody was disconnected; this is not a permission problem";
            Err(Problem::new(Code::ObserveMode, detail).still_there())
        }
        // All that was seen is a 404, and here the upstream's statuses hold.
        Outcome::ConversationEnded if !settled.verified => Err(conversation_not_found(None)),
        _ => Ok(()),
    }
}
