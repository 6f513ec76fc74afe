//! What was done to a conversation, from its audit records: who asked, what Genesys Cloud answered, and whether the
//! person is gone.

use std::collections::HashMap;

use axum::extract::{Path, Query};
use axum::response::Response;
use maud::{Markup, html};

use super::answers::{Participant, ParticipantList, Record, Records};
use super::api::{ApiClient, ApiRequest, Failed, segment};
use super::parts;

/// `GET /console/conversations/{conversationId}/timeline`.
pub(super) async fn timeline(
    api: ApiClient,
    Path(id): Path<String>,
    Query(parts::Seen { seen }): Query<parts::Seen>,
) -> Result<Response, Failed> {
    let id = segment(&id);
    let (records, _) = api.read::<Records>(ApiRequest::get(format!("/audit?conversation={id}"))).await?;
    let people = if records.records.is_empty() {
        Vec::new()
    } else {
        // For names, and who is there now. A key that may not read sees the records without them.
        let answer = api.send(ApiRequest::get(format!("/conversations/{id}/participants")).shared()).await;
        answer.read::<ParticipantList>().map(|(people, _)| people.participants).unwrap_or_default()
    };
    let people: HashMap<&str, &Participant> = people.iter().map(|person| (person.id.as_str(), person)).collect();
    let body = html! {
        @if records.records.is_empty() {
            p.small { "Nothing was asked of this conversation yet." }
        } @else {
            ol.timeline { @for record in &records.records { (entry(record, &people)) } }
        }
        @if records.cursor.is_some() { p.small { "Older records are left out; " code { "GET /audit" } " has them all." } }
    };
    Ok(parts::fresh("timeline", &format!("console/conversations/{id}/timeline"), seen.as_deref(), &body))
}

fn entry(record: &Record, people: &HashMap<&str, &Participant>) -> Markup {
    let person = record.participant_id.as_deref().map(|id| (id, people.get(id).copied()));
    let whom = match person {
        None => "everyone, or those whom a selector named".to_owned(),
        Some((_, Some(person))) => person.label(),
        Some((id, None)) => format!("participant {id}"),
    };
    let by = record.caller.as_deref().unwrap_or("an unknown caller");
    let actor = record.actor.as_deref().filter(|actor| Some(*actor) != record.caller.as_deref());
    html! {
        li data-tone=(tone(record)) {
            p { (parts::moment(&record.time)) " · " strong { (by) } @if let Some(actor) = actor { " (for " (actor) ")" } " asked to disconnect " strong { (whom) } }
            dl.facts {
                (parts::term("Reason", record.reason.as_deref()))
                (parts::term("Genesys Cloud said", Some(&upstream(record))))
                (parts::term("Result", Some(&result(record))))
                (parts::term("Gone?", Some(gone(record, person.and_then(|(_, person)| person)))))
                (parts::term("Job", record.job.as_deref()))
            }
            p.small {
                @if let Some(id) = &record.request_id { "Request " code { (id) } }
                @if let Some(id) = &record.correlation_id { " · correlation id " code { (id) } }
                @if record.suppressed > 0 { " · and " (record.suppressed) " more refusals like this one" }
            }
        }
    }
}

fn upstream(record: &Record) -> String {
    let what = match record.operation.as_deref() {
        Some(operation) => format!("to {}", operation.replace('_', " ")),
        None if record.attempts.unwrap_or(0) == 0 => "when it was read".to_owned(),
        None => String::new(),
    };
    match (record.upstream_status, record.upstream_code.as_deref()) {
        (None, _) => "nothing: it was not asked, or did not answer".to_owned(),
        (Some(status), Some(code)) => format!("{status} {code} {what}"),
        (Some(status), None) => format!("{status} {what}"),
    }
}

fn result(record: &Record) -> String {
    let seen = if record.verified { ", observed" } else { "" };
    match &record.code {
        Some(code) => format!("{} ({code})", record.outcome.replace('_', " ")),
        None => format!("{}{seen}", record.outcome.replace('_', " ")),
    }
}

/// Whether the person is gone: what is seen now counts more than what was answered then.
fn gone(record: &Record, person: Option<&Participant>) -> &'static str {
    let said = matches!(record.outcome.as_str(), "disconnected" | "already_disconnected" | "conversation_ended");
    match person {
        Some(person) if !person.is_live() => "yes, seen gone",
        Some(_) => "no, still there",
        None if said && record.verified => "yes, seen gone",
        None if said => "Genesys Cloud says so; not checked",
        None if record.effect.as_deref() == Some("unknown") => "not known",
        None if record.outcome == "accepted" => "not known yet",
        None => "no",
    }
}

fn tone(record: &Record) -> &'static str {
    match record.outcome.as_str() {
        "disconnected" | "already_disconnected" | "conversation_ended" => "good",
        "accepted" | "unconfirmed" | "abandoned" => "warn",
        "denied" | "failed" => "bad",
        _ => "quiet",
    }
}
