//! Control endpoints for conversations.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{ControlRefused, ControlResult, ok, parsed, query, value};
use crate::sandbox::answer::{empty, with_json};
use crate::sandbox::conversation::{Gone, Scope};
use crate::sandbox::directory::HOME;
use crate::sandbox::spec::{ConversationSpec, ParticipantSpec};
use crate::sandbox::state::Sandbox;
use crate::sandbox::stuck::StuckSpec;
use crate::sandbox::{clock, option_duration, render};

pub(super) async fn list(State(sandbox): State<Sandbox>, RawQuery(text): RawQuery) -> ControlResult {
    let wanted = query(text.as_deref(), &["state"])?;
    let readable = sandbox.settings().ended_readable_for;
    let seen = sandbox.conversations().map(readable, |conversation, now| {
        let view = render::short(conversation, now);
        wanted.iter().all(|(_, state)| view["state"] == state.as_str()).then_some(view)
    });
    ok(&json!({ "total": seen.len(), "conversations": seen }))
}

/// Makes one conversation, or with `stuck` many that are stuck.
pub(super) async fn create(State(sandbox): State<Sandbox>, body: Bytes) -> ControlResult {
    let mut asked = value(&body)?;
    if let Some(stuck) = asked.get_mut("stuck").map(Value::take) {
        if asked.as_object().is_some_and(|members| members.len() > 1) {
            return Err(ControlRefused::bad("stuck: stands alone"));
        }
        let ids = sandbox.create_stuck(parsed::<StuckSpec>(stuck)?)?;
        return Ok(with_json(StatusCode::CREATED, &json!({ "total": ids.len(), "ids": ids })));
    }
    let id = sandbox.create(parsed::<ConversationSpec>(asked)?)?;
    Ok(with_json(StatusCode::CREATED, &view(&sandbox, id)?))
}

/// Adds a participant to a live conversation.
pub(super) async fn add_participant(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    body: Bytes,
) -> ControlResult {
    let id = uuid(&id)?;
    view(&sandbox, id)?;
    let added = sandbox.add_participant(id, parsed::<ParticipantSpec>(value(&body)?)?)?;
    let added = added.ok_or_else(|| ControlRefused(StatusCode::CONFLICT, "the conversation has ended".to_owned()))?;
    let seen = view(&sandbox, id)?;
    let mut all = seen["participants"].as_array().into_iter().flatten();
    let added = all.rfind(|p| p["id"] == added.to_string()).cloned().unwrap_or_default();
    Ok(with_json(StatusCode::CREATED, &added))
}

/// A queue to make; another may have the same name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueSpec {
    name: String,
    #[serde(default)]
    id: Option<String>,
    /// Name of its division, which is made if it does not exist.
    #[serde(default)]
    division: Option<String>,
}

pub(super) async fn add_queue(State(sandbox): State<Sandbox>, body: Bytes) -> ControlResult {
    let spec: QueueSpec = parsed(value(&body)?)?;
    let directory = sandbox.directory();
    let division = spec.division.as_deref().map_or(HOME, |name| directory.division_named(name));
    let id = directory.add_queue(spec.id, &spec.name, division);
    Ok(with_json(StatusCode::CREATED, &json!({ "id": id, "name": spec.name, "divisionId": division })))
}

pub(super) async fn queues(State(sandbox): State<Sandbox>) -> ControlResult {
    let directory = sandbox.directory();
    let all: Vec<Value> = directory
        .queues()
        .into_iter()
        .map(|(id, queue)| {
            json!({
                "id": id, "name": queue.name, "divisionId": queue.division,
                "division": directory.division_name(queue.division),
            })
        })
        .collect();
    ok(&json!({ "queues": all }))
}

pub(super) async fn forget_all(State(sandbox): State<Sandbox>) -> ControlResult {
    sandbox.conversations().forget_all();
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn show(State(sandbox): State<Sandbox>, Path(id): Path<String>) -> ControlResult {
    ok(&view(&sandbox, uuid(&id)?)?)
}

/// Ends it at once; with `?forget=true` it is removed as if it had never existed.
pub(super) async fn end(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    RawQuery(text): RawQuery,
) -> ControlResult {
    let id = uuid(&id)?;
    let forget = match query(text.as_deref(), &["forget"])?.first().map(|(_, value)| value.as_str()) {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(ControlRefused::bad(format!("forget: {other:?} is neither true nor false"))),
    };
    let found = if forget { sandbox.forget(id) } else { sandbox.end_conversation(id) };
    if found { Ok(empty(StatusCode::NO_CONTENT)) } else { Err(ControlRefused::missing("such conversation")) }
}

/// What will happen to a conversation, or to one participant of it.
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

pub(super) async fn schedule(State(sandbox): State<Sandbox>, body: Bytes) -> ControlResult {
    let plan: Schedule = parsed(value(&body)?)?;
    let id = plan.conversation.ok_or_else(|| ControlRefused::bad("conversation: is missing"))?;
    if plan.end_in.is_none() && plan.readable_for.is_none() {
        return Err(ControlRefused::bad("give `end_in`, `readable_for` or both"));
    }
    let wall = sandbox.conversations().clock;
    let readable = sandbox.settings().ended_readable_for;
    let done = sandbox.conversations().with(id, readable, |conversation, now| {
        let at = plan.end_in.and_then(|time| now.checked_add(time));
        match (plan.participant, at) {
            (Some(participant), Some(at)) => {
                let Some(position) = conversation.position(participant, now) else { return false };
                let gone = Gone::disconnected(at, &wall, "client");
                conversation.participants.get_mut(position).into_iter().for_each(|p| p.end(Scope::Everything, &gone));
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
        Some(false) => Err(ControlRefused::missing("such participant in the conversation")),
        None => Err(ControlRefused::missing("such conversation")),
    }
}

pub(super) async fn time(State(sandbox): State<Sandbox>) -> ControlResult {
    let wall = sandbox.conversations().clock;
    let now = clock::text(wall.wall(tokio::time::Instant::now()));
    ok(&json!({ "now": now, "elapsed_ms": u64::try_from(wall.elapsed().as_millis()).unwrap_or(u64::MAX) }))
}

fn view(sandbox: &Sandbox, id: Uuid) -> Result<Value, ControlRefused> {
    let readable = sandbox.settings().ended_readable_for;
    let seen = sandbox.conversations().with(id, readable, |conversation, now| render::short(conversation, now));
    seen.ok_or_else(|| ControlRefused::missing("such conversation"))
}

fn uuid(text: &str) -> Result<Uuid, ControlRefused> {
    text.parse().map_err(|_| ControlRefused::bad(format!("id: {text:?} is not a valid UUID")))
}
