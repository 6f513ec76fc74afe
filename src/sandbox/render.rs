//! Conversations as JSON: in full, as one medium sees them, and in short for the control surface.

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::clock::text;
use super::conversation::{Communication, Conversation, Medium, Participant};

/// Leaves out members that are null, as the upstream does.
fn object(members: Value) -> Value {
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
        "recordingState": "none",
        "divisions": [],
        "selfUri": format!("/api/v2/conversations/{}", conversation.id),
    }))
}

fn participant(participant: &Participant, now: Instant) -> Value {
    let ended = participant.ended(now).filter(|_| !participant.wrapup_pending);
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
        "address": participant.address,
        "wrapupRequired": participant.wrapup_pending,
        "attributes": {},
    });
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
    let gone = one.gone(now);
    object(json!({
        "id": one.id,
        "state": gone.map_or(one.state.as_str(), |g| g.state.as_str()),
        "direction": if participant.purpose == "customer" { "inbound" } else { "outbound" },
        "held": false,
        "muted": (one.medium == Medium::Calls).then_some(false),
        "connectedTime": participant.connected.map(text),
        "disconnectedTime": gone.map(|g| text(g.wall)),
        "disconnectType": gone.map(|g| g.kind),
        "provider": "Edge",
    }))
}

/// `GET /api/v2/conversations/calls/{id}` and its likes: only those who are on the medium. `None` when nobody ever was.
pub(crate) fn on_medium(conversation: &Conversation, medium: Medium, now: Instant) -> Option<Value> {
    let seen: Vec<Value> = conversation
        .participants
        .iter()
        .filter_map(|p| {
            // A leg that was replaced is listed by its latest.
            let one = p.communications.iter().rfind(|c| c.medium == medium)?;
            let mut members = communication(one, p, now);
            let gone = one.gone(now).filter(|_| !p.wrapup_pending);
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
                    "wrapupRequired": p.wrapup_pending,
                }));
                members.remove("disconnectedTime");
                members.extend(own.as_object().cloned().unwrap_or_default());
            }
            Some(members)
        })
        .collect();
    let path = format!("/api/v2/conversations/{}/{}", medium.name(), conversation.id);
    (!seen.is_empty()).then(|| {
        json!({
            "id": conversation.id, "participants": seen, "otherMediaUris": [], "recordingState": "none",
            "divisions": [], "selfUri": path,
        })
    })
}

/// In short, with who is live.
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
