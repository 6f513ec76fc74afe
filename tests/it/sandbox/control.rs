//! The control endpoints, as curl uses them.

use std::time::Duration;

use hangup::config::Surface;
use hangup::sandbox::{Action, Fault};
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::sandbox::helpers::{Answer, Org, pass};

async fn post(org: &Org, path: &str, body: &Value) -> Answer {
    org.call(Method::POST, path, &body.to_string()).await
}

#[tokio::test(start_paused = true)]
async fn an_empty_post_makes_a_live_conference_that_the_api_knows() {
    let org = Org::new(Surface::Published);
    let made = org.call(Method::POST, "/sandbox/conversations", "").await;
    assert_eq!(made.status, 201);
    let made = made.json();
    let live = made["participants"].as_array().expect("participants").iter().filter(|p| p["live"] == true).count();
    assert_eq!((made["state"].as_str(), live), (Some("active"), 4));
    let path = format!("/api/v2/conversations/{}", made["id"].as_str().expect("an id"));
    assert_eq!(org.get(&path).await.json()["participants"][0]["id"], made["participants"][0]["id"]);
    let listed = org.get("/sandbox/conversations?state=active").await.json();
    assert_eq!(listed["total"], 2);
    assert!(listed["conversations"].as_array().expect("a list").contains(&made));
}

#[tokio::test(start_paused = true)]
async fn a_conference_can_be_shaped() {
    let org = Org::new(Surface::Published);
    let id = Uuid::new_v4();
    let spec = json!({"id": id, "endIn": "30s", "participants": [
        {"purpose": "customer", "media": ["chat"], "name": "C", "address": "tel:+1"},
        {"purpose": "agent", "userId": "u", "queueId": "q", "state": "alerting"},
        {"purpose": "workflow", "media": []},
    ]});
    let made = post(&org, "/sandbox/conversations", &spec).await.json();
    assert_eq!(made["id"], id.to_string());
    assert_eq!(made["participants"][0]["media"], json!(["chats"]));
    assert_eq!(
        (&made["participants"][1]["state"], &made["participants"][1]["userId"]),
        (&json!("alerting"), &json!("u"))
    );
    assert_eq!(post(&org, "/sandbox/conversations", &spec).await.status, 409, "the id is taken");
    pass(Duration::from_secs(31)).await;
    assert_eq!(org.get(&format!("/sandbox/conversations/{id}")).await.json()["state"], "ended");
}

#[tokio::test(start_paused = true)]
async fn a_conversation_can_be_ended_scheduled_and_forgotten() {
    let org = Org::new(Surface::Published);
    let id = org.conference.id;
    let leaves = json!({"conversation": id, "participant": org.agent(), "end_in": "5s"});
    assert_eq!(post(&org, "/sandbox/clock", &leaves).await.status, 200);
    pass(Duration::from_secs(5)).await;
    assert!(!org.live(org.agent()));
    let plan = json!({"conversation": id, "end_in": "5s", "readable_for": "10s"});
    assert_eq!(post(&org, "/sandbox/clock", &plan).await.status, 200);
    pass(Duration::from_secs(5)).await;
    assert!(org.read().await.json()["endTime"].is_string());
    pass(Duration::from_secs(10)).await;
    assert_eq!(org.read().await.status, 404);

    let path = format!("/sandbox/conversations/{}", org.sandbox.create_conference(Default::default()).id);
    assert_eq!(org.call(Method::DELETE, &path, "").await.status, 204);
    assert_eq!(org.get(&path).await.json()["state"], "ended");
    assert_eq!(org.call(Method::DELETE, &format!("{path}?forget=true"), "").await.status, 204);
    assert_eq!(org.get(&path).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn unknown_members_and_parameters_are_400_and_named() {
    let org = Org::new(Surface::Published);
    for (method, path, body) in [
        (Method::POST, "/sandbox/conversations", r#"{"wrong_member":1}"#),
        (Method::POST, "/sandbox/conversations", r#"{"participants":[{"wrong_member":1}]}"#),
        (Method::POST, "/sandbox/faults", r#"{"action":"reset","wrong_member":1}"#),
        (Method::POST, "/sandbox/faults", r#"[{"action":{"answer":{"wrong_member":1}}}]"#),
        (Method::POST, "/sandbox/faults", r#"{"action":"wrong_member"}"#),
        (Method::PATCH, "/sandbox/settings", r#"{"wrong_member":1}"#),
        (Method::PATCH, "/sandbox/tokens", r#"{"wrong_member":1}"#),
        (Method::POST, "/sandbox/clock", r#"{"wrong_member":1}"#),
        (Method::GET, "/sandbox/journal?wrong_member=1", ""),
    ] {
        let answer = org.call(method, path, body).await;
        assert_eq!(answer.status, 400, "{path} {body}");
        let said = answer.json()["message"].as_str().expect("a message").to_owned();
        assert!(said.contains("wrong_member"), "{said}");
    }
    for (path, body, word) in [
        ("/sandbox/settings", r#"{"gone_status":418}"#, "gone_status"),
        ("/sandbox/settings", r#"{"rate_window":"0s"}"#, "rate_window"),
        ("/sandbox/settings", r#"{"effect_delay":5}"#, "string"),
        ("/sandbox/settings", "{", "JSON"),
    ] {
        let answer = org.call(Method::PATCH, path, body).await;
        assert_eq!(answer.status, 400);
        assert!(answer.json()["message"].as_str().is_some_and(|m| m.contains(word)), "{body}");
    }
    assert_eq!(org.get("/sandbox/nowhere").await.status, 404);
    assert_eq!(org.call(Method::PUT, "/sandbox/journal", "").await.status, 405);
}

#[tokio::test(start_paused = true)]
async fn rules_are_listed_with_their_use_replaced_and_removed() {
    let org = Org::new(Surface::Published);
    let made =
        post(&org, "/sandbox/faults", &json!({"on": "read", "times": 1, "action": {"answer": {"status": 503}}})).await;
    assert_eq!(made.status, 201);
    let id = made.json()["faults"][0]["id"].as_u64().expect("an id");
    assert_eq!(org.read().await.status, 503);
    let shown = org.get(&format!("/sandbox/faults/{id}")).await.json();
    assert_eq!((&shown["applied"], &shown["spent"]), (&json!(1), &json!(true)));
    assert_eq!(org.sandbox.journal().pop().expect("an entry").fault, Some(id));

    let list = json!([{"on": "read", "action": "unauthorized"}, {"on": "login", "action": "throttled_login"}]);
    let put = org.call(Method::PUT, "/sandbox/faults", &list.to_string()).await;
    assert_eq!(put.json()["faults"].as_array().map(Vec::len), Some(2));
    assert_eq!(org.get("/sandbox/faults").await.json()["faults"].as_array().map(Vec::len), Some(2));
    let first = put.json()["faults"][0]["id"].as_u64().expect("an id");
    assert_eq!(org.call(Method::DELETE, &format!("/sandbox/faults/{first}"), "").await.status, 204);
    assert_eq!(org.call(Method::DELETE, &format!("/sandbox/faults/{first}"), "").await.status, 404);
    assert_eq!(org.read().await.status, 200);
    assert_eq!(org.call(Method::DELETE, "/sandbox/faults", "").await.status, 204);
    assert_eq!(org.good_login().await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn tokens_and_settings_are_switched_at_run_time() {
    let org = Org::new(Surface::Published);
    let terms = org.call(Method::PATCH, "/sandbox/tokens", r#"{"lifetime":"2m","idle_timeout":"15m"}"#).await.json();
    assert_eq!((&terms["terms"]["lifetime"], &terms["tokens"][0]["state"]), (&json!("2m"), &json!("live")));
    assert_eq!(org.good_login().await.json()["expires_in"], 120);
    assert_eq!(org.call(Method::DELETE, "/sandbox/tokens", "").await.json()["revoked"], 2);
    assert_eq!(org.read().await.status, 401);

    let org = Org { token: org.sandbox.grant_token(), ..org };
    let settings =
        org.call(Method::PATCH, "/sandbox/settings", r#"{"surface":"unpublished","rate_limit":5}"#).await.json();
    assert_eq!((&settings["surface"], &settings["rate_limit"]), (&json!("unpublished"), &json!(5)));
    assert_eq!(org.post(org.agent(), "").await.status, 204);
}

#[tokio::test(start_paused = true)]
async fn the_journal_shows_what_came_in_without_control_calls() {
    let org = Org::new(Surface::Both);
    org.good_login().await;
    org.read().await;
    let correlation = org.patch(org.agent()).await.header("inin-correlation-id").map(str::to_owned);
    org.post(org.agent(), "").await;
    org.get("/sandbox/faults").await;
    let journal = org.get("/sandbox/journal").await.json();
    let kinds: Vec<_> = journal["entries"].as_array().expect("entries").iter().map(|e| e["kind"].clone()).collect();
    assert_eq!(kinds, ["login", "read", "patch", "post"]);
    let patch = &journal["entries"][2];
    assert_eq!((&patch["status"], &patch["token"], &patch["effect"]), (&json!(202), &json!("t1"), &json!("scheduled")));
    assert_eq!(patch["correlation_id"].as_str(), correlation.as_deref());
    assert_eq!(journal["totals"]["by_kind"], json!({"login": 1, "post": 1, "patch": 1, "read": 1}));
    assert_eq!(journal["totals"]["by_status"], json!({"200": 2, "202": 1, "204": 1}));
    let last = org.get("/sandbox/journal?limit=1&kind=read").await.json();
    assert_eq!(last["entries"].as_array().map(Vec::len), Some(1));
    assert_eq!(org.call(Method::DELETE, "/sandbox/journal", "").await.status, 204);
    assert_eq!(org.get("/sandbox/journal").await.json()["totals"]["requests"], 0);
}

#[tokio::test(start_paused = true)]
async fn the_journal_is_bounded_and_the_totals_are_not() {
    let org = Org::new(Surface::Published);
    for _ in 0..10_050 {
        org.get("/elsewhere").await;
    }
    assert_eq!(org.sandbox.journal().len(), 10_000);
    assert_eq!(org.sandbox.counts().requests, 10_050);
}

#[tokio::test(start_paused = true)]
async fn control_calls_meet_no_faults_and_no_rate_limit() {
    let org = Org::new(Surface::Published);
    post(&org, "/sandbox/faults", &json!({"on": "any", "action": "reset"})).await;
    org.call(Method::PATCH, "/sandbox/settings", r#"{"rate_limit":0}"#).await;
    assert_eq!(org.get("/sandbox/conversations").await.status, 200);
    assert_eq!(org.read().await.status, 429);
}

#[tokio::test(start_paused = true)]
async fn every_action_and_rule_in_the_documentation_is_one() {
    let page = include_str!("../../../docs/SANDBOX.md");
    let (_, table) = page.split_once("| action | what happens |").expect("the table of actions");
    let (table, rest) = table.split_once("\n\n").expect("its end");
    let actions = table.lines().skip(2).flat_map(|row| {
        let cell = row.split('|').nth(1).expect("a cell");
        cell.split('`').skip(1).step_by(2)
    });
    let actions: Vec<_> = actions.map(|text| serde_json::from_str::<Action>(text).expect(text)).collect();
    assert!(actions.len() > 14);

    let rules = rest.split(['`', '\'']).filter(|text| text.starts_with('{') && text.contains("\"action\""));
    let rules: Vec<Fault> = rules.map(|text| serde_json::from_str(text).expect(text)).collect();
    assert_eq!(rules.len(), 6);
    let org = Org::new(Surface::Both);
    org.sandbox.set_faults(rules).expect("all can be carried out");
}
