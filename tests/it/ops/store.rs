//! The service and its store: out of reach, across a crash, and what it keeps.

use std::time::Duration;

use hangup::sandbox::ParticipantSpec;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::process::Binary;
use crate::support::until;

/// Nothing listens there.
const NOWHERE: (&str, &str) = ("HANGUP__STORE__URL", "postgres://hangup@127.0.0.1:1/none");

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_named_disconnects_go_on_and_whatever_needs_a_claim_is_refused_at_once() {
    let binary = Binary::new().await;
    let mut service = binary
        .serve(&[], &[NOWHERE, ("HANGUP__AUTH__ANONYMOUS_PERMISSIONS", "disconnect,read,teardown,operate")])
        .await;
    until(async || service.get("/readyz").await.0 == 200).await;
    let ready = service.get("/readyz").await.1;
    assert!(ready.contains("degraded: the store is out of reach"), "{ready}");
    assert_eq!(service.post(&binary.disconnect(binary.who("customer")), &[("prefer", "wait=5")], "").await.0, 200);
    let conversation = format!("/conversations/{}", binary.conference.id);
    let selector =
        (format!("{conversation}/participants/disconnect"), json!({"purpose": "agent", "max": 2}).to_string());
    let teardown = (format!("{conversation}/disconnect"), json!({"all": true}).to_string());
    for (path, body) in [&selector, &teardown] {
        let begun = Instant::now();
        let (status, answer) = service.post(path, &[], body).await;
        assert!(begun.elapsed() < Duration::from_millis(600), "{:?}", begun.elapsed());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, &answer["code"], &answer["effect"]), (503, &json!("store_unavailable"), &json!("none")));
    }
    assert_eq!(service.put("/mode", r#"{"mode":"observe"}"#).await.0, 503);
    assert!(binary.sandbox.is_live(binary.conference.id, binary.who("agent")), "nobody was touched");
    // A read disconnects no one, and needs no claim.
    assert_eq!(service.post(&format!("{}?dryRun=true", selector.0), &[], &selector.1).await.0, 200);
    assert!(
        (service.metric("hangup_store_up").await, service.metric("hangup_claims_refused_total").await) == (0.0, 2.0)
    );
    let status: Value = serde_json::from_str(&service.get("/status").await.1).unwrap();
    assert_eq!((&status["store"]["up"], &status["modeFrom"]), (&json!(false), &json!("configuration")));
    assert_eq!(service.events("store_out_of_reach").len(), 1, "one line, however often it fails");
    assert_eq!(service.events("mode_unread").len(), 1);
    assert_eq!(service.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_audit_is_required_nothing_is_sent_that_could_not_be_recorded() {
    let binary = Binary::new().await;
    let service = binary.serve(&[], &[NOWHERE, ("HANGUP__AUDIT__REQUIRED", "true")]).await;
    let (status, answer) = service.post(&binary.disconnect(binary.who("agent")), &[], "").await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["code"], &answer["effect"]), (503, &json!("audit_unavailable"), &json!("none")));
    assert!(binary.sandbox.is_live(binary.conference.id, binary.who("agent")));

    let environment =
        [("HANGUP__AUDIT__REQUIRED", "true"), ("HANGUP__AUTH__ANONYMOUS_PERMISSIONS", "disconnect,audit")];
    let service = binary.serve(&[], &environment).await;
    assert_eq!(service.post(&binary.disconnect(binary.who("agent")), &[], "").await.0, 200);
    let outcomes = async || {
        let body: Value = serde_json::from_str(&service.get("/audit").await.1).unwrap();
        body["records"].as_array().unwrap().iter().map(|record| record["outcome"].to_string()).collect::<Vec<_>>()
    };
    until(async || outcomes().await == ["\"accepted\""]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_after_a_crash_reaches_whom_the_first_reached_and_nobody_who_came_since() {
    let binary = Binary::new().await;
    let permissions = ("HANGUP__AUTH__ANONYMOUS_PERMISSIONS", "disconnect,read,teardown");
    let path = format!("/conversations/{}/participants/disconnect", binary.conference.id);
    let (body, first) = (json!({"purpose": "customer"}).to_string(), binary.who("customer"));
    let service = binary.serve(&[], &[permissions]).await;
    let (status, answer) = service.post(&path, &[("prefer", "wait=5")], &body).await;
    assert_eq!(status, 200, "{answer}");
    service.signal("KILL");
    drop(service);

    let next = binary.sandbox.add_participant(binary.conference.id, ParticipantSpec::of("customer")).unwrap().unwrap();
    let service = binary.serve(&[], &[permissions]).await;
    for _ in 0..5 {
        let (status, answer) = service.post(&path, &[("prefer", "wait=5")], &body).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, &answer["results"][0]["participantId"]), (200, &json!(first.to_string())), "{answer}");
    }
    assert!(binary.sandbox.is_live(binary.conference.id, next), "the next customer");
    // The same with a teardown, of which the answer may have been lost.
    let path = format!("/conversations/{}/disconnect", binary.conference.id);
    let body = json!({"all": true}).to_string();
    assert_eq!(service.post(&path, &[("idempotency-key", "k")], &body).await.0, 200);
    until(async || !binary.sandbox.is_live(binary.conference.id, next)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_that_was_set_holds_after_a_restart() {
    let binary = Binary::new().await;
    let operate = ("HANGUP__AUTH__ANONYMOUS_PERMISSIONS", "disconnect,operate");
    let mut service = binary.serve(&[], &[operate]).await;
    assert_eq!(service.put("/mode", r#"{"mode":"observe"}"#).await.0, 200);
    assert_eq!(service.stop().await, Some(0));
    let service = binary.serve(&[], &[operate]).await;
    let status: Value = serde_json::from_str(&service.get("/status").await.1).unwrap();
    assert_eq!((&status["mode"], &status["modeFrom"]), (&json!("observe"), &json!("store")));
    assert_eq!(service.post(&binary.disconnect(binary.who("agent")), &[], "").await.0, 200);
    assert!(binary.sandbox.is_live(binary.conference.id, binary.who("agent")));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_file_are_a_small_fleet() {
    let binary = Binary::new().await;
    let permissions = ("HANGUP__AUTH__ANONYMOUS_PERMISSIONS", "disconnect,read,operate");
    let (one, two) = (binary.serve(&[], &[permissions]).await, binary.serve(&[], &[permissions]).await);
    let path = format!("/conversations/{}/participants/disconnect", binary.conference.id);
    let body = json!({"purpose": "customer"}).to_string();
    assert_eq!(one.post(&path, &[("prefer", "wait=5")], &body).await.0, 200);
    let next = binary.sandbox.add_participant(binary.conference.id, ParticipantSpec::of("customer")).unwrap().unwrap();
    assert_eq!(two.post(&path, &[("prefer", "wait=5")], &body).await.0, 200);
    assert!(binary.sandbox.is_live(binary.conference.id, next), "the next customer");
    assert_eq!(one.put("/mode", r#"{"mode":"observe"}"#).await.0, 200);
    let mode = async || serde_json::from_str::<Value>(&two.get("/status").await.1).unwrap()["mode"] == "observe";
    until(mode).await;
    until(async || two.metric("hangup_replicas").await == 2.0).await;
}
