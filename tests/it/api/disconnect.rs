//! The disconnect, from the first request to its repeats, on each surface of the upstream.

use hangup::config::{Confirm, Surface, UnknownConversation};
use serde_json::json;

use crate::support::{NOBODY, TestApp};

#[tokio::test]
async fn a_participant_is_disconnected_and_nobody_else_on_every_surface() {
    for (surface, operation, attempts) in [
        (Surface::Published, "participant_state", 1),
        (Surface::Unpublished, "participant_disconnect", 3),
        (Surface::Both, "participant_state", 1),
    ] {
        let service = TestApp::sockets().config(|c| c.sandbox.surface = surface).start().await;
        let answer = service.post(&service.path_of(service.who("customer"))).header("prefer", "wait=5").send().await;
        assert_eq!(answer.verdict(), "200 disconnected", "{surface:?}");
        assert_eq!(answer.get("verified"), true);
        assert_eq!(answer.get("operation"), operation);
        assert_eq!(answer.get("attempts"), attempts);
        assert_eq!(answer.header("preference-applied"), "wait=5");
        assert_eq!(service.there(), ["agent", "agent", "external"], "{surface:?}");
    }
}

#[tokio::test]
async fn every_documented_member_is_always_there() {
    let service = TestApp::sockets().start().await;
    let answer = service.post(&service.path_of(service.who("customer"))).header("x-request-id", "ivr-7").send().await;
    let json = answer.json();
    let mut members: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
    members.sort();
    let documented = [
        "attempts",
        "conversationId",
        "correlationId",
        "gone",
        "ok",
        "operation",
        "outcome",
        "participantId",
        "requestId",
        "verified",
    ];
    assert_eq!(members, documented);
    assert_eq!(answer.verdict(), "200 accepted");
    assert_eq!(answer.get("requestId"), "ivr-7");
    assert_eq!(answer.header("x-request-id"), "ivr-7");
    assert_eq!(answer.get("correlationId"), answer.header("inin-correlation-id"));
    assert!(!answer.text.contains('\n') && answer.header("content-type") == "application/json");
}

#[tokio::test]
async fn a_request_id_that_is_no_visible_ascii_is_replaced() {
    let service = TestApp::sockets().start().await;
    for wrong in ["with blank", &"x".repeat(129), "ü"] {
        let answer = service.post(&service.path_of(NOBODY)).header("x-request-id", wrong).send().await;
        assert_eq!(answer.header("x-request-id").len(), 36, "{wrong}");
        assert_eq!(answer.get("requestId"), answer.header("x-request-id"));
    }
}

#[tokio::test]
async fn a_repeat_looks_and_sends_nothing() {
    let service = TestApp::sockets().start().await;
    let path = service.path_of(service.who("customer"));
    assert_eq!(service.post(&path).send().await.verdict(), "200 accepted");
    let sent = service.sandbox.counts().disconnects();
    service.settled().await;
    let repeat = service.post(&path).send().await;
    assert_eq!(repeat.verdict(), "200 already_disconnected");
    assert_eq!(
        (repeat.get("verified"), repeat.get("attempts"), repeat.get("operation")),
        (json!(true), json!(0), json!(null))
    );
    assert_eq!(service.sandbox.counts().disconnects(), sent);
}

#[tokio::test]
async fn who_is_not_in_the_conversation_is_not_found() {
    let service = TestApp::sockets().start().await;
    let answer = service.post(&service.path_of(NOBODY)).send().await;
    assert_eq!(answer.verdict(), "404 participant_not_found");
    assert_eq!(answer.get("effect"), "none");
    assert_eq!(answer.get("retryable"), false);
    assert_eq!(answer.json()["upstream"]["code"], "conversation.error.not.conversation.participant");
}

#[tokio::test]
async fn an_unknown_conversation_is_an_error_or_has_ended_as_configured() {
    let unknown = format!("/conversations/{NOBODY}/participants/{NOBODY}/disconnect");
    let service = TestApp::sockets().start().await;
    assert_eq!(service.post(&unknown).send().await.verdict(), "404 conversation_not_found");

    let lenient =
        TestApp::sockets().config(|c| c.disconnect.unknown_conversation = UnknownConversation::Ended).start().await;
    let answer = lenient.post(&unknown).send().await;
    assert_eq!(answer.verdict(), "200 conversation_ended");
    assert_eq!(answer.get("verified"), false, "all that was read is a 404");
}

#[tokio::test]
async fn an_ended_conversation_is_seen() {
    let service = TestApp::sockets().start().await;
    service.sandbox.end_conversation(service.conference.id);
    let answer = service.post(&service.path_of(service.who("agent"))).send().await;
    assert_eq!(answer.verdict(), "200 conversation_ended");
    assert_eq!(answer.get("verified"), true);
}

#[tokio::test]
async fn gone_says_what_is_known_of_the_participant() {
    let service = TestApp::sockets().start().await;
    let path = service.path_of(service.who("customer"));
    let gone = async |query: &str| service.post(&format!("{path}{query}")).send().await.get("gone");
    assert_eq!(gone("?dryRun=true").await, json!(false));
    assert_eq!(gone("").await, json!(null), "accepted, and not read yet");
    service.settled().await;
    assert_eq!(gone("").await, json!(true));
    let agent = service.path_of(service.who("agent"));
    let waited = service.post(&format!("{agent}?wait=5")).send().await;
    assert_eq!((waited.verdict(), waited.get("gone")), ("200 disconnected".to_owned(), json!(true)));
    assert_eq!(waited.header("preference-applied"), "wait=5");
}

#[tokio::test]
async fn minimal_answers_have_no_body() {
    let service = TestApp::sockets().start().await;
    let answer = service.post(&service.path_of(service.who("agent"))).header("prefer", "return=minimal").send().await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    assert_eq!(answer.header("preference-applied"), "return=minimal");
    assert!(!answer.header("x-request-id").is_empty());
}

#[tokio::test]
async fn still_there_when_the_wait_ends_is_202() {
    let service =
        TestApp::sockets().config(|c| c.sandbox.effect_delay = std::time::Duration::from_secs(30)).start().await;
    let answer =
        service.post(&service.path_of(service.who("agent"))).header("prefer", "wait=1, return=minimal").send().await;
    assert_eq!(answer.verdict(), "202 accepted");
    assert_eq!(answer.get("verified"), false);
}

#[tokio::test]
async fn the_configuration_can_ask_to_look_every_time() {
    let service = TestApp::sockets().config(|c| c.disconnect.confirm = Confirm::Always).start().await;
    let answer = service.post(&service.path_of(service.who("agent"))).send().await;
    assert_eq!(answer.verdict(), "200 disconnected");
    assert_eq!(answer.get("verified"), true);
}

#[tokio::test]
async fn a_dry_run_reads_and_touches_nobody() {
    let service = TestApp::sockets().start().await;
    let path = service.path_of(service.who("agent"));
    let answer = service.post(&format!("{path}?dryRun=true")).send().await;
    assert_eq!(answer.verdict(), "200 would_disconnect");
    assert_eq!(answer.get("attempts"), 0);
    assert_eq!(service.post(&service.path_of(NOBODY)).send().await.status, 404);
    let gone = service.post(&format!("{}?dryRun=true", service.path_of(service.who("acd")))).send().await;
    assert_eq!(gone.verdict(), "200 already_disconnected");
    assert_eq!(service.remain().await.len(), 4);
    assert_eq!(service.post(&format!("{path}?dryRun=false")).send().await.verdict(), "200 accepted");
}

#[tokio::test]
async fn bodies_of_every_harmless_form_are_taken() {
    let service = TestApp::sockets().config(|c| c.sandbox.surface = Surface::Unpublished).start().await;
    let form = "application/x-www-form-urlencoded";
    for (kind, body) in [
        ("", ""),
        (form, ""),
        (form, "reason=caller_abusive"),
        (form, r#"{"reason":"caller_abusive"}"#),
        ("application/json", "null"),
        ("application/json", "{}"),
        ("application/json", r#"{"reason":"x","cause":"y","unknown":{"deep":[1]}}"#),
        ("text/plain", r#"{"reason":""}"#),
        ("application/octet-stream", " "),
    ] {
        let conference = service.sandbox.create_conference(hangup::sandbox::ConversationSpec::default());
        let someone = conference.first("customer").unwrap();
        let path = format!("/conversations/{}/participants/{someone}/disconnect", conference.id);
        let mut request = service.post(&path).body(body);
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        assert_eq!(request.send().await.verdict(), "200 disconnected", "{kind}: {body}");
    }
}

#[tokio::test]
async fn ids_are_taken_in_either_case_and_answered_in_lower_case() {
    let service = TestApp::sockets().start().await;
    let someone = service.who("agent").to_string();
    let path = service.path_of(someone.to_uppercase());
    let answer = service.post(&path).send().await;
    assert_eq!(answer.verdict(), "200 accepted");
    assert_eq!(answer.get("participantId"), someone);
}
