//! What is official about conversations: states, media paths, wrap-up, and the ends of whole conversations.

use std::time::Duration;

use hangup::config::Surface;
use hangup::sandbox::{ConversationSpec, Medium, ParticipantSpec};
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::sandbox::helpers::{Answer, Org, pass};

const EFFECT: Duration = Duration::from_millis(301);
const CODE: &str = "31111111-1111-4111-8111-111111111111";

fn with(participants: Vec<ParticipantSpec>) -> Org {
    let org = Org::new(Surface::Published);
    let conference = org.sandbox.create_conference(ConversationSpec::with(participants));
    Org { conference, ..org }
}

impl Org {
    async fn on(&self, method: Method, rest: &str, body: &Value) -> Answer {
        let path = format!("/api/v2/conversations/{rest}").replace("CID", &self.conference.id.to_string());
        self.call(method, &path, &body.to_string()).await
    }

    async fn patch_with(&self, participant: Uuid, more: Value) -> Answer {
        let mut body = json!({"state": "disconnected"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.on(Method::PATCH, &format!("CID/participants/{participant}"), &body).await
    }

    async fn member(&self, id: Uuid) -> Value {
        let read = self.read().await.json();
        let all = read["participants"].as_array().expect("participants");
        all.iter().find(|p| p["id"] == id.to_string()).expect("the participant").clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_that_a_medium_does_not_have_is_refused_with_the_states_that_it_has() {
    let org = Org::new(Surface::Published);
    for (medium, state) in [
        ("emails", "terminated"),
        ("messages", "scheduled"),
        ("internalMessages", "none"),
        ("calls", "parked"),
        ("screenMonitorings", "alerting"),
        ("callbacks", "bogus"),
    ] {
        let body = json!({"participants": [{"media": [medium], "state": state}]}).to_string();
        let answer = org.call(Method::POST, "/sandbox/conversations", &body).await;
        assert_eq!(answer.status, 400, "{medium} {state}");
        let said = answer.json()["message"].as_str().expect("a message").to_owned();
        assert!(said.contains(medium) && said.contains("connected"), "{said}");
    }
    for (medium, state) in [("emails", "parked"), ("callbacks", "scheduled"), ("screenMonitorings", "none")] {
        let body = json!({"participants": [{"media": [medium], "state": state}]}).to_string();
        assert_eq!(org.call(Method::POST, "/sandbox/conversations", &body).await.status, 201, "{medium} {state}");
    }
    let wrong =
        json!({"participants": [{"media": ["internalMessages"], "state": "disconnected", "disconnectType": "spam"}]});
    assert_eq!(org.call(Method::POST, "/sandbox/conversations", &wrong.to_string()).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn media_have_the_paths_that_are_published_and_no_others() {
    for (medium, segment, get, patch) in [
        (Medium::Calls, "calls", 200, 202),
        (Medium::Callbacks, "callbacks", 200, 202),
        (Medium::Cobrowsesessions, "cobrowsesessions", 200, 202),
        (Medium::Emails, "emails", 200, 202),
        (Medium::Messages, "messages", 200, 202),
        (Medium::InternalMessages, "internalmessages", 200, 404),
        (Medium::InternalMessages, "internalMessages", 404, 404),
        (Medium::Chats, "chats", 404, 404),
        (Medium::Videos, "videos", 404, 404),
        (Medium::Screenshares, "screenshares", 404, 404),
        (Medium::SocialExpressions, "socialExpressions", 404, 404),
    ] {
        let person = || ParticipantSpec { media: vec![medium], ..ParticipantSpec::of("agent") };
        let org = with(vec![person(), person()]);
        let read = org.on(Method::GET, &format!("{segment}/CID"), &Value::Null).await;
        assert_eq!(read.status, get, "{segment}");
        assert_eq!(org.patch_on(&format!("{segment}/"), org.agent()).await.status, patch, "{segment}");
        let all = org.on(Method::PATCH, &format!("{segment}/CID"), &json!({"state": "disconnected"})).await;
        assert_eq!(all.status == 200, patch == 202, "{segment}");
        pass(EFFECT).await;
        assert_eq!(org.read().await.json()["endTime"].is_string(), patch == 202, "{segment}");
        assert_eq!(org.patch(org.agent()).await.status == 202, patch == 404, "{segment}: the agnostic form");
    }
}

#[tokio::test(start_paused = true)]
async fn the_patch_of_a_mediums_conversation_ends_that_medium_for_everybody() {
    let both =
        |purpose| ParticipantSpec { media: vec![Medium::Calls, Medium::Messages], ..ParticipantSpec::of(purpose) };
    let org = with(vec![both("customer"), both("agent")]);
    let wrong = org.on(Method::PATCH, "emails/CID", &json!({"state": "disconnected"})).await;
    assert_eq!(wrong.status, 404);
    let other = org.on(Method::PATCH, "calls/CID", &json!({"recordingState": "paused"})).await;
    assert_eq!(other.status, 400);
    let answer = org.on(Method::PATCH, "calls/CID", &json!({"state": "disconnected"})).await;
    assert_eq!((answer.status.as_u16(), answer.json()["id"].clone()), (200, json!(org.conference.id)));
    pass(EFFECT).await;
    for id in org.conference.live() {
        let seen = org.member(id).await;
        assert_eq!(
            (&seen["calls"][0]["state"], &seen["messages"][0]["state"]),
            (&json!("disconnected"), &json!("connected"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_tear_down_and_a_delete_are_asynchronous_and_need_the_permission() {
    for (method, rest) in [(Method::POST, "CID/disconnect"), (Method::DELETE, "CID")] {
        let org = Org::new(Surface::Published);
        let missing = json!({"missing_permissions": ["conversation:communication:disconnect"]});
        org.sandbox.change_settings(&missing).expect("settings");
        let refused = org.on(method.clone(), rest, &Value::Null).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "missing.permissions"));
        assert!(
            refused.json()["message"].as_str().is_some_and(|m| m.contains("conversation:communication:disconnect"))
        );
        org.sandbox.change_settings(&json!({"missing_permissions": []})).expect("settings");
        assert_eq!(org.on(method, rest, &Value::Null).await.status, 202);
        assert_eq!(org.sandbox.conference(org.conference.id).expect("one").live().len(), 4);
        pass(EFFECT).await;
        assert!(org.read().await.json()["endTime"].is_string());
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_is_refused_only_without_any_of_its_permissions() {
    let org = Org::new(Surface::Published);
    let missing =
        json!({"missing_permissions": ["conversation:communication:disconnect", "conversation:participant:wrapup"]});
    org.sandbox.change_settings(&missing).expect("settings");
    assert_eq!(org.patch(org.agent()).await.status, 202, "conversation:call:record is enough");
    let missing = json!({"missing_permissions": ["conversation:communication:disconnect", "conversation:participant:wrapup",
        "conversation:call:record", "conversation:communication:view", "routing:queue:search"]});
    org.sandbox.change_settings(&missing).expect("settings");
    assert_eq!(org.patch(org.agent()).await.code(), "missing.any.permissions");
    assert_eq!(org.read().await.code(), "missing.permissions");
    assert_eq!(org.get("/api/v2/routing/queues/divisionviews").await.code(), "missing.permissions");
    assert_eq!(org.get("/api/v2/users").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_owed_wrap_up_is_settled_by_a_code_or_skipped() {
    for settle in [json!({"wrapup": {"code": CODE, "notes": "done"}}), json!({"wrapupSkipped": true})] {
        let agent = ParticipantSpec { wrapup_pending: true, ..ParticipantSpec::of("agent") };
        let org = with(vec![agent, ParticipantSpec::of("customer")]);
        assert_eq!(org.patch(org.agent()).await.status, 202);
        pass(EFFECT).await;
        let owing = org.member(org.agent()).await;
        assert!(owing["wrapupRequired"] == true && owing.get("endTime").is_none());
        assert_eq!(org.patch(org.agent()).await.code(), "conversation.error.wrapup.code.required");
        assert_eq!(org.patch_with(org.agent(), settle.clone()).await.status, 202);
        pass(EFFECT).await;
        let settled = org.member(org.agent()).await;
        assert!(settled["endTime"].is_string() && settled["wrapupRequired"] == false, "{settle}");
        assert_eq!(settled["wrapupSkipped"], settle.get("wrapupSkipped").is_some());
        assert_eq!(settled["wrapup"]["notes"], settle["wrapup"]["notes"]);
        let assigned = org.on(Method::GET, &format!("CID/participants/{}/wrapup", org.agent()), &Value::Null).await;
        assert_eq!(assigned.json()["code"], settle["wrapup"]["code"]);
        assert_eq!(org.patch(org.agent()).await.code(), "conversation.error.participant.no.active.conversations");
    }
}

#[tokio::test(start_paused = true)]
async fn a_required_wrap_up_comes_with_the_disconnect_and_cannot_be_skipped() {
    let agent = ParticipantSpec { wrapup_required: true, ..ParticipantSpec::of("agent") };
    let org = with(vec![agent, ParticipantSpec::of("customer")]);
    for (more, code) in [
        (json!({}), "conversation.error.wrapup.code.required"),
        (json!({"wrapup": {"notes": "no code"}}), "conversation.error.wrapup.code.required"),
        (json!({"wrapupSkipped": true}), "conversation.error.wrapup.cannot.skip"),
        (json!({"wrapup": "code"}), "bad.request"),
        (json!({"wrapupSkipped": "yes"}), "bad.request"),
    ] {
        let refused = org.patch_with(org.agent(), more).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, code));
    }
    pass(EFFECT).await;
    assert!(org.live(org.agent()));
    assert_eq!(org.patch_with(org.agent(), json!({"wrapup": {"code": CODE}})).await.status, 202);
    pass(EFFECT).await;
    assert_eq!(org.member(org.agent()).await["wrapup"]["code"], CODE);
}

#[tokio::test(start_paused = true)]
async fn a_tear_down_wraps_up_with_a_code_of_the_system() {
    let agent = ParticipantSpec { wrapup_required: true, ..ParticipantSpec::of("agent") };
    let org = with(vec![agent, ParticipantSpec::of("customer")]);
    org.on(Method::POST, "CID/disconnect", &Value::Null).await;
    assert_eq!(org.member(org.agent()).await["wrapupRequired"], true, "not before it takes effect");
    pass(EFFECT).await;
    let agent = org.member(org.agent()).await;
    assert!(agent["endTime"].is_string() && agent["wrapup"]["code"].is_string(), "{agent}");
}

#[tokio::test(start_paused = true)]
async fn a_patch_of_one_communication_ends_that_one_and_settles_no_wrap_up() {
    let agent = ParticipantSpec {
        media: vec![Medium::Calls, Medium::Messages],
        wrapup_required: true,
        ..ParticipantSpec::of("agent")
    };
    let org = with(vec![agent, ParticipantSpec::of("customer")]);
    let call = org.member(org.agent()).await["calls"][0]["id"].as_str().expect("an id").to_owned();
    let body = json!({"state": "disconnected"});
    let path = |medium: &str| format!("{medium}/CID/participants/{}/communications/{call}", org.agent());
    assert_eq!(org.on(Method::PATCH, &path("messages"), &body).await.status, 404, "a call is no message");
    assert_eq!(org.on(Method::PATCH, &path("calls"), &body).await.status, 202);
    pass(EFFECT).await;
    let seen = org.member(org.agent()).await;
    assert_eq!(
        (&seen["calls"][0]["state"], &seen["messages"][0]["state"]),
        (&json!("disconnected"), &json!("connected"))
    );
    assert_eq!(seen["wrapupRequired"], true);
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_type_is_one_that_the_medium_has() {
    for (medium, kind) in [(Medium::Calls, "client"), (Medium::ScreenMonitorings, "system")] {
        let agent = ParticipantSpec { media: vec![medium], ..ParticipantSpec::of("agent") };
        let org = with(vec![agent, ParticipantSpec::of("customer")]);
        org.patch(org.agent()).await;
        pass(EFFECT).await;
        let seen = org.member(org.agent()).await;
        let list = if medium == Medium::Calls { "calls" } else { "screenMonitorings" };
        assert_eq!(seen[list][0]["disconnectType"], kind);
    }
}

#[tokio::test(start_paused = true)]
async fn a_participant_joins_a_live_conversation_and_not_one_that_has_ended() {
    let org = Org::new(Surface::Published);
    let path = format!("/sandbox/conversations/{}/participants", org.conference.id);
    let body = json!({"purpose": "agent", "userId": "u3", "name": "Cleo", "state": "alerting"}).to_string();
    let added = org.call(Method::POST, &path, &body).await;
    assert_eq!((added.status.as_u16(), &added.json()["live"]), (201, &json!(true)));
    let id = added.json()["id"].as_str().expect("an id").parse().expect("a UUID");
    assert_eq!(org.member(id).await["calls"][0]["state"], "alerting");
    assert_eq!(org.patch(id).await.status, 202);
    assert_eq!(org.call(Method::POST, &path, r#"{"media":["emails"],"state":"dialing"}"#).await.status, 400);
    org.sandbox.end_conversation(org.conference.id);
    assert_eq!(org.call(Method::POST, &path, &body).await.status, 409);
    let unknown = format!("/sandbox/conversations/{}/participants", Uuid::new_v4());
    assert_eq!(org.call(Method::POST, &unknown, &body).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_queue_leg_leaves_with_the_last_person_unless_it_is_stubborn() {
    for stubborn in [false, true] {
        let people = vec![ParticipantSpec::of("customer"), ParticipantSpec::of("acd")];
        let org = Org::new(Surface::Published);
        let spec = ConversationSpec { stubborn, ..ConversationSpec::with(people) };
        let org = Org { conference: org.sandbox.create_conference(spec), ..org };
        org.patch(org.conference.first("customer").expect("a customer")).await;
        pass(EFFECT).await;
        assert_eq!(org.read().await.json()["endTime"].is_string(), !stubborn);
        assert_eq!(org.live(org.conference.first("acd").expect("a leg")), stubborn);
    }
}

#[tokio::test(start_paused = true)]
async fn a_conversation_of_a_hidden_division_is_unknown() {
    let org = Org::new(Surface::Published);
    let division = Uuid::new_v4();
    let spec = ConversationSpec { division_id: Some(division), ..ConversationSpec::default() };
    let org = Org { conference: org.sandbox.create_conference(spec), ..org };
    assert_eq!(org.read().await.json()["divisions"][0]["division"]["id"], division.to_string());
    org.sandbox.change_settings(&json!({"hidden_divisions": [division]})).expect("settings");
    assert_eq!((org.read().await.status.as_u16(), org.patch(org.agent()).await.status.as_u16()), (404, 404));
    assert_eq!(org.get("/api/v2/conversations").await.json()["total"], 1);
}
