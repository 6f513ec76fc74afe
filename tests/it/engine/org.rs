//! An org in words, and a disconnect there.
//!
//! It is described by what it answers: `patch` to the media-agnostic PATCH, `own` to the PATCH of the participant's own medium,
//! `post` to the unpublished POST (`again` to a second one), `read` to the read, `analytics` to the question about a conversation
//! that it does not know. Words that end in `nginx`, `json`, `plain` or `gateway` are not Genesys Cloud's.

use hangup::config::{OperationChoice, UnknownConversation};
use serde_json::{Value, json};

use crate::support::{Answer, Asked, Kind, Reply, TestApp};

const USER: &str =
    "This request requires a user context. Client credentials cannot be used for requests to this resource.";

/// The words of the tables.
pub(super) fn word(word: &str, asked: &Asked) -> Reply {
    let error = |status: u16, code: &str| Reply::status(status, code);
    for (kind, body) in [
        ("nginx", "<html><head><title>Not here</title></head></html>"),
        ("json", r#"{"detail":"Not Found"}"#),
        ("plain", "404 page not found"),
        ("gateway", r#"{"code":"kong","message":"no Route matched with those values"}"#),
    ] {
        if let Some(status) = word.strip_suffix(kind) {
            return Reply::foreign(status.parse().unwrap(), body);
        }
    }
    match word {
        "204" | "202" => Reply::Http { status: word.parse().unwrap(), headers: vec![], body: "whatever".into() },
        "404" => error(404, "not.found"),
        "405" => error(405, "method.not.allowed"),
        "501" => error(501, "not.implemented"),
        "409" => error(409, "conflict"),
        "422" => error(422, "unprocessable"),
        "413" => error(413, "too.large"),
        "bad" => error(400, "bad.request"),
        "gone" => match asked.kind {
            Kind::Read => person(asked, &[("calls", "terminated")]),
            _ => error(400, "conversation.error.call.disconnected"),
        },
        "nested" => {
            let body = json!({"errors": [{"code": "conversation.error.call.disconnected", "message": "over"}]});
            Reply::Http { status: 400, headers: vec![], body: body.to_string().into() }
        }
        "open" => {
            Reply::json(&json!({"conversationId": conversation_of(asked), "conversationStart": "2026-01-01T00:00:00Z"}))
        }
        "closed" => Reply::json(&json!({
            "conversationId": conversation_of(asked), "conversationEnd": "2026-01-01T00:00:00Z",
        })),
        "screen" => person(asked, &[("calls", "connected"), ("screenshares", "connected")]),
        "inactive" => error(400, "conversation.error.participant.no.active.conversations"),
        "cannot" => error(400, "conversation.error.cannot.disconnect.call"),
        "wrapup" => error(400, "conversation.error.wrapup.code.required"),
        "grant" => error(400, "not.a.user"),
        "user" => match error(403, "not.allowed") {
            Reply::Http { status, headers, .. } => {
                Reply::Http { status, headers, body: json!({"code": "x", "message": USER}).to_string().into() }
            }
            other => other,
        },
        "perm" => error(403, "missing.any.permissions"),
        "odd" => error(403, "something.odd"),
        "302" => error(302, "").with("location", &"http://evil.test/"),
        "303" => error(303, "").with("location", &"http://evil.test/"),
        "live" => person(asked, &[("calls", "connected")]),
        "both" => person(asked, &[("calls", "connected"), ("chats", "connected")]),
        "chat" => person(asked, &[("chats", "connected"), ("calls", "terminated")]),
        "twice" => people(asked, None, &[Some(("calls", "terminated")), Some(("calls", "connected"))]),
        "over" => people(asked, None, &[Some(("calls", "terminated")), Some(("calls", "disconnected"))]),
        "ended" => people(asked, Some("2026-01-01T00:00:00Z"), &[Some(("calls", "connected"))]),
        "absent" => people(asked, None, &[]),
        "unknown" => error(404, "not.found"),
        "hidden" => error(403, "missing.permissions"),
        "html" => Reply::Http { status: 200, headers: vec![], body: "<html>".into() },
        "error" => Reply::json(&json!({"code": "error", "message": "no such route", "status": 404})),
        "other" => Reply::json(&json!({"id": uuid::Uuid::new_v4(), "participants": []})),
        other => panic!("no word {other}"),
    }
}

pub(super) const PERSON: &str = "22222222-2222-4222-8222-222222222222";

fn person(asked: &Asked, media: &[(&str, &str)]) -> Reply {
    let mut person = json!({"id": PERSON, "purpose": "customer"});
    for (medium, state) in media {
        person[*medium] = json!([{"state": state}]);
    }
    conversation(asked, None, &[person])
}

fn people(asked: &Asked, end: Option<&str>, each: &[Option<(&str, &str)>]) -> Reply {
    let people: Vec<Value> = each
        .iter()
        .flatten()
        .map(|(medium, state)| json!({"id": PERSON.to_uppercase(), *medium: [{"state": state}]}))
        .collect();
    conversation(asked, end, &people)
}

/// The conversation that analytics is asked about.
fn conversation_of(asked: &Asked) -> String {
    asked.path.rsplit('/').nth(1).unwrap().to_owned()
}

fn conversation(asked: &Asked, end: Option<&str>, people: &[Value]) -> Reply {
    let id = asked.path.rsplit('/').next().unwrap();
    Reply::json(&json!({"id": id, "endTime": end, "participants": people}))
}

/// A service before such an org, and one disconnect there: what was answered, and the calls in their order.
pub(super) async fn disconnect(operation: OperationChoice, org: &'static str, body: Option<Value>) -> (Answer, String) {
    let (answer, calls) = run(operation, org, body).await;
    if answer.json["ok"] != true {
        assert_eq!(answer.effect(), "none", "{org}");
    }
    (answer, calls)
}

/// The same, whatever effect is reported.
pub(super) async fn run(operation: OperationChoice, org: &'static str, body: Option<Value>) -> (Answer, String) {
    let said = |name: &str| {
        org.split(' ')
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or("nothing described")
            .to_owned()
    };
    let what = |asked: &Asked| match asked.kind {
        Kind::Post if asked.nth > 1 => "again",
        Kind::Post => "post",
        Kind::Patch if asked.path.contains("/conversations/calls/") => "own",
        Kind::Patch if !asked.path.starts_with("/api/v2/conversations/") => panic!("no such path: {}", asked.path),
        Kind::Patch if asked.path.split('/').count() == 8 => panic!("not published: {}", asked.path),
        Kind::Read if asked.path.starts_with("/api/v2/analytics/") => "analytics",
        Kind::Patch => "patch",
        _ => "read",
    };
    let service = TestApp::auto()
        .operation(operation)
        .config(|c| {
            if org.contains("lenient") {
                c.disconnect.unknown_conversation = UnknownConversation::Ended;
            }
        })
        .script(move |asked| (asked.kind != Kind::Login).then(|| word(&said(what(asked)), asked)))
        .ready()
        .await;
    let mut ask = service.disconnect_id(PERSON.parse().unwrap());
    if let Some(body) = &body {
        ask = ask.json(body);
    }
    let answer = ask.send().await;
    let calls: Vec<_> = service.seen().iter().filter(|s| s.asked.kind != Kind::Login).map(|s| what(&s.asked)).collect();
    let sent = calls.iter().filter(|c| !matches!(**c, "read" | "analytics")).count() as u64;
    if answer.json["ok"] == true {
        assert_eq!(answer.attempts(), sent, "attempts are disconnect requests: {org}");
    }
    (answer, calls.join(" "))
}
