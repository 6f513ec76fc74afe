//! Drop-in: the upstream's own paths, statuses and error bodies.

use hangup::config::Surface;
use hangup::sandbox::{Action, ConversationSpec, Fault, Medium, On, ParticipantSpec};
use reqwest::Method;
use serde_json::json;

use crate::support::{NOBODY, TestApp};

/// Members of an error of the upstream.
const MEMBERS: [&str; 7] = ["message", "code", "status", "messageParams", "contextId", "details", "errors"];

#[tokio::test]
async fn post_is_204_and_patch_202_whatever_the_org_has() {
    for surface in [Surface::Published, Surface::Unpublished, Surface::Both] {
        let service = TestApp::sockets().config(|c| c.sandbox.surface = surface).start().await;
        let api = format!("/api/v2/conversations/{}", service.conference.id);
        let calls = format!("/api/v2/conversations/calls/{}", service.conference.id);
        let (customer, agent, external) = (service.who("customer"), service.who("agent"), service.who("external"));
        let post = service.post(&format!("{api}/participants/{customer}/disconnect")).send().await;
        assert_eq!((post.status, post.text.as_str()), (204, ""), "{surface:?}");
        // The POST ends more than a medium, so the path of a medium never leads to it.
        let of_agent = if surface == Surface::Unpublished { &api } else { &calls };
        for path in [format!("{of_agent}/participants/{agent}"), format!("{api}/participants/{external}")] {
            let body = json!({"state": "Disconnected", "wrapup": null, "muted": null});
            let patch = service.request(Method::PATCH, &path).json(&body).send().await;
            assert_eq!((patch.status, patch.text.as_str()), (202, ""), "{surface:?} {path}");
            assert!(["accepted", "disconnected"].contains(&patch.header("x-hangup-outcome")), "{patch:?}");
            assert_eq!(patch.header("x-hangup-verified"), "false");
        }
        assert_eq!(service.remain().await, ["agent"], "{surface:?}");
        let again = service.post(&format!("{api}/participants/{customer}/disconnect")).send().await;
        assert_eq!(again.status, 204, "also for someone already gone");
    }
}

#[tokio::test]
async fn a_patch_for_anything_else_does_not_pass() {
    let service = TestApp::sockets().start().await;
    let path = format!("/api/v2/conversations/{}/participants/{}", service.conference.id, service.who("agent"));
    for body in [
        json!({}),
        json!({"state": "connected"}),
        json!({"state": null}),
        json!({"muted": true}),
        json!({"state": "disconnected", "muted": true}),
        json!({"state": "disconnected", "wrapup": {}}),
        json!({"State": "disconnected"}),
    ] {
        let answer = service.request(Method::PATCH, &path).json(&body).send().await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.get("code"), "bad.request");
    }
    assert_eq!(service.sandbox.counts().disconnects(), 0, "nothing was forwarded");
}

#[tokio::test]
async fn a_wrap_up_that_is_owed_is_answered_with_the_upstreams_own_status() {
    let agent = ParticipantSpec { wrapup_required: true, ..ParticipantSpec::of("agent") };
    let service = TestApp::sockets().participants(vec![agent, ParticipantSpec::of("customer")]).start().await;
    let path = format!("/api/v2/conversations/{}/participants/{}", service.conference.id, service.who("agent"));
    let answer = service.request(Method::PATCH, &path).json(&json!({"state": "disconnected"})).send().await;
    assert_eq!((answer.status, answer.get("status")), (400, 400.into()), "{answer:?}");
    assert_eq!(answer.get("code"), "conversation.error.wrapup.code.required");
}

#[tokio::test]
async fn reads_are_passed_on_as_they_are() {
    let service = TestApp::sockets().start().await;
    let cid = service.conference.id;
    for path in [format!("/api/v2/conversations/{cid}"), format!("/api/v2/conversations/calls/{cid}")] {
        let answer = service.get(&path).await;
        assert_eq!((answer.status, answer.get("id")), (200, json!(cid)));
        assert!(answer.get("participants").as_array().unwrap().len() >= 4);
        assert!(answer.json().get("ok").is_none());
    }
}

#[tokio::test]
async fn errors_are_the_upstreams() {
    let service = TestApp::sockets().start().await;
    let cid = service.conference.id;
    let unknown = service.post(&format!("/api/v2/conversations/{cid}/participants/{NOBODY}/disconnect")).send().await;
    let nowhere =
        service.post(&format!("/api/v2/conversations/{NOBODY}/participants/{NOBODY}/disconnect")).send().await;
    let unread = service.get(&format!("/api/v2/conversations/{NOBODY}")).await;
    let no_route = service.get("/api/v2/users/me").await;
    for answer in [&unknown, &nowhere, &unread, &no_route] {
        assert_eq!(answer.status, 404);
    }
    let malformed = service.get("/api/v2/conversations/xyz").await;
    assert_eq!(malformed.status, 400);
    let method = service.request(Method::DELETE, &format!("/api/v2/conversations/{cid}")).send().await;
    assert_eq!(method.status, 405);
    for answer in [unknown, nowhere, unread, no_route, malformed, method] {
        let json = answer.json();
        for member in MEMBERS {
            assert!(json.get(member).is_some(), "no {member} in {answer:?}");
        }
        assert_eq!(json["status"], answer.status);
        assert!(json.get("ok").is_none());
        assert_eq!(answer.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn an_upstream_that_is_down_is_503_in_its_own_format() {
    let service = TestApp::sockets().config(|c| c.retry.max_attempts = 1).start().await;
    service.sandbox.set_faults(vec![Fault::status(On::Api, 503)]).unwrap();
    let path =
        format!("/api/v2/conversations/{}/participants/{}/disconnect", service.conference.id, service.who("agent"));
    let answer = service.post(&path).send().await;
    assert_eq!((answer.status, answer.get("code")), (503, json!("service.unavailable")));
    assert_eq!(answer.header("retry-after"), "", "the official Python SDK repeats whatever carries it, ten times");
    assert_eq!(answer.header("x-hangup-outcome"), "upstream_unavailable");
}

#[tokio::test]
async fn a_rate_limit_is_answered_with_retry_after() {
    let service = TestApp::sockets().start().await;
    let fault =
        serde_json::from_value(json!({"on": "api", "action": {"answer": {"status": 429, "retry_after": "30"}}}));
    service.sandbox.set_faults(vec![fault.unwrap()]).unwrap();
    let path = format!("/api/v2/conversations/{}/participants/{}", service.conference.id, service.who("agent"));
    let answer = service.request(Method::PATCH, &path).json(&json!({"state": "disconnected"})).send().await;
    assert_eq!((answer.status, answer.get("code")), (429, json!("too.many.requests")));
    assert_ne!(answer.header("retry-after"), "");
}

#[tokio::test]
async fn the_post_waits_for_an_org_that_only_has_the_patch() {
    let service =
        TestApp::sockets().config(|c| c.sandbox.effect_delay = std::time::Duration::from_millis(600)).start().await;
    let api = format!("/api/v2/conversations/{}/participants", service.conference.id);
    let answer = service.post(&format!("{api}/{}/disconnect", service.who("agent"))).send().await;
    assert_eq!(answer.status, 204);
    assert_eq!((answer.header("x-hangup-outcome"), answer.header("x-hangup-verified")), ("disconnected", "true"));
    assert_eq!(service.there().len(), 3, "gone when it is answered");

    let ignored = Fault::new(On::Disconnect, Action::IgnoreEffect);
    service.sandbox.set_faults(vec![ignored]).unwrap();
    let begun = tokio::time::Instant::now();
    let answer = service.post(&format!("{api}/{}/disconnect", service.who("customer"))).send().await;
    assert_eq!((answer.status, answer.header("x-hangup-outcome")), (204, "accepted"));
    assert!(begun.elapsed() < std::time::Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_rate_limit_of_the_upstream_reaches_the_caller() {
    let service = TestApp::sockets().start().await;
    let answer = service.get(&format!("/api/v2/conversations/{}", service.conference.id)).await;
    let number = |name: &str| answer.header(name).parse::<u32>().unwrap();
    assert_eq!(number("inin-ratelimit-allowed"), 300);
    assert!((1..10).contains(&number("inin-ratelimit-count")), "{answer:?}");
    assert!((1..=60).contains(&number("inin-ratelimit-reset")), "{answer:?}");
    assert_eq!((answer.header("x-hangup-outcome"), answer.header("x-hangup-verified")), ("read", "true"));
}

#[tokio::test]
async fn a_query_that_would_have_no_effect_is_refused() {
    let service = TestApp::sockets().start().await;
    let path = format!("/api/v2/conversations/{}/participants/{}", service.conference.id, service.who("agent"));
    let answer = service.post(&format!("{path}/disconnect?dryRun=true")).send().await;
    assert_eq!((answer.status, answer.get("code")), (400, json!("bad.request")));
    assert_eq!(service.sandbox.counts().disconnects(), 0);
}

#[tokio::test]
async fn a_path_prefix_of_a_gateway_is_understood() {
    let service = TestApp::sockets().start().await;
    let answer = service.get(&format!("/genesys/api/v2/conversations/{}", service.conference.id)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(service.get(&format!("/genesys/conversations/{}", service.conference.id)).await.status, 404);
    for path in ["/genesys/api/v2/users/me", "/api/v2/users/me", "/genesys/api/v2/conversations"] {
        let unknown = service.get(path).await;
        assert_eq!((unknown.status, unknown.get("code"), unknown.get("status")), (404, json!("not.found"), json!(404)));
        assert_eq!(unknown.header("x-hangup-outcome"), "no_such_route", "{path}");
    }
}

#[tokio::test]
async fn a_callers_token_is_never_forwarded() {
    let service = TestApp::sockets().start().await;
    let path = format!("/api/v2/conversations/{}", service.conference.id);
    let answer = service.request(Method::GET, &path).header("authorization", "Bearer callers-own").send().await;
    assert_eq!(answer.status, 200, "the sandbox knows only the token that it granted to the service");
}

#[tokio::test]
async fn a_whole_conversation_is_ended_by_those_who_may() {
    let refused = TestApp::sockets().start().await;
    let path = |service: &TestApp| format!("/api/v2/conversations/{}/disconnect", service.conference.id);
    assert_eq!(refused.post(&path(&refused)).send().await.status, 403);
    assert_eq!(refused.sandbox.counts().disconnects(), 0);

    let service =
        TestApp::sockets().config(|c| c.auth.anonymous_permissions.0.push("teardown".to_owned())).start().await;
    let ended = service.post(&path(&service)).send().await;
    assert_eq!((ended.status, ended.text.as_str()), (202, ""));
    assert_eq!(service.remain().await, [""; 0]);
    assert_eq!(service.post(&path(&service)).send().await.status, 202, "over already");
    let unknown = service.post(&format!("/api/v2/conversations/{NOBODY}/disconnect")).send().await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn a_medium_in_the_path_that_the_participant_has_not_is_404_and_touches_nobody() {
    let service = TestApp::sockets().start().await;
    let path =
        format!("/api/v2/conversations/emails/{}/participants/{}", service.conference.id, service.who("customer"));
    let answer = service.request(Method::PATCH, &path).json(&json!({"state": "disconnected"})).send().await;
    assert_eq!((answer.status, answer.header("x-hangup-outcome")), (404, "participant_not_found"));
    assert_eq!(service.remain().await.len(), 4, "the call goes on");
}

#[tokio::test]
async fn the_end_of_a_medium_leaves_the_others_alone() {
    let service =
        TestApp::sockets().config(|c| c.auth.anonymous_permissions.0.push("teardown".to_owned())).start().await;
    let cid = service.conference.id;
    let end = async |medium: &str, body: serde_json::Value| {
        service.request(Method::PATCH, &format!("/api/v2/conversations/{medium}/{cid}")).json(&body).send().await
    };
    let state = json!({"state": "Disconnected", "recordingState": null});
    assert_eq!(end("emails", state.clone()).await.status, 404, "it is a call");
    assert_eq!(end("calls", json!({"recordingState": "paused"})).await.status, 400);
    assert_eq!(end("calls", json!({"state": "disconnected", "wrapupSkipped": true})).await.status, 400);
    assert_eq!(service.sandbox.counts().disconnects(), 0);
    let ended = end("calls", state).await;
    assert_eq!((ended.status, ended.get("id")), (200, json!(cid)));
    assert_eq!(service.remain().await, [""; 0]);
}

#[tokio::test]
async fn the_end_of_a_medium_that_is_over_already_is_a_success_by_name() {
    let service =
        TestApp::sockets().config(|c| c.auth.anonymous_permissions.0.push("teardown".to_owned())).start().await;
    let mut caller = ParticipantSpec::of("customer");
    caller.media = vec![Medium::Calls, Medium::Callbacks];
    let cid = service.sandbox.create_conference(ConversationSpec::with(vec![caller])).id;
    let path = format!("/api/v2/conversations/callbacks/{cid}");
    for outcome in ["accepted", "already_disconnected"] {
        let ended = service.request(Method::PATCH, &path).json(&json!({"state": "disconnected"})).send().await;
        assert_eq!((ended.status, ended.header("x-hangup-outcome")), (200, outcome));
        assert_eq!(ended.header("x-hangup-verified") == "true", outcome == "already_disconnected");
        service.sandbox.settled(cid).await;
    }
}
