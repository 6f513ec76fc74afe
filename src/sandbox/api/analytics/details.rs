//! Conversations as analytics reports them, one by one and by query.

use std::borrow::Cow;

use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::body::parsed;
use super::filter::Filter;
use super::interval::Interval;
use crate::sandbox::answer::{Problem, with_json};
use crate::sandbox::clock::text;
use crate::sandbox::conversation::{Communication, Conversation, Participant};
use crate::sandbox::medium::{Medium, analytics_disconnect_type};
use crate::sandbox::page::Page;
use crate::sandbox::render::{direction, object};
use crate::sandbox::settings::Settings;
use crate::sandbox::state::Sandbox;

/// Dimensions to filter conversations by.
const CONVERSATION: &[&str] =
    &["conversationEnd", "conversationId", "conversationStart", "divisionId", "originatingDirection"];
/// Dimensions to filter their segments by.
const SEGMENT: &[&str] = &[
    "addressFrom",
    "addressTo",
    "ani",
    "callbackScheduledTime",
    "direction",
    "dnis",
    "mediaType",
    "participantName",
    "purpose",
    "queueId",
    "segmentEnd",
    "segmentType",
    "userId",
    "wrapUpCode",
];
/// The address that customers called or wrote to.
const OWN_ADDRESS: &str = "tel:+13175550100";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DetailsQuery {
    interval: Option<String>,
    order: String,
    paging: Option<Paging>,
    conversation_filters: Vec<Filter>,
    segment_filters: Vec<Filter>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Paging {
    #[serde(default = "usual_page")]
    page_size: usize,
    #[serde(default = "first_page")]
    page_number: usize,
}

const fn usual_page() -> usize {
    25
}

const fn first_page() -> usize {
    1
}

impl Default for DetailsQuery {
    fn default() -> Self {
        Self {
            interval: None,
            order: "asc".to_owned(),
            paging: None,
            conversation_filters: Vec::new(),
            segment_filters: Vec::new(),
        }
    }
}

/// `POST /api/v2/analytics/conversations/details/query`.
pub(in crate::sandbox::api) fn details_query(
    sandbox: &Sandbox,
    body: &[u8],
    settings: &Settings,
) -> Result<Response, Problem> {
    let query: DetailsQuery = parsed(body)?;
    let interval = Interval::read(query.interval.as_deref())?;
    query.conversation_filters.iter().try_for_each(|filter| filter.check(CONVERSATION))?;
    query.segment_filters.iter().try_for_each(|filter| filter.check(SEGMENT))?;
    let page = query.paging.unwrap_or(Paging { page_size: usual_page(), page_number: first_page() });
    if !(1..=100).contains(&page.page_size) || page.page_number == 0 {
        return Err(Problem::bad_request("pageSize must be between 1 and 100, and pageNumber 1 or more."));
    }
    let mut found = sandbox.conversations().map_known(|conversation, now| {
        let wanted = interval.includes(conversation.started, conversation.ended.map(|(_, wall)| wall))
            && !settings.hidden_divisions.contains(&conversation.division)
            && query.conversation_filters.iter().all(|filter| filter.holds(&|name| dimension(conversation, name)))
            && query.segment_filters.iter().all(|filter| any_segment(conversation, filter, now));
        wanted.then_some(conversation.id)
    });
    if query.order == "desc" {
        found.reverse();
    }
    let page = Page { size: page.page_size, number: page.page_number };
    if page.skipped() + page.size > settings.analytics_hits && page.skipped() < found.len() {
        return Err(Problem::new(StatusCode::BAD_GATEWAY, "bad.gateway", "The query has too many hits."));
    }
    let conversations: Vec<Value> = found
        .iter()
        .skip(page.skipped())
        .take(page.size)
        .filter_map(|id| sandbox.conversations().with_known(*id, |conversation, now| render(conversation, now)))
        .collect();
    // Without hits the real API leaves out the list.
    let list = (!conversations.is_empty()).then_some(conversations);
    Ok(with_json(StatusCode::OK, &object(json!({ "conversations": list, "totalHits": found.len() }))))
}

fn dimension(conversation: &Conversation, name: &str) -> Option<Cow<'static, str>> {
    Some(match name {
        "conversationEnd" => text(conversation.ended?.1).into(),
        "conversationId" => conversation.id.to_string().into(),
        "conversationStart" => text(conversation.started).into(),
        "divisionId" => conversation.division.to_string().into(),
        "originatingDirection" => "inbound".into(),
        _ => return None,
    })
}

fn any_segment(conversation: &Conversation, filter: &Filter, now: Instant) -> bool {
    conversation.participants.iter().any(|participant| {
        participant
            .communications
            .iter()
            .any(|one| filter.holds(&|name| segment_dimension(participant, one, name, now)))
    })
}

/// A dimension of the segment of one communication, of its session, or of its participant.
pub(super) fn segment_dimension<'a>(
    participant: &'a Participant,
    one: &'a Communication,
    name: &str,
    now: Instant,
) -> Option<Cow<'a, str>> {
    let (from, to) = addresses(participant);
    let voice = one.medium == Medium::Calls;
    Some(match name {
        "addressFrom" => from?.into(),
        "addressTo" => to?.into(),
        "ani" => from.filter(|_| voice)?.into(),
        "dnis" => to.filter(|_| voice)?.into(),
        "callbackScheduledTime" => text(participant.scheduled?).into(),
        "direction" => direction(participant).into(),
        "mediaType" => one.medium.facts().analytics.into(),
        "participantName" => participant.name.as_str().into(),
        "purpose" => purpose(&participant.purpose).into(),
        "queueId" => participant.queue_id.as_deref()?.into(),
        "segmentEnd" => text(segment_end(participant, one, now)?).into(),
        "segmentType" => segment_type(participant, one).into(),
        "userId" => participant.user_id.as_deref()?.into(),
        "wrapUpCode" => participant.settled(now)?.code.clone()?.into(),
        _ => return None,
    })
}

/// Where a customer's session comes from and leads to.
fn addresses(participant: &Participant) -> (Option<&str>, Option<&str>) {
    match participant.purpose.as_str() {
        "customer" => (participant.address.as_deref(), Some(OWN_ADDRESS)),
        _ => (None, None),
    }
}

/// When a segment ended, as far as analytics knows.
fn segment_end(participant: &Participant, one: &Communication, now: Instant) -> Option<time::OffsetDateTime> {
    one.gone(now).filter(|_| !participant.orphaned).map(|gone| gone.wall)
}

fn segment_type(participant: &Participant, one: &Communication) -> &'static str {
    match (one.state.as_str(), participant.purpose.as_str()) {
        (_, "ivr") => "ivr",
        ("alerting" | "offering", _) => "alert",
        ("dialing", _) => "dialing",
        ("contacting", _) => "contacting",
        ("scheduled", _) => "scheduled",
        ("parked", _) => "parked",
        ("converting", _) => "converting",
        ("uploading", _) => "uploading",
        ("transmitting", _) => "transmitting",
        ("none", _) => "unknown",
        // Also for a leg that waits in a queue; only its purpose `acd` shows that it waits.
        _ => "interact",
    }
}

fn purpose(purpose: &str) -> &str {
    match purpose {
        "acd" | "agent" | "api" | "botflow" | "campaign" | "customer" | "dialer" | "external" | "fax" | "group"
        | "inbound" | "ivr" | "manual" | "outbound" | "station" | "user" | "voicemail" | "voicesurveyflow"
        | "workflow" => purpose,
        _ => "external",
    }
}

/// A conversation as analytics reports it.
pub(super) fn render(conversation: &Conversation, now: Instant) -> Value {
    let participants: Vec<Value> = conversation.participants.iter().map(|p| participant(p, now)).collect();
    object(json!({
        "conversationId": conversation.id,
        "conversationStart": text(conversation.started),
        "conversationEnd": conversation.ended.map(|(_, wall)| text(wall)),
        "conversationInitiator": "customer",
        "customerParticipation": conversation.participants.iter().any(|p| p.purpose == "customer"),
        "originatingDirection": "inbound",
        "divisionIds": [conversation.division],
        "participants": participants,
    }))
}

fn participant(participant: &Participant, now: Instant) -> Value {
    let sessions: Vec<Value> = participant.communications.iter().map(|one| session(participant, one, now)).collect();
    object(json!({
        "participantId": participant.id,
        "participantName": participant.name,
        "purpose": purpose(&participant.purpose),
        "userId": participant.user_id,
        "sessions": sessions,
    }))
}

fn session(participant: &Participant, one: &Communication, now: Instant) -> Value {
    let dimension = |name: &str| segment_dimension(participant, one, name, now);
    let end = segment_end(participant, one, now);
    let ended_by = one.gone(now).filter(|_| end.is_some()).map(|gone| one.medium.disconnect_type(&gone.kind));
    let callback = participant.scheduled.filter(|_| one.medium == Medium::Callbacks);
    let segment = object(json!({
        "segmentStart": text(participant.started),
        "segmentEnd": end.map(text),
        "segmentType": segment_type(participant, one),
        "queueId": participant.queue_id,
        "conference": false,
        "disconnectType": ended_by.map(analytics_disconnect_type),
        "wrapUpCode": dimension("wrapUpCode"),
    }));
    object(json!({
        "sessionId": one.id,
        "mediaType": one.medium.facts().analytics,
        "direction": direction(participant),
        "addressFrom": dimension("addressFrom"),
        "addressTo": dimension("addressTo"),
        "ani": dimension("ani"),
        "dnis": dimension("dnis"),
        "callbackScheduledTime": callback.map(text),
        "callbackNumbers": (one.medium == Medium::Callbacks).then(|| participant.address.iter().collect::<Vec<_>>()),
        "provider": "Edge",
        "segments": [segment],
    }))
}
