//! Reading and disconnecting, on a paused clock.

use std::time::Duration;

use hangup::config::Surface;
use hangup::sandbox::{ConversationSpec, Medium, ParticipantSpec};
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::sandbox::helpers::{Org, pass};

const EFFECT: Duration = Duration::from_millis(301);

fn participant(conversation: &Value, id: Uuid) -> Value {
    let all = conversation["participants"].as_array().expect("participants");
    all.iter().find(|p| p["id"] == id.to_string()).expect("the participant").clone()
}

#[tokio::test(start_paused = true)]
async fn a_patch_answers_202_and_takes_effect_a_little_later_for_that_participant_alone() {
    let org = Org::new(Surface::Published);
    let before = org.conference.live();
    let answer = org.patch(org.agent()).await;
    assert_eq!(answer.status, 202);
    assert!(answer.body.is_empty());
    assert!(org.live(org.agent()));
    pass(EFFECT).await;
    assert!(!org.live(org.agent()));

    let after = org.sandbox.conference(org.conference.id).expect("readable").live();
    assert_eq!(after, before.into_iter().filter(|id| *id != org.agent()).collect::<Vec<_>>());
    let gone = participant(&org.read().await.json(), org.agent());
    assert!(gone["endTime"].is_string());
    assert_eq!(gone["calls"][0]["state"], "disconnected");
    assert_eq!(gone["calls"][0]["disconnectType"], "client");
    assert_eq!(gone["calls"][0]["disconnectedTime"], gone["endTime"]);
}

#[tokio::test(start_paused = true)]
async fn the_default_conference_has_a_customer_two_agents_a_consultant_and_a_finished_queue_leg() {
    let org = Org::new(Surface::Published);
    let conversation = org.read().await.json();
    let list = conversation["participants"].as_array().expect("participants");
    let purposes: Vec<_> = list.iter().map(|p| p["purpose"].as_str().expect("a purpose")).collect();
    assert_eq!(purposes, ["customer", "acd", "agent", "agent", "external"]);
    assert!(conversation.get("endTime").is_none());
    assert_eq!(list[1]["calls"][0]["state"], "disconnected");
    assert!(list[1]["endTime"].is_string());
    for live in [&list[0], &list[2], &list[3], &list[4]] {
        assert!(live.get("endTime").is_none());
        assert_eq!(live["calls"][0]["state"], "connected");
        assert!(live["connectedTime"].is_string() && live["address"].is_string());
    }
    assert!(list[2]["userId"].is_string() && list[2]["queueId"] == list[1]["queueId"]);
    assert_ne!(list[2]["userId"], list[3]["userId"]);
}

#[tokio::test(start_paused = true)]
async fn a_participant_who_has_left_a_stranger_and_an_unknown_conversation_are_distinguished() {
    let org = Org::new(Surface::Both);
    org.patch(org.agent()).await;
    pass(EFFECT).await;
    let gone = org.patch(org.agent()).await;
    assert_eq!(
        (gone.status.as_u16(), gone.code().as_str()),
        (400, "conversation.error.participant.no.active.conversations")
    );
    assert_eq!(org.post(org.agent(), "").await.status, 404);

    let stranger = org.patch(Uuid::new_v4()).await;
    assert_eq!(
        (stranger.status.as_u16(), stranger.code().as_str()),
        (404, "conversation.error.not.conversation.participant")
    );
    let path = format!("/api/v2/conversations/{}/participants/{}", Uuid::new_v4(), org.agent());
    let unknown = org.call(Method::PATCH, &path, r#"{"state":"disconnected"}"#).await;
    assert_eq!((unknown.status.as_u16(), unknown.code().as_str()), (404, "not.found"));

    org.sandbox.change_settings(&json!({"gone_status": 404, "post_gone_status": 409})).expect("settings");
    assert_eq!(org.patch(org.agent()).await.status, 404);
    assert_eq!(org.post(org.agent(), "").await.status, 409);
}

#[tokio::test(start_paused = true)]
async fn each_surface_has_its_own_way_to_disconnect() {
    for (surface, patch, post) in
        [(Surface::Published, 202, 404), (Surface::Unpublished, 404, 204), (Surface::Both, 202, 204)]
    {
        let org = Org::new(surface);
        let consultant = org.conference.first("external").expect("a consultant");
        assert_eq!(org.patch(org.agent()).await.status, patch, "{surface:?}");
        assert_eq!(org.post(consultant, "").await.status, post, "{surface:?}");
        // The POST is synchronous, where it exists.
        assert_eq!(org.live(consultant), post == 404, "{surface:?}");
        pass(EFFECT).await;
        assert_eq!(org.live(org.agent()), patch == 404, "{surface:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_post_takes_no_malformed_body_and_can_be_made_to_want_reason_and_cause() {
    let org = Org::new(Surface::Unpublished);
    for malformed in ["{", "[]", r#"{"reason":5}"#, r#"{"cause":{}}"#] {
        assert_eq!(org.post(org.agent(), malformed).await.status, 409, "{malformed}");
    }
    org.sandbox.change_settings(&json!({"post_needs_reason_and_cause": true})).expect("settings");
    for incomplete in ["", "{}", r#"{"reason":"user_request"}"#, r#"{"cause":"x"}"#, r#"{"reason":"","cause":"x"}"#] {
        assert_eq!(org.post(org.agent(), incomplete).await.status, 409, "{incomplete}");
    }
    assert!(org.live(org.agent()));
    assert_eq!(org.post(org.agent(), r#"{"reason":"user_request","cause":"user_request"}"#).await.status, 204);
    assert!(!org.live(org.agent()));
}

#[tokio::test(start_paused = true)]
async fn a_patch_does_nothing_else_than_disconnect() {
    let org = Org::new(Surface::Published);
    let path = format!("/api/v2/conversations/{}/participants/{}", org.conference.id, org.agent());
    for body in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"state":"connected"}"#,
        r#"{"muted":true}"#,
        r#"{"state":"disconnected","held":true}"#,
    ] {
        let answer = org.call(Method::PATCH, &path, body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "bad.request"), "{body}");
    }
    pass(EFFECT).await;
    assert!(org.live(org.agent()));
    let answer = org.call(Method::PATCH, &path, r#"{"state":"DISCONNECTED","muted":null}"#).await;
    assert_eq!(answer.status, 202);
}

#[tokio::test(start_paused = true)]
async fn each_medium_has_its_own_path_and_ends_alone() {
    let org = Org::new(Surface::Published);
    let spec = ParticipantSpec { media: vec![Medium::Calls, Medium::Messages], ..ParticipantSpec::of("agent") };
    let made = org.sandbox.create_conference(ConversationSpec::with(vec![spec, ParticipantSpec::of("customer")]));
    let org = Org { conference: made, ..org };
    assert_eq!(org.patch_on("emails/", org.agent()).await.status, 404);
    assert_eq!(org.patch_on("messages/", org.agent()).await.status, 202);
    pass(EFFECT).await;
    assert!(org.live(org.agent()), "the call goes on");
    assert_eq!(org.patch_on("messages/", org.agent()).await.status, 400);
    assert_eq!(org.patch_on("calls/", org.agent()).await.status, 202);
    pass(EFFECT).await;
    assert!(!org.live(org.agent()));

    let calls = org.get(&format!("/api/v2/conversations/calls/{}", org.conference.id)).await.json();
    assert_eq!(calls["participants"].as_array().map(Vec::len), Some(2));
    assert_eq!(participant(&calls, org.agent())["state"], "disconnected");
    assert_eq!(participant(&calls, org.conference.first("customer").expect("one"))["state"], "connected");
    assert_eq!(org.get(&format!("/api/v2/conversations/messages/{}", org.conference.id)).await.status, 200);
    assert_eq!(org.get(&format!("/api/v2/conversations/emails/{}", org.conference.id)).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_conversation_ends_with_its_last_participant_stays_readable_and_is_then_forgotten() {
    let org = Org::new(Surface::Published);
    for id in org.conference.live() {
        assert_eq!(org.patch(id).await.status, 202);
    }
    pass(EFFECT).await;
    assert!(org.read().await.json()["endTime"].is_string());
    assert_eq!(org.patch(org.agent()).await.status, 404, "an ended conversation");
    assert_eq!(org.get("/api/v2/conversations").await.json()["total"], 0);
    pass(Duration::from_secs(599)).await;
    assert_eq!(org.read().await.status, 200);
    pass(Duration::from_secs(2)).await;
    let org = Org { token: org.sandbox.grant_token(), ..org };
    assert_eq!(org.read().await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_conversation_goes_on_with_one_participant() {
    let org = Org::new(Surface::Published);
    for id in org.conference.live().into_iter().skip(1) {
        org.patch(id).await;
    }
    pass(EFFECT).await;
    assert!(org.read().await.json().get("endTime").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_tear_down_ends_it_for_everybody() {
    let org = Org::new(Surface::Published);
    let path = format!("/api/v2/conversations/{}/disconnect", org.conference.id);
    assert_eq!(org.call(Method::POST, &path, "").await.status, 202);
    pass(EFFECT).await;
    assert!(org.sandbox.conference(org.conference.id).expect("readable").live().is_empty());
    assert_eq!(org.call(Method::POST, &path, "").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn of_two_entries_with_one_id_the_live_one_is_disconnected() {
    let org = Org::new(Surface::Published);
    let id = Uuid::new_v4();
    let entry = |state: &str| ParticipantSpec { id: Some(id), state: state.to_owned(), ..ParticipantSpec::of("agent") };
    let spec = ConversationSpec::with(vec![entry("terminated"), entry("connected"), ParticipantSpec::of("customer")]);
    let org = Org { conference: org.sandbox.create_conference(spec), ..org };
    assert!(org.live(id));
    assert_eq!(org.patch(id).await.status, 202);
    pass(EFFECT).await;
    assert!(!org.live(id));
    assert_eq!(org.patch(id).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn who_owes_a_wrap_up_code_is_gone_without_an_end_time() {
    let org = Org::new(Surface::Published);
    let spec = ParticipantSpec { wrapup_pending: true, ..ParticipantSpec::of("agent") };
    let made = org.sandbox.create_conference(ConversationSpec::with(vec![spec, ParticipantSpec::of("customer")]));
    let org = Org { conference: made, ..org };
    org.patch(org.agent()).await;
    pass(EFFECT).await;
    let seen = participant(&org.read().await.json(), org.agent());
    assert!(seen.get("endTime").is_none());
    assert_eq!(seen["calls"][0]["state"], "disconnected");
    assert_eq!(org.patch(org.agent()).await.code(), "conversation.error.wrapup.code.required");
}

#[tokio::test(start_paused = true)]
async fn malformed_ids_are_400_and_other_paths_and_methods_are_errors_in_the_upstreams_form() {
    let org = Org::new(Surface::Both);
    let id = org.conference.id;
    for (method, path, status, code) in [
        (Method::GET, "/api/v2/conversations/nonsense".to_owned(), 400, "bad.request"),
        (Method::GET, format!("/api/v2/conversations/{}", id.simple()), 400, "bad.request"),
        (Method::PATCH, format!("/api/v2/conversations/{id}/participants/x"), 400, "bad.request"),
        (Method::GET, "/api/v2/users/me".to_owned(), 404, "not.found"),
        (Method::GET, format!("/api/v2//conversations/{id}"), 404, "not.found"),
        (Method::GET, "/elsewhere".to_owned(), 404, "not.found"),
        (Method::PUT, format!("/api/v2/conversations/{id}"), 405, "method.not.allowed"),
    ] {
        let answer = org.call(method, &path, "").await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{path}");
        let body = answer.json();
        assert_eq!(body["status"], status);
        assert_eq!(body["contextId"].as_str(), answer.header("inin-correlation-id"), "{path}");
        for member in ["message", "messageParams", "details", "errors"] {
            assert!(body.get(member).is_some(), "{path} {member}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn active_conversations_are_listed_page_by_page() {
    let org = Org::new(Surface::Published);
    for _ in 0..4 {
        org.sandbox.create_conference(ConversationSpec::default());
    }
    let page = org.get("/api/v2/conversations?pageSize=2&pageNumber=3").await.json();
    assert_eq!(page["entities"].as_array().map(Vec::len), Some(1));
    assert_eq!((&page["total"], &page["pageCount"]), (&json!(5), &json!(3)));
    assert_eq!(org.get("/api/v2/conversations?pageSize=0").await.status, 400);
}
