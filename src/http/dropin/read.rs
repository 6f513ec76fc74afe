//! Reads of the drop-in: the upstream's own body, as long as it is a conversation, and the one that was asked for.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use super::super::AppState;
use super::super::callers::{Permitted, to};
use super::super::path::ConversationPath;
use super::super::refused::Refused;
use crate::callers::Guards;
use crate::disconnect::conversation_not_found;
use crate::disconnect::look::{self, Read};
use crate::genesys::answer::{Answer, BodyEnd};
use crate::genesys::request::{Call, Rank};
use crate::ids::ConversationId;
use crate::lenient::cleaned;
use crate::medium::Medium;
use crate::problem::{Problem, UpstreamDetail};

/// `GET /api/v2/conversations/{cid}`, and with a medium the path of that medium.
pub(in crate::http) async fn read(
    medium: Option<Medium>,
    State(app): State<AppState>,
    Permitted { origin, context, .. }: Permitted<to::Read>,
    ConversationPath(cid): ConversationPath,
) -> Result<Response, Refused> {
    let admission = app.disconnector.admit(&origin)?;
    let call = Call::read(&admission.context, Rank::Lookup, medium, cid).with_whole_body();
    let answer = app.disconnector.client().call(call).await.map_err(Problem::from)?;
    context.log().read(&answer);
    let body = handed_on(&answer, cid, origin.guards.as_deref())?;
    {
        let mut log = context.log();
        log.outcome = Some("read");
        log.verified = true;
    }
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

/// The body to hand on: the upstream's bytes, or for a guarded key what is left of them.
fn handed_on(answer: &Answer, cid: ConversationId, guards: Option<&Guards>) -> Result<Bytes, Problem> {
    if answer.status != StatusCode::OK {
        return Err(refused(answer));
    }
    let bytes = match cleaned(&answer.body.bytes) {
        Cow::Borrowed(text) => answer.body.bytes.slice_ref(text),
        // A caller's JSON reader would refuse all of it for half of an emoji in a name.
        Cow::Owned(text) => text.into(),
    };
    let named = serde_json::from_slice::<Named>(&bytes).ok().and_then(|named| ConversationId::parse(&named.id));
    if answer.body.end != BodyEnd::Complete || named != Some(cid) {
        return Err(Problem::invalid_response(answer, "the read returned something other than this conversation"));
    }
    match guards {
        None => Ok(bytes),
        Some(guards) => permitted(&bytes, guards)
            .ok_or_else(|| Problem::invalid_response(answer, "the participants of the conversation cannot be read")),
    }
}

/// The conversation without those whom the key may not touch.
fn permitted(body: &[u8], guards: &Guards) -> Option<Bytes> {
    let mut conversation: Value = serde_json::from_slice(body).ok()?;
    let participants = conversation.get_mut("participants")?.as_array_mut()?;
    participants.retain(|participant| {
        let text = |name: &str| participant.get(name).and_then(Value::as_str);
        // The paths of a medium have the queue as an object.
        let queue = text("queueId").or_else(|| participant.pointer("/queue/id").and_then(Value::as_str));
        guards.permits(text("purpose"), queue)
    });
    Some(conversation.to_string().into())
}

fn refused(answer: &Answer) -> Problem {
    match look::refused(answer) {
        Ok(Read::Hidden(problem) | Read::Foreign(problem)) | Err(problem) => problem,
        Ok(Read::NotFound | Read::Found(_)) => conversation_not_found(Some(Box::new(UpstreamDetail::of(answer)))),
    }
}
