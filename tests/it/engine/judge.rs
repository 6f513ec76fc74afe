//! Judging an answer: what the upstream says, what a look shows, what the caller is told, and which calls that took.
//!
//! The tables read like the documentation. An org is described by what it answers: `post` to the seeds' POST (`again` to a
//! second one), `patch` to the media-agnostic PATCH, `own` to the PATCH of the participant's own medium, `read` to the read.

use hangup::config::{OperationChoice, UnknownConversation};
use serde_json::{Value, json};

use crate::engine::harness::{Answer, Asked, Kind, Reply, Stand};

const USER: &str =
    "This request requires a user context. Client credentials cannot be used for requests to this resource.";

/// The words of the tables.
fn word(word: &str, asked: &Asked) -> Reply {
    let error = |status: u16, code: &str| Reply::status(status, code);
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
        "live" => person(asked, &[("calls", "connected")]),
        "chat" => person(asked, &[("chats", "connected"), ("calls", "terminated")]),
        "twice" => people(asked, None, &[Some(("calls", "terminated")), Some(("calls", "connected"))]),
        "over" => people(asked, None, &[Some(("calls", "terminated")), Some(("calls", "disconnected"))]),
        "ended" => people(asked, Some("2026-01-01T00:00:00Z"), &[Some(("calls", "connected"))]),
        "absent" => people(asked, None, &[]),
        "unknown" => error(404, "not.found"),
        "hidden" => error(403, "missing.permissions"),
        "html" => Reply::Http { status: 200, headers: vec![], body: "<html>".into() },
        "other" => Reply::json(&json!({"id": uuid::Uuid::new_v4(), "participants": []})),
        other => panic!("no word {other}"),
    }
}

const PERSON: &str = "22222222-2222-4222-8222-222222222222";

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

fn conversation(asked: &Asked, end: Option<&str>, people: &[Value]) -> Reply {
    let id = asked.path.rsplit('/').next().unwrap();
    Reply::json(&json!({"id": id, "endTime": end, "participants": people}))
}

/// A service before such an org, and one mission there: what was answered, and the calls in their order.
async fn mission(operation: OperationChoice, org: &'static str, body: Option<Value>) -> (Answer, String) {
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
        Kind::Patch if asked.path.contains("/conversations/chats/") => "own",
        Kind::Patch => "patch",
        _ => "read",
    };
    let stand = Stand::auto()
        .operation(operation)
        .config(|c| {
            if org.contains("strict") {
                c.disconnect.unknown_conversation = UnknownConversation::Error;
            }
        })
        .script(move |asked| (asked.kind != Kind::Login).then(|| word(&said(what(asked)), asked)))
        .ready()
        .await;
    let mut ask = stand.disconnect_id(PERSON.parse().unwrap());
    if let Some(body) = &body {
        ask = ask.body(body);
    }
    let answer = ask.send().await;
    let calls: Vec<_> = stand.seen().iter().filter(|s| s.asked.kind != Kind::Login).map(|s| what(&s.asked)).collect();
    let sent = calls.iter().filter(|c| **c != "read").count() as u64;
    if answer.json["ok"] == true {
        assert_eq!(answer.attempts(), sent, "attempts are disconnect requests: {org}");
    } else {
        assert_eq!(answer.effect(), "none", "{org}");
    }
    (answer, calls.join(" "))
}

async fn table(operation: OperationChoice, rows: &[(&'static str, &str, &str)]) {
    for (org, told, calls) in rows {
        let (answer, took) = mission(operation, org, None).await;
        assert_eq!((answer.line().as_str(), took.as_str()), (*told, *calls), "{operation:?}, {org}: {}", answer.json);
    }
}

#[tokio::test(start_paused = true)]
async fn auto_tries_the_post_and_then_the_patch_and_looks_when_in_doubt() {
    table(
        OperationChoice::Auto,
        &[
            // Whatever the POST says that may mean that there is none, the PATCH goes next.
            ("post=204", "200 disconnected", "post"),
            ("post=404 patch=202", "200 accepted", "post patch"),
            ("post=405 patch=202", "200 accepted", "post patch"),
            ("post=501 patch=202", "200 accepted", "post patch"),
            ("post=perm patch=202", "200 accepted", "post patch"),
            ("post=user patch=202", "200 accepted", "post patch"),
            ("post=odd patch=202", "200 accepted", "post patch"),
            // The refusal of the PATCH proves a missing permission, that of the POST does not.
            ("post=404 patch=perm", "403 upstream_forbidden", "post patch"),
            ("post=perm patch=perm", "403 upstream_forbidden", "post patch"),
            ("post=perm patch=404 read=live own=404", "409 upstream_conflict", "post patch read own"),
            // What may mean "already gone" is looked into.
            ("post=409 read=gone", "200 already_disconnected, seen", "post read"),
            ("post=gone read=gone", "200 already_disconnected, seen", "post read"),
            ("post=404 patch=404 read=gone", "200 already_disconnected, seen", "post patch read"),
            ("post=404 patch=gone read=gone", "200 already_disconnected, seen", "post patch read"),
            ("post=404 patch=inactive read=gone", "200 already_disconnected, seen", "post patch read"),
            ("post=404 patch=cannot read=over", "200 already_disconnected, seen", "post patch read"),
            ("post=404 patch=405 read=gone", "200 already_disconnected, seen", "post patch read"),
            ("post=404 patch=409 read=ended", "200 conversation_ended, seen", "post patch read"),
            ("post=404 patch=404 read=unknown", "200 conversation_ended", "post patch read"),
            ("post=404 patch=404 read=unknown strict", "404 conversation_not_found", "post patch read"),
            ("post=404 patch=404 read=absent", "404 participant_not_found", "post patch read"),
            ("post=404 patch=wrapup read=gone", "200 already_disconnected, seen", "post patch read"),
            // Still there: the POST once more where it is in use, then the PATCH of each live medium.
            ("post=404 patch=404 read=live own=202", "200 accepted", "post patch read own"),
            ("post=404 patch=404 read=chat own=202", "200 accepted", "post patch read own"),
            ("post=404 patch=404 read=twice own=202", "200 accepted", "post patch read own"),
            ("post=404 patch=wrapup read=live own=202", "200 accepted", "post patch read own"),
            ("post=404 patch=grant read=live own=202", "200 accepted", "post patch read own"),
            ("post=404 patch=user read=live own=202", "200 accepted", "post patch read own"),
            ("post=404 patch=user read=live own=user", "403 upstream_user_context", "post patch read own"),
            ("post=404 patch=404 read=live own=grant", "403 upstream_user_context", "post patch read own"),
            ("post=404 patch=404 read=live own=404", "409 upstream_conflict", "post patch read own"),
            ("post=409 read=live again=204", "200 disconnected", "post read again"),
            ("post=409 read=live again=409 own=202", "200 accepted", "post read again own"),
            ("post=409 read=live again=bad own=202", "200 accepted", "post read again own"),
            ("post=409 read=live again=409 own=409", "409 upstream_conflict", "post read again own"),
            // Nobody can look: the seeds' rule, and only for what it was made for.
            ("post=404 patch=404 read=hidden", "200 already_disconnected", "post patch read"),
            ("post=404 patch=gone read=hidden", "200 already_disconnected", "post patch read"),
            ("post=404 patch=wrapup read=hidden", "409 upstream_conflict", "post patch read"),
            ("post=404 patch=user read=hidden", "403 upstream_user_context", "post patch read"),
            // A look that shows nothing sensible is no look.
            ("post=404 patch=404 read=html", "502 upstream_invalid_response", "post patch read"),
            ("post=404 patch=404 read=other", "502 upstream_invalid_response", "post patch read"),
            ("post=404 patch=404 read=302", "502 upstream_invalid_response", "post patch read"),
            // The request itself is at fault: no look.
            ("post=bad", "422 upstream_rejected", "post"),
            ("post=413", "422 upstream_rejected", "post"),
            ("post=404 patch=422", "422 upstream_rejected", "post patch"),
            ("post=302", "502 upstream_invalid_response", "post"),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn post_never_patches() {
    table(
        OperationChoice::Post,
        &[
            ("post=204", "200 disconnected", "post"),
            ("post=404 read=gone", "200 already_disconnected, seen", "post read"),
            ("post=409 read=ended", "200 conversation_ended, seen", "post read"),
            ("post=404 read=hidden", "200 already_disconnected", "post read"),
            ("post=404 read=live again=204", "200 disconnected", "post read again"),
            ("post=404 read=live again=404", "409 upstream_conflict", "post read again"),
            ("post=405 read=live again=405", "409 upstream_conflict", "post read again"),
            ("post=501 read=hidden", "409 upstream_conflict", "post read"),
            ("post=user read=live again=user", "403 upstream_user_context", "post read again"),
            ("post=perm", "403 upstream_forbidden", "post"),
            ("post=bad", "422 upstream_rejected", "post"),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn patch_never_posts() {
    table(
        OperationChoice::Patch,
        &[
            ("patch=202", "200 accepted", "patch"),
            ("patch=404 read=gone", "200 already_disconnected, seen", "patch read"),
            ("patch=inactive read=absent", "404 participant_not_found", "patch read"),
            ("patch=404 read=unknown", "200 conversation_ended", "patch read"),
            ("patch=grant read=live own=202", "200 accepted", "patch read own"),
            ("patch=404 read=chat own=202", "200 accepted", "patch read own"),
            ("patch=409 read=live own=409", "409 upstream_conflict", "patch read own"),
            ("patch=perm", "403 upstream_forbidden", "patch"),
            ("patch=odd read=live own=odd", "409 upstream_conflict", "patch read own"),
            ("patch=bad", "422 upstream_rejected", "patch"),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_conflict_carries_the_first_refusal_and_a_missing_permission_its_name() {
    let (answer, _) = mission(OperationChoice::Auto, "post=409 read=live again=404 own=inactive", None).await;
    assert_eq!(
        answer.json["upstream"],
        json!({
            "status": 409, "code": "conflict", "message": "about conflict", "correlationId": "c-1",
        })
    );
    let (answer, _) = mission(OperationChoice::Patch, "patch=perm", None).await;
    let detail = answer.json["detail"].as_str().unwrap();
    assert!(detail.contains("conversation:communication:disconnect"), "{detail}");
    let (answer, _) = mission(OperationChoice::Auto, "post=413", None).await;
    assert_eq!(answer.json["upstream"]["code"], "too.large");
}

#[tokio::test(start_paused = true)]
async fn the_retry_of_the_post_has_both_members_and_is_left_out_where_both_were_sent() {
    let both = Some(json!({"reason": "r", "cause": "c"}));
    let (answer, calls) = mission(OperationChoice::Post, "post=409 read=live again=204", both).await;
    assert_eq!((answer.line().as_str(), calls.as_str()), ("409 upstream_conflict", "post read"));

    let stand = Stand::post().ready().await;
    stand.sandbox.change_settings(&json!({"post_needs_reason_and_cause": true})).unwrap();
    let answer = stand.disconnect(0).send().await;
    assert_eq!((answer.line().as_str(), answer.attempts()), ("200 disconnected", 2));
    let bodies: Vec<Value> = stand
        .seen()
        .iter()
        .filter(|s| s.asked.kind == Kind::Post)
        .map(|s| serde_json::from_slice(&s.asked.body).unwrap())
        .collect();
    assert_eq!(bodies, [json!({"reason": "user_request"}), json!({"reason": "user_request", "cause": "user_request"})]);
    assert!(!stand.live(0));
}
