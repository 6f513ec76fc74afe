//! Conversations as JSON: in full, as one medium sees them, and in short for the control endpoints.

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::clock::text;
use super::conversation::{Communication, Conversation, Participant, WrapupTerms};
use super::medium::Medium;

/// Leaves out members that are null, as the upstream does.
pub(crate) fn object(members: Value) -> Value {
    match members {
        Value::Object(mut members) => {
            members.retain(|_, value| !value.is_null());
            Value::Object(members)
        }
        other => other,
    }
}

/// `GET /api/v2/conversations/{id}`.
pub(crate) fn full(conversation: &Conversation, now: Instant) -> Value {
    object(json!({
        "id": conversation.id,
        "startTime": text(conversation.started),
        "endTime": conversation.ended.map(|(_, wall)| text(wall)),
        "participants": conversation.participants.iter().map(|p| participant(p, now)).collect::<Vec<_>>(),
        "recordingState": "NONE",
        "divisions": divisions(conversation),
        "selfUri": format!("/api/v2/conversations/{}", conversation.id),
    }))
}

fn divisions(conversation: &Conversation) -> Value {
    let id = conversation.division;
    json!([{ "division": { "id": id, "selfUri": format!("/api/v2/authorization/divisions/{id}") }, "entities": [] }])
}

/// The members about a participant's wrap-up, which both forms have.
fn wrapup(participant: &Participant, now: Instant) -> Value {
    let settled = participant.settled(now);
    let code = settled.and_then(|settled| settled.code.as_ref().map(|code| (settled, code)));
    json!({
        "wrapupRequired": participant.owes_wrapup(now),
        "wrapupPrompt": match participant.wrapup {
            WrapupTerms::None => None,
            WrapupTerms::Owed => Some("optional"),
            WrapupTerms::Required => Some("mandatory"),
        },
        "wrapupSkipped": settled.map(|settled| settled.code.is_none()),
        "wrapup": code.map(|(settled, code)| {
            object(json!({ "code": code, "notes": settled.notes, "endTime": text(settled.wall) }))
        }),
    })
}

fn extend(members: &mut Value, more: Value) {
    if let (Value::Object(members), Value::Object(more)) = (members, more) {
        members.extend(more);
    }
}

fn participant(participant: &Participant, now: Instant) -> Value {
    let ended = participant.ended(now).filter(|_| !participant.owes_wrapup(now));
    let mut members = json!({
        "id": participant.id,
        "name": participant.name,
        "purpose": participant.purpose,
        "startTime": text(participant.started),
        "connectedTime": participant.connected.map(text),
        "endTime": ended.map(|g| text(g.wall)),
        "userId": participant.user_id,
        "userUri": participant.user_id.as_ref().map(|id| format!("/api/v2/users/{id}")),
        "queueId": participant.queue_id,
        "queueName": participant.queue_name,
        "address": participant.address,
        "attributes": {},
    });
    extend(&mut members, wrapup(participant, now));
    for one in &participant.communications {
        let list = &mut members[one.medium.name()];
        if list.is_null() {
            *list = Value::Array(Vec::new());
        }
        if let Value::Array(list) = list {
            list.push(communication(one, participant, now));
        }
    }
    object(members)
}

fn communication(one: &Communication, participant: &Participant, now: Instant) -> Value {
    let (gone, facts) = (one.gone(now), one.medium.facts());
    let scheduled = participant.scheduled.filter(|_| one.medium == Medium::Callbacks);
    object(json!({
        "id": one.id,
        "state": gone.map_or(one.state.as_str(), |g| g.state.as_str()),
        "direction": facts.direction.then_some(direction(participant)),
        "held": facts.held.then_some(false),
        "muted": facts.muted.then_some(false),
        "callbackScheduledTime": scheduled.map(text),
        "connectedTime": participant.connected.map(text),
        "disconnectedTime": gone.map(|g| text(g.wall)),
        "disconnectType": gone.map(|g| one.medium.disconnect_type(&g.kind)),
        "provider": "Edge",
    }))
}

/// `inbound` or `outbound`, as the participant sees it.
pub(crate) fn direction(participant: &Participant) -> &'static str {
    if participant.purpose == "customer" { "inbound" } else { "outbound" }
}

/// `GET /api/v2/conversations/calls/{id}` and others like it: only participants on the medium. `None` if there never
/// were any.
pub(crate) fn on_medium(conversation: &Conversation, medium: Medium, now: Instant) -> Option<Value> {
    let seen: Vec<Value> = conversation
        .participants
        .iter()
        .filter_map(|p| {
            // If a communication was replaced, the latest is shown.
            let one = p.communications.iter().rfind(|c| c.medium == medium)?;
            let mut members = communication(one, p, now);
            let gone = one.gone(now).filter(|_| !p.owes_wrapup(now));
            if let Value::Object(members) = &mut members {
                let reference = |id: &Option<String>, kind: &str| {
                    id.as_ref().map(|id| json!({ "id": id, "selfUri": format!("/api/v2/{kind}/{id}") }))
                };
                let own = object(json!({
                    "id": p.id,
                    "name": p.name,
                    "purpose": p.purpose,
                    "address": p.address,
                    "startTime": text(p.started),
                    "endTime": gone.map(|g| text(g.wall)),
                    "user": reference(&p.user_id, "users"),
                    "queue": reference(&p.queue_id, "routing/queues"),
                    // The official participants of every medium have these, even if its communications do not.
                    "direction": direction(p),
                    "held": false,
                }));
                members.remove("disconnectedTime");
                members.extend(own.as_object().cloned().unwrap_or_default());
            }
            extend(&mut members, wrapup(p, now));
            Some(object(members))
        })
        .collect();
    let path = format!("/api/v2/conversations/{}/{}", medium.facts().segment?, conversation.id);
    (!seen.is_empty()).then(|| {
        object(json!({
            "id": conversation.id, "participants": seen, "otherMediaUris": [],
            "recordingState": (medium == Medium::Calls).then_some("none"),
            "divisions": divisions(conversation), "selfUri": path,
        }))
    })
}

/// In short, with a flag for live participants.
pub(crate) fn short(conversation: &Conversation, now: Instant) -> Value {
    let mut members = Map::new();
    let participants: Vec<Value> = conversation.participants.iter().map(|p| short_participant(p, now)).collect();
    members.insert("id".to_owned(), json!(conversation.id));
    members.insert("state".to_owned(), json!(if conversation.ended.is_some() { "ended" } else { "active" }));
    members.insert("startTime".to_owned(), json!(text(conversation.started)));
    members.insert("endTime".to_owned(), json!(conversation.ended.map(|(_, wall)| text(wall))));
    members.insert("participants".to_owned(), Value::Array(participants));
    Value::Object(members)
}

fn short_participant(p: &Participant, now: Instant) -> Value {
    let state = p
        .communications
        .iter()
        .find(|c| c.gone(now).is_none())
        .map(|c| c.state.clone())
        .or_else(|| p.ended(now).map(|g| g.state.clone()))
        .unwrap_or_else(|| "connected".to_owned());
    json!({
        "id": p.id,
        "name": p.name,
        "purpose": p.purpose,
        "state": state,
        "live": p.is_live(now),
        "media": p.communications.iter().map(|c| c.medium.name()).collect::<Vec<_>>(),
        "userId": p.user_id,
        "queueId": p.queue_id,
        "address": p.address,
        "endTime": p.ended(now).map(|g| text(g.wall)),
        "disconnects": p.disconnects,
    })
}
