//! The operations themselves, as Genesys Cloud answers them.

use std::borrow::Cow;
use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Problem, empty, with_json};
use super::call::{Call, Flaw};
use super::conversations::Disconnected;
use super::journal::Kind;
use super::settings::Settings;
use super::{Sandbox, login, render};
use crate::config::Surface;

/// What was served: the answer, and what happened to somebody.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) response: Result<Response, Problem>,
    pub(crate) effect: Option<&'static str>,
}

impl From<Result<Response, Problem>> for Served {
    fn from(response: Result<Response, Problem>) -> Self {
        Self { response, effect: None }
    }
}

/// A request whose body has been read.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) call: &'a Call,
    pub(crate) parts: &'a http::request::Parts,
    pub(crate) body: &'a [u8],
}

/// Serves a request; with `effect` false it answers the same, and nothing happens.
pub(crate) fn serve(sandbox: &Sandbox, incoming: &Incoming<'_>, effect: bool) -> Served {
    let call = incoming.call;
    let settings = sandbox.settings();
    // A surface that lacks an operation does not know its path at all, whatever the ids.
    let missing = match call.kind {
        Kind::Post => settings.surface == Surface::Published && !settings.minimal,
        Kind::Login => false,
        _ if settings.minimal => true,
        Kind::Patch => settings.surface == Surface::Unpublished,
        _ => false,
    };
    match call.flaw {
        _ if missing => return Err(Problem::no_such_path()).into(),
        Some(Flaw::NoSuchPath) => return Err(Problem::no_such_path()).into(),
        Some(Flaw::Malformed(name)) => {
            return Err(Problem::bad_request(format!("The {name} in the path is not a valid UUID."))).into();
        }
        Some(Flaw::WrongMethod(allowed)) => return Err(wrong_method(allowed)).into(),
        None => {}
    }
    let id = call.conversation.unwrap_or_default();
    let participant = call.participant.unwrap_or_default();
    match call.kind {
        Kind::Login => login::login(sandbox, incoming).into(),
        Kind::Read => read(sandbox, call, id, &settings).into(),
        Kind::List => list(sandbox, incoming.parts.uri.query(), &settings).into(),
        Kind::Patch => patch(sandbox, incoming, (id, participant), &settings, effect),
        Kind::Post => post(sandbox, incoming.body, (id, participant), &settings, effect),
        Kind::Teardown => teardown(sandbox, id, &settings, effect),
        Kind::Other => Err(Problem::no_such_path()).into(),
    }
}

fn wrong_method(allowed: &'static str) -> Problem {
    let message = format!("HTTP 405 Method Not Allowed; the method here is {allowed}");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method.not.allowed", message).header("allow", allowed)
}

fn unknown_conversation(id: Uuid) -> Problem {
    Problem::not_found(format!("The requested conversation {id} was not found."))
}

fn read(sandbox: &Sandbox, call: &Call, id: Uuid, settings: &Settings) -> Result<Response, Problem> {
    let seen = sandbox.conversations().with(id, settings.ended_readable_for, |conversation, now| match call.medium {
        None => Some(render::full(conversation, now)),
        Some(medium) => render::on_medium(conversation, medium, now),
    });
    match seen.flatten() {
        Some(body) => Ok(with_json(StatusCode::OK, &body)),
        None => Err(unknown_conversation(id)),
    }
}

fn list(sandbox: &Sandbox, query: Option<&str>, settings: &Settings) -> Result<Response, Problem> {
    let (mut size, mut number) = (25_usize, 1_usize);
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let target = match &*name {
            "pageSize" => &mut size,
            "pageNumber" => &mut number,
            _ => continue,
        };
        let value = value.parse().ok().filter(|n| (1..=100_000).contains(n));
        *target = value.ok_or_else(|| Problem::bad_request(format!("{name} must be a number from 1 on")))?;
    }
    let size = size.min(100);
    let active = sandbox.conversations().map(settings.ended_readable_for, |conversation, now| {
        conversation.ended.is_none().then(|| render::full(conversation, now))
    });
    let (total, pages) = (active.len(), active.len().div_ceil(size));
    let page: Vec<Value> = active.into_iter().skip((number - 1) * size).take(size).collect();
    let uri = |n: usize| format!("/api/v2/conversations?pageSize={size}&pageNumber={n}");
    Ok(with_json(
        StatusCode::OK,
        &json!({
            "entities": page, "pageSize": size, "pageNumber": number, "total": total, "pageCount": pages,
            "selfUri": uri(number), "firstUri": uri(1), "lastUri": uri(pages.max(1)),
        }),
    ))
}

/// `PATCH` hangs somebody up and does nothing else here.
fn patch(
    sandbox: &Sandbox,
    incoming: &Incoming<'_>,
    (id, participant): (Uuid, Uuid),
    settings: &Settings,
    effect: bool,
) -> Served {
    let body: Value = match serde_json::from_slice(incoming.body) {
        Ok(body) => body,
        Err(_) => return Err(Problem::bad_request("The request could not be understood by the server.")).into(),
    };
    let state = body.get("state").and_then(Value::as_str).unwrap_or_default();
    let other = body.as_object().and_then(|members| {
        members
            .iter()
            .find(|(name, value)| !matches!(name.as_str(), "state" | "wrapup" | "wrapupSkipped") && !value.is_null())
    });
    if !state.eq_ignore_ascii_case("disconnected") || other.is_some() {
        return Err(Problem::bad_request("The sandbox serves a PATCH with {\"state\":\"disconnected\"} only.")).into();
    }
    let (delay, readable) = (effect.then_some(settings.effect_delay), settings.ended_readable_for);
    let medium = incoming.call.medium;
    let problem = match sandbox.conversations().disconnect(id, participant, medium, delay, readable) {
        Disconnected::Taken => {
            let effect = if effect { "scheduled" } else { "ignored" };
            return Served { response: Ok(empty(StatusCode::ACCEPTED)), effect: Some(effect) };
        }
        Disconnected::Gone => gone(settings.gone_status, settings.gone_code.clone()),
        other => refusal(other, id, participant),
    };
    Err(problem).into()
}

fn post(sandbox: &Sandbox, body: &[u8], (id, participant): (Uuid, Uuid), settings: &Settings, effect: bool) -> Served {
    if let Err(message) = reason_and_cause(body, settings.post_needs_reason_and_cause) {
        return Err(Problem::new(StatusCode::CONFLICT, "conflict", message)).into();
    }
    let delay = effect.then_some(Duration::ZERO);
    let outcome = sandbox.conversations().disconnect(id, participant, None, delay, settings.ended_readable_for);
    let problem = match outcome {
        Disconnected::Taken => {
            let effect = if effect { "done" } else { "ignored" };
            return Served { response: Ok(empty(StatusCode::NO_CONTENT)), effect: Some(effect) };
        }
        Disconnected::Gone | Disconnected::WrapupOwed => match settings.post_gone_status {
            204 => return Ok(empty(StatusCode::NO_CONTENT)).into(),
            409 => gone(409, "conflict"),
            status => gone(status, "not.found"),
        },
        other => refusal(other, id, participant),
    };
    Err(problem).into()
}

/// The body of the seeds' POST: none, or an object whose `reason` and `cause` are strings.
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

fn teardown(sandbox: &Sandbox, id: Uuid, settings: &Settings, effect: bool) -> Served {
    let clock = sandbox.conversations().clock;
    let found = sandbox.conversations().with(id, settings.ended_readable_for, |conversation, now| {
        let live = conversation.ended.is_none();
        if let Some(at) = now.checked_add(settings.effect_delay).filter(|_| live && effect) {
            conversation.ends = Some(conversation.ends.map_or(at, |ends| ends.min(at)));
            conversation.participants.iter_mut().for_each(|p| p.wrapup_pending = false);
            conversation.settle(now, &clock);
        }
        live
    });
    match found {
        Some(true) => {
            let effect = if effect { "scheduled" } else { "ignored" };
            Served { response: Ok(empty(StatusCode::ACCEPTED)), effect: Some(effect) }
        }
        _ => Err(unknown_conversation(id)).into(),
    }
}

fn gone(status: u16, code: impl Into<Cow<'static, str>>) -> Problem {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::NOT_FOUND);
    Problem::new(status, code, "The participant has no active conversations.")
}

fn refusal(outcome: Disconnected, id: Uuid, participant: Uuid) -> Problem {
    match outcome {
        Disconnected::Stranger => Problem::new(
            StatusCode::NOT_FOUND,
            "conversation.error.not.conversation.participant",
            format!("Participant {participant} is not a participant of conversation {id}."),
        ),
        Disconnected::OtherMedium => Problem::not_found(format!(
            "Participant {participant} of conversation {id} has no communication of this medium."
        )),
        Disconnected::WrapupOwed => Problem::new(
            StatusCode::BAD_REQUEST,
            "conversation.error.wrapup.code.required",
            "A wrap-up code is required.",
        ),
        Disconnected::Taken | Disconnected::Gone | Disconnected::Ended | Disconnected::Unknown => {
            unknown_conversation(id)
        }
    }
}
