//! Conversations and their life cycles.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Refused, ok, parsed, query, value};
use crate::sandbox::answer::{empty, with_json};
use crate::sandbox::conversation::Gone;
use crate::sandbox::{ConversationSpec, Sandbox, clock, option_duration, render};

pub(super) async fn list(State(sandbox): State<Sandbox>, RawQuery(text): RawQuery) -> Answer {
    let wanted = query(text.as_deref(), &["state"])?;
    let readable = sandbox.settings().ended_readable_for;
    let seen = sandbox.conversations().map(readable, |conversation, now| {
        let view = render::short(conversation, now);
        wanted.iter().all(|(_, state)| view["state"] == state.as_str()).then_some(view)
    });
    ok(&json!({ "total": seen.len(), "conversations": seen }))
}

pub(super) async fn create(State(sandbox): State<Sandbox>, body: Bytes) -> Answer {
    let spec: ConversationSpec = parsed(value(&body)?)?;
    let id = sandbox.create(spec).map_err(|e| Refused(StatusCode::CONFLICT, e.to_string()))?;
    let view = view(&sandbox, id)?;
    Ok(with_json(StatusCode::CREATED, &view))
}

pub(super) async fn forget_all(State(sandbox): State<Sandbox>) -> Answer {
    sandbox.conversations().forget_all();
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn show(State(sandbox): State<Sandbox>, Path(id): Path<String>) -> Answer {
    ok(&view(&sandbox, uuid(&id)?)?)
}

/// Ends it at once; with `?forget=true` it is as if it had never been.
pub(super) async fn end(State(sandbox): State<Sandbox>, Path(id): Path<String>, RawQuery(text): RawQuery) -> Answer {
    let id = uuid(&id)?;
    let forget = match query(text.as_deref(), &["forget"])?.first().map(|(_, value)| value.as_str()) {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(Refused::bad(format!("forget: {other:?} is neither true nor false"))),
    };
    let found = if forget { sandbox.forget(id) } else { sandbox.end_conversation(id) };
    if found { Ok(empty(StatusCode::NO_CONTENT)) } else { Err(Refused::missing("such conversation")) }
}

/// What happens to a conversation, or to one participant of it, some time from now.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Schedule {
    conversation: Option<Uuid>,
    participant: Option<Uuid>,
    #[serde(with = "option_duration")]
    end_in: Option<Duration>,
    #[serde(with = "option_duration")]
    readable_for: Option<Duration>,
}

pub(super) async fn schedule(State(sandbox): State<Sandbox>, body: Bytes) -> Answer {
    let plan: Schedule = parsed(value(&body)?)?;
    let id = plan.conversation.ok_or_else(|| Refused::bad("conversation: is missing"))?;
    if plan.end_in.is_none() && plan.readable_for.is_none() {
        return Err(Refused::bad("give `end_in`, `readable_for` or both"));
    }
    let wall = sandbox.conversations().clock;
    let readable = sandbox.settings().ended_readable_for;
    let done = sandbox.conversations().with(id, readable, |conversation, now| {
        let at = plan.end_in.and_then(|time| now.checked_add(time));
        match (plan.participant, at) {
            (Some(participant), Some(at)) => {
                let Some(position) = conversation.position(participant, now) else { return false };
                let gone = Gone { at, wall: wall.wall(at), state: "disconnected".to_owned(), kind: "client" };
                conversation.participants.get_mut(position).into_iter().for_each(|p| p.end(None, &gone));
            }
            (Some(participant), None) if conversation.position(participant, now).is_none() => return false,
            (None, Some(at)) => conversation.ends = Some(at),
            _ => {}
        }
        conversation.readable_for = plan.readable_for.or(conversation.readable_for);
        conversation.settle(now, &wall);
        true
    });
    match done {
        Some(true) => ok(&view(&sandbox, id)?),
        Some(false) => Err(Refused::missing("such participant in the conversation")),
        None => Err(Refused::missing("such conversation")),
    }
}

pub(super) async fn time(State(sandbox): State<Sandbox>) -> Answer {
    let wall = sandbox.conversations().clock;
    let now = clock::text(wall.wall(tokio::time::Instant::now()));
    ok(&json!({ "now": now, "elapsed_ms": u64::try_from(wall.elapsed().as_millis()).unwrap_or(u64::MAX) }))
}

fn view(sandbox: &Sandbox, id: Uuid) -> Result<Value, Refused> {
    let readable = sandbox.settings().ended_readable_for;
    let seen = sandbox.conversations().with(id, readable, |conversation, now| render::short(conversation, now));
    seen.ok_or_else(|| Refused::missing("such conversation"))
}

fn uuid(text: &str) -> Result<Uuid, Refused> {
    text.parse().map_err(|_| Refused::bad(format!("id: {text:?} is no UUID")))
}
