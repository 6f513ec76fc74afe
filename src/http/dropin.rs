//! Drop-in: the upstream's own paths, statuses and error bodies, so that SDKs change host and credentials and no code.
//!
//! Whichever operation the org has, POST answers 204 and PATCH 202, and both disconnect. A caller's token is never forwarded.

mod read;
pub(super) mod teardown;

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use super::AppState;
use super::callers::{Permitted, to};
use super::input::{DisconnectBody, Members, NoQuery};
use super::path::ParticipantPath;
use super::refused::Refused;
use super::upstream_form::as_the_upstream;
use crate::disconnect::Request;
use crate::disconnect::seen::AsSeen;
use crate::medium::Medium;
use crate::problem::Problem;

pub(super) use read::read;

/// How long the POST, which is synchronous, waits for the participant to be gone where the org only has the PATCH.
const POST_WAIT: Duration = Duration::from_secs(2);

/// `POST /api/v2/conversations/{cid}/participants/{pid}/disconnect`.
pub(super) async fn post(
    State(app): State<AppState>,
    who: Permitted<to::Disconnect>,
    path: ParticipantPath,
    _: NoQuery,
    as_seen: Option<AsSeen>,
    body: DisconnectBody,
) -> Result<Response, Refused> {
    carry_out(&app, who, path, as_seen, body, Some(POST_WAIT)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `PATCH /api/v2/conversations/{cid}/participants/{pid}`, and with a medium the path of that medium, which ends nothing else.
pub(super) async fn patch(
    media: Option<Medium>,
    State(app): State<AppState>,
    who: Permitted<to::Disconnect>,
    path: ParticipantPath,
    _: NoQuery,
    as_seen: Option<AsSeen>,
    Members(members): Members,
) -> Result<Response, Refused> {
    carry_out(&app, who, path, as_seen, DisconnectBody::of_patch(&members, media)?, None).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn carry_out(
    app: &AppState,
    who: Permitted<to::Disconnect>,
    ParticipantPath(conversation, participant): ParticipantPath,
    as_seen: Option<AsSeen>,
    body: DisconnectBody,
    wait: Option<Duration>,
) -> Result<(), Problem> {
    let request = body.request(who.origin, conversation, participant);
    let settled = app.disconnector.disconnect(Request { wait, trust_stated: true, as_seen, ..request }).await?;
    who.context.log().settled(&settled);
    as_the_upstream(&settled)
}
