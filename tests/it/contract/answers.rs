//! What the running service answers where all goes well is what the file says. Each request is held against it by
//! [`Service::ask`].

use std::collections::BTreeSet;

use hangup::http::routes;
use hangup::medium::Medium;
use hangup::outcome::Outcome;
use hangup::sandbox::StuckSpec;
use http::Method;
use serde_json::json;
use uuid::Uuid;

use crate::contract::service::Service;

#[tokio::test]
async fn every_outcome_of_a_disconnect_is_answered_as_the_file_says() {
    let service = Service::start(|_| {}).await;
    let mut outcomes = BTreeSet::new();
    let conference = service.conference();
    let customer = (conference.id, conference.first("customer").expect("a customer"));
    let agent = (conference.id, conference.first("agent").expect("an agent"));

    let dry = service.disconnect(customer, "?dryRun=true", &[], r#"{"reason":null}"#).await;
    let accepted = service.disconnect(customer, "", &[], r#"{"reason":"too loud","cause":"x","other":1}"#).await;
    let seen = service.disconnect(customer, "", &[("prefer", "wait=9")], "null").await;
    let again = service.disconnect(customer, "", &[("x-request-id", "mine")], "").await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let waited = service.disconnect(agent, "", &[("prefer", "wait=9"), form], "reason=user_request").await;
    assert_eq!(waited.headers["preference-applied"], "wait=9");
    assert_eq!(again.headers["x-request-id"], "mine");
    assert_eq!(seen.status, 200);
    service.sandbox.end_conversation(conference.id);
    let ended = service.disconnect(agent, "", &[], "").await;
    for answer in [dry, accepted, again, waited, ended] {
        outcomes.insert(answer.word("outcome").to_owned());
    }
    assert_eq!(outcomes, Outcome::ALL.iter().map(|outcome| outcome.name().to_owned()).collect());

    let minimal = service.disconnect_a_customer(&[("prefer", "return=minimal")]).await;
    assert_eq!(minimal.status, 204);
    service.fault(json!({"on": "disconnect", "action": "ignore_effect"}));
    let still_there = service.disconnect_a_customer(&[("prefer", "wait=1, return=minimal")]).await;
    assert_eq!((still_there.status.as_u16(), still_there.word("outcome")), (202, "accepted"));
    assert_eq!((&still_there.body["verified"], &still_there.body["gone"]), (&json!(false), &json!(false)));
}

#[tokio::test]
async fn lookups_selectors_and_teardowns_are_answered_as_the_file_says() {
    let service = Service::start(|config| config.auth.anonymous_permissions.0.push("teardown".to_owned())).await;
    let conference = service.conference();
    let (id, ids) = (conference.id.to_string(), conference.live().len());

    let short = service.get(routes::CONVERSATION, &[&id], &[]).await;
    assert_eq!((short.word("id"), short.word("state")), (id.as_str(), "active"));
    let list = service.get(routes::PARTICIPANTS, &[&id], &[]).await;
    assert_eq!(list.body["total"], 5);

    let select = async |query: &str, body: serde_json::Value| {
        service.ask(Method::POST, routes::SELECTOR, &[&id], query, &[], &body.to_string()).await
    };
    assert_eq!(select("", json!({"purpose": "supervisor"})).await.word("outcome"), "none_matched");
    assert_eq!(select("?dryRun=true", json!({"purpose": ["customer"]})).await.body["disconnected"], 0);
    let eve = conference.first("external").expect("a consultant");
    service.fault(json!({"on": "disconnect", "participant": eve, "action": {"answer": {"status": 400}}}));
    let partial = select("", json!({"all": "true", "max": 9})).await;
    assert_eq!(partial.word("outcome"), "partial");
    assert_eq!(partial.body["matched"], ids);
    service.sandbox.clear_faults();
    assert_eq!(select("", json!({"address": "TEL:+1 317 555 0188"})).await.word("outcome"), "all");

    let (other, all) = (service.conference().id.to_string(), r#"{"all":true}"#);
    let end = async |query| service.ask(Method::POST, routes::TEARDOWN, &[&other], query, &[], all).await;
    assert_eq!(end("?dryRun=true").await.word("outcome"), "would_disconnect");
    assert_eq!(end("").await.word("outcome"), "accepted");
    service.sandbox.end_conversation(other.parse().expect("an id"));
    assert_eq!(end("").await.word("outcome"), "conversation_ended");
}

#[tokio::test]
async fn searches_are_answered_as_the_file_says() {
    let service = Service::start(|config| config.auth.anonymous_permissions.0.push("search".to_owned())).await;
    service.conference();
    service.sandbox.create_stuck(StuckSpec { agent: true, ..StuckSpec::default() }).expect("a stuck one");
    let find = async |query: &str| service.ask(Method::GET, routes::CONVERSATIONS, &[], query, &[], "").await;
    assert_eq!(find("").await.body["conversations"].as_array().map(Vec::len), Some(2));
    let first = find("?limit=1&agent=any&state=any&olderThan=30s&newerThan=10d").await;
    assert!(first.body["cursor"].is_string());
    assert_eq!(find("?queue=nonsense").await.word("code"), "invalid_query");
    service
        .sandbox
        .change_settings(&json!({"missing_permissions": ["analytics:conversationDetail:view"]}))
        .expect("set");
    assert_eq!(find("").await.word("code"), "upstream_forbidden");
}

#[tokio::test]
async fn the_drop_in_paths_answer_as_the_file_says() {
    let service = Service::start(|config| config.auth.anonymous_permissions.0.push("teardown".to_owned())).await;
    let conference = service.conference();
    let id = conference.id.to_string();
    let read = service.get(routes::API_CONVERSATION, &[&id], &[]).await;
    assert_eq!(read.word("id"), id);
    assert_eq!(service.get(routes::API_MEDIUM, &["calls", &id], &[]).await.word("id"), id);

    let who = |purpose| conference.first(purpose).expect("a participant").to_string();
    let state = r#"{"state":"DISCONNECTED","held":null}"#;
    let posted = service.ask(Method::POST, routes::API_DISCONNECT, &[&id, &who("customer")], "", &[], "").await;
    assert_eq!(posted.status, 204);
    let patched = service.ask(Method::PATCH, routes::API_PARTICIPANT, &[&id, &who("agent")], "", &[], state).await;
    assert_eq!(patched.status, 202);
    let calls = ["calls", &id, &who("external")];
    let patched = service.ask(Method::PATCH, routes::API_MEDIUM_PARTICIPANT, &calls, "", &[], state).await;
    assert_eq!((patched.status.as_u16(), &patched.headers["x-hangup-outcome"]), (202, &"accepted".parse().unwrap()));
    for medium in Medium::ALL.into_iter().filter(|medium| medium.is_read_by_path()) {
        let read = service.get(routes::API_MEDIUM, &[medium.segment(), &id], &[]).await;
        assert!(matches!(read.status.as_u16(), 200 | 404), "{medium:?}: {}", read.status);
    }

    let whole = service.conference().id.to_string();
    let torn = service.ask(Method::POST, routes::API_TEARDOWN, &[&whole], "", &[], "").await;
    assert_eq!((torn.status.as_u16(), torn.headers["x-hangup-outcome"].is_empty()), (202, false));
    let calls = ["calls", &service.conference().id.to_string()];
    assert_eq!(service.ask(Method::PATCH, routes::API_MEDIUM, &calls, "", &[], state).await.word("id"), calls[1]);

    let login = ("authorization", "Basic aXZyOmhrX2tleQ==");
    let token = service.ask(Method::POST, routes::TOKEN, &[], "", &[login], "grant_type=client_credentials").await;
    assert_eq!(token.word("access_token"), "hk_key");
    let wrong = service.ask(Method::POST, routes::TOKEN, &[], "", &[login], "grant_type=password").await;
    assert_eq!((wrong.status.as_u16(), wrong.word("error")), (400, "unsupported_grant_type"));
    let nobody = service.ask(Method::POST, routes::TOKEN, &[], "", &[], "").await;
    assert_eq!((nobody.status.as_u16(), nobody.word("error")), (401, "invalid_client"));
}

#[tokio::test]
async fn the_drop_in_paths_refuse_as_the_file_says() {
    let service = Service::start(|_| {}).await;
    let conference = service.conference();
    let (id, nobody) = (conference.id.to_string(), Uuid::from_u128(7).to_string());
    let customer = conference.first("customer").expect("a customer").to_string();
    let patch = async |ids: &[&str], body: &str| {
        service.ask(Method::PATCH, routes::API_PARTICIPANT, ids, "", &[], body).await.status.as_u16()
    };
    let state = r#"{"state":"disconnected"}"#;
    assert_eq!(patch(&[&id, &nobody], state).await, 404);
    assert_eq!(patch(&[&nobody, &nobody], state).await, 404);
    assert_eq!(patch(&["x", &nobody], state).await, 400);
    assert_eq!(patch(&[&id, &customer], r#"{"held":true}"#).await, 400);
    assert_eq!(patch(&[&id, &customer], r#"{"state":"disconnected","wrapup":{}}"#).await, 400);
    assert_eq!(patch(&[&id, &customer], &" ".repeat(20_000)).await, 413);
    assert_eq!(service.get(routes::API_CONVERSATION, &[&nobody], &[]).await.status, 404);
    assert_eq!(service.get(routes::API_MEDIUM, &["calls", "x"], &[]).await.status, 400);
    let page = service.get(routes::API_CONVERSATION, &[&id], &[("origin", "https://elsewhere.example")]).await;
    assert_eq!(page.status, 403);
    for (status, answered) in [(409, 409), (400, 400), (415, 415), (422, 422), (503, 503), (429, 429)] {
        service.fault(json!({"on": "disconnect", "action": {"answer": {"status": status, "retry_after": "60"}}}));
        assert_eq!(patch(&[&id, &customer], state).await, answered, "{status}");
    }
    assert!(service.sandbox.is_live(conference.id, customer.parse().expect("an id")));
}

#[tokio::test]
async fn probes_the_status_and_the_mode_are_answered_as_the_file_says() {
    let service = Service::start(|_| {}).await;
    for template in [routes::LIVEZ, routes::READYZ] {
        assert_eq!(service.get(template, &[], &[]).await.status, 200, "{template}");
    }
    assert_eq!(service.get(routes::MODE, &[], &[]).await.word("mode"), "enforce");
    let put = async |body| service.ask(Method::PUT, routes::MODE, &[], "", &[], body).await;
    assert_eq!(put(r#"{"mode":"observe"}"#).await.word("mode"), "observe");
    assert_eq!(put("{}").await.status, 400);
    assert_eq!(service.get(routes::STATUS, &[], &[]).await.word("mode"), "observe");
    assert_eq!(service.get(routes::READYZ, &[], &[]).await.body["reasons"].as_array().map(Vec::len), Some(1));
    assert_eq!(service.disconnect_a_customer(&[]).await.word("outcome"), "would_disconnect");
}
