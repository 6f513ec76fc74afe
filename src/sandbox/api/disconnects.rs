//! Disconnects by the published PATCHes and the unpublished POST, and teardowns.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use crate::sandbox::answer::{Problem, empty, with_json};
use crate::sandbox::conversation::Scope;
use crate::sandbox::disconnects::{Disconnect, Disconnected, Wrapup};
use crate::sandbox::incoming::{Incoming, Served};
use crate::sandbox::render;
use crate::sandbox::settings::Settings;
use crate::sandbox::state::Sandbox;

/// A PATCH of a participant or of one of its communications. The sandbox only disconnects by it.
pub(super) fn patch(sandbox: &Sandbox, incoming: &Incoming<'_>, id: Uuid, settings: &Settings, effect: bool) -> Served {
    let call = incoming.call;
    let wrapup = match disconnected(incoming.body, &["wrapup", "wrapupSkipped"]).and_then(|body| wrapup(&body)) {
        Ok(wrapup) => wrapup,
        Err(problem) => return Err(problem).into(),
    };
    let (scope, wrapup) = match (call.medium, call.communication) {
        (Some(medium), Some(one)) => (Scope::Communication(medium, one), Wrapup::Ignored),
        (medium, _) => (Scope::of(medium), wrapup),
    };
    let participant = call.participant.unwrap_or_default();
    let asked = Disconnect { scope, wrapup, delay: effect.then_some(settings.effect_delay) };
    match sandbox.conversations().disconnect(id, participant, &asked, settings.ended_readable_for) {
        Disconnected::Accepted => Served::accepted(empty(StatusCode::ACCEPTED), effect),
        Disconnected::Gone => Err(gone(settings.gone_status, settings.gone_code.clone())).into(),
        other => Err(refusal(other, id, participant)).into(),
    }
}

/// The unpublished POST, which is synchronous and knows no wrap-up.
pub(super) fn post(sandbox: &Sandbox, incoming: &Incoming<'_>, id: Uuid, settings: &Settings, effect: bool) -> Served {
    if let Err(message) = reason_and_cause(incoming.body, settings.post_needs_reason_and_cause) {
        return Err(Problem::new(StatusCode::CONFLICT, "conflict", message)).into();
    }
    let participant = incoming.call.participant.unwrap_or_default();
    let delay = effect.then_some(Duration::ZERO);
    let asked = Disconnect { scope: Scope::Everything, wrapup: Wrapup::Ignored, delay };
    let problem = match sandbox.conversations().disconnect(id, participant, &asked, settings.ended_readable_for) {
        Disconnected::Accepted => {
            let effect = if effect { "done" } else { "ignored" };
            return Served { response: Ok(empty(StatusCode::NO_CONTENT)), effect: Some(effect) };
        }
        Disconnected::Gone => match settings.post_gone_status {
            204 => return Ok(empty(StatusCode::NO_CONTENT)).into(),
            409 => gone(409, "conflict"),
            status => gone(status, "not.found"),
        },
        other => refusal(other, id, participant),
    };
    Err(problem).into()
}

/// Ends a whole conversation, asynchronously like the PATCH.
pub(super) fn tear_down(sandbox: &Sandbox, id: Uuid, settings: &Settings, effect: bool) -> Served {
    let delay = effect.then_some(settings.effect_delay);
    match sandbox.conversations().tear_down(id, Scope::Everything, delay, settings.ended_readable_for) {
        true => Served::accepted(empty(StatusCode::ACCEPTED), effect),
        false => Err(Problem::unknown_conversation(id)).into(),
    }
}

/// `PATCH /api/v2/conversations/{medium}/{id}`: ends that medium for all participants, and returns the conversation.
pub(super) fn patch_medium(
    sandbox: &Sandbox,
    incoming: &Incoming<'_>,
    id: Uuid,
    settings: &Settings,
    effect: bool,
) -> Served {
    if let Err(problem) = disconnected(incoming.body, &[]) {
        return Err(problem).into();
    }
    let scope = Scope::of(incoming.call.medium);
    let delay = effect.then_some(settings.effect_delay);
    if !sandbox.conversations().tear_down(id, scope, delay, settings.ended_readable_for) {
        return Err(Problem::unknown_conversation(id)).into();
    }
    match sandbox.conversations().with(id, settings.ended_readable_for, |c, now| render::full(c, now)) {
        Some(body) => Served::accepted(with_json(StatusCode::OK, &body), effect),
        None => Err(Problem::unknown_conversation(id)).into(),
    }
}

/// Reads the body of a PATCH: `{"state":"disconnected"}`, and optionally members with the names in `more`.
fn disconnected(body: &[u8], more: &[&str]) -> Result<Value, Problem> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|_| Problem::bad_request("The request could not be understood by the server."))?;
    let state = body.get("state").and_then(Value::as_str).unwrap_or_default();
    let other = body.as_object().is_some_and(|members| {
        members.iter().any(|(name, value)| name != "state" && !more.contains(&name.as_str()) && !value.is_null())
    });
    if !state.eq_ignore_ascii_case("disconnected") || other {
        let message = "The sandbox serves a PATCH with {\"state\":\"disconnected\"} only.";
        return Err(Problem::bad_request(message));
    }
    Ok(body)
}

fn wrapup(body: &Value) -> Result<Wrapup, Problem> {
    let skipped = match body.get("wrapupSkipped") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(skipped)) => *skipped,
        Some(_) => return Err(Problem::bad_request("wrapupSkipped must be true or false.")),
    };
    match body.get("wrapup") {
        None | Some(Value::Null) if skipped => Ok(Wrapup::Skipped),
        None | Some(Value::Null) => Ok(Wrapup::Absent),
        Some(Value::Object(given)) => match given.get("code").and_then(Value::as_str) {
            None | Some("") => Err(wrapup_owed()),
            Some(code) => {
                let notes = given.get("notes").and_then(Value::as_str).map(str::to_owned);
                Ok(Wrapup::Code { code: code.to_owned(), notes })
            }
        },
        Some(_) => Err(Problem::bad_request("wrapup must be an object with a code.")),
    }
}

/// The body of the unpublished POST: none, or an object whose `reason` and `cause` are strings.
fn reason_and_cause(body: &[u8], needed: bool) -> Result<(), &'static str> {
    let body = match body {
        [] if needed => return Err("The reason and the cause are missing."),
        [] => return Ok(()),
        body => serde_json::from_slice::<Value>(body).map_err(|_| "The body is malformed.")?,
    };
    let members = body.as_object().ok_or("The body is malformed.")?;
    for (name, missing, malformed) in [
        ("reason", "The reason is missing.", "The reason is malformed."),
        ("cause", "The cause is missing.", "The cause is malformed."),
    ] {
        match members.get(name) {
            Some(Value::String(text)) if !text.is_empty() || !needed => {}
            None | Some(Value::Null) if !needed => {}
            None | Some(Value::Null) => return Err(missing),
            Some(_) => return Err(malformed),
        }
    }
    Ok(())
}

fn gone(status: u16, code: impl Into<Cow<'static, str>>) -> Problem {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::NOT_FOUND);
    Problem::new(status, code, "The participant has no active conversations.")
}

fn wrapup_owed() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "conversation.error.wrapup.code.required", "A wrap-up code is required.")
}

pub(super) fn not_a_participant(id: Uuid, participant: Uuid) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "conversation.error.not.conversation.participant",
        format!("Participant {participant} is not a participant of conversation {id}."),
    )
}

fn refusal(outcome: Disconnected, id: Uuid, participant: Uuid) -> Problem {
    match outcome {
        Disconnected::NotAParticipant => not_a_participant(id, participant),
        Disconnected::OtherMedium => Problem::not_found(format!(
            "Participant {participant} of conversation {id} has no such communication of this medium."
        )),
        Disconnected::WrapupOwed => wrapup_owed(),
        Disconnected::CannotSkip => Problem::new(
            StatusCode::BAD_REQUEST,
            "conversation.error.wrapup.cannot.skip",
            "The wrap-up of this participant cannot be skipped.",
        ),
        Disconnected::Accepted | Disconnected::Gone | Disconnected::Ended | Disconnected::Unknown => {
            Problem::unknown_conversation(id)
        }
    }
}
