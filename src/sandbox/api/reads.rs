//! Reading conversations.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::sandbox::answer::{Problem, with_json};
use crate::sandbox::call::Call;
use crate::sandbox::clock::text;
use crate::sandbox::medium::Medium;
use crate::sandbox::page::Page;
use crate::sandbox::render;
use crate::sandbox::settings::Settings;
use crate::sandbox::state::Sandbox;

/// A conversation, as a whole or as one medium sees it.
pub(super) fn read(
    sandbox: &Sandbox,
    id: Uuid,
    medium: Option<Medium>,
    settings: &Settings,
) -> Result<Response, Problem> {
    let seen = sandbox.conversations().with(id, settings.ended_readable_for, |conversation, now| match medium {
        None => Some(render::full(conversation, now)),
        Some(medium) => render::on_medium(conversation, medium, now),
    });
    seen.flatten().map(|body| with_json(StatusCode::OK, &body)).ok_or_else(|| Problem::unknown_conversation(id))
}

/// One page of the live conversations, all or those on one medium.
pub(super) fn list(
    sandbox: &Sandbox,
    medium: Option<Medium>,
    query: Option<&str>,
    settings: &Settings,
) -> Result<Response, Problem> {
    let page = Page::of_query(query)?;
    let live = sandbox.conversations().map(settings.ended_readable_for, |conversation, now| {
        if conversation.ended.is_some() || settings.hidden_divisions.contains(&conversation.division) {
            return None;
        }
        match medium {
            None => Some(render::full(conversation, now)),
            // The official models of these lists do not have the state `scheduled`.
            Some(medium) if conversation.is_scheduled(medium) => None,
            Some(medium) => render::on_medium(conversation, medium, now),
        }
    });
    let segment = medium.and_then(|medium| medium.facts().segment).map_or(String::new(), |name| format!("/{name}"));
    Ok(with_json(StatusCode::OK, &page.listing(live, &format!("/api/v2/conversations{segment}"))))
}

/// The wrap-up of a participant; an empty object while there is none.
pub(super) fn wrapup(sandbox: &Sandbox, id: Uuid, call: &Call, settings: &Settings) -> Result<Response, Problem> {
    let participant = call.participant.unwrap_or_default();
    let seen = sandbox.conversations().with(id, settings.ended_readable_for, |conversation, now| {
        let found = conversation.participants.get(conversation.position(participant, now)?)?;
        Some(found.settled(now).map_or_else(
            Value::default,
            |settled| json!({ "code": settled.code, "notes": settled.notes, "endTime": text(settled.wall) }),
        ))
    });
    match seen {
        None => Err(Problem::unknown_conversation(id)),
        Some(None) => Err(super::disconnects::not_a_participant(id, participant)),
        Some(Some(body)) => Ok(with_json(StatusCode::OK, &render::object(body))),
    }
}
