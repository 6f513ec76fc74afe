//! Selectors and teardown: each guard shows that nobody was touched.

use hangup::sandbox::{Action, ConversationSpec, Fault, On, ParticipantSpec};
use serde_json::json;

use crate::support::{Ask, NOBODY, TestApp};

async fn with_teardown() -> TestApp {
    TestApp::sockets().config(|c| c.auth.anonymous_permissions.0.push("teardown".to_owned())).start().await
}

#[tokio::test]
async fn a_selector_disconnects_exactly_whom_it_names() {
    let service = TestApp::sockets().start().await;
    let answer = service.select(&json!({"purpose": "customer"})).await;
    assert_eq!(answer.verdict(), "200 all");
    let json = answer.json();
    assert_eq!(
        (json["matched"].clone(), json["disconnected"].clone(), json["failed"].clone()),
        (1.into(), 1.into(), 0.into())
    );
    assert_eq!(json["results"][0]["participantId"], service.who("customer").to_string());
    assert_eq!(service.remain().await, ["agent", "agent", "external"]);
}

#[tokio::test]
async fn who_wants_no_body_gets_none_unless_it_has_to_tell_of_a_failure_or_a_dry_run_or_that_it_is_not_over() {
    let service = with_teardown().await;
    let minimal = |ask: Ask| ask.header("prefer", "return=minimal").send();
    let mut refused = Fault::status(On::Disconnect, 422);
    refused.participant = Some(service.who("customer"));
    service.sandbox.set_faults(vec![refused]).unwrap();
    let partial = minimal(service.selector(&json!({"purpose": ["customer", "external"], "max": 2}))).await;
    assert_eq!((partial.verdict().as_str(), partial.header("preference-applied")), ("200 partial", ""));
    service
        .sandbox
        .set_faults([On::Disconnect, On::Teardown].map(|on| Fault::new(on, Action::IgnoreEffect)).into())
        .unwrap();
    for ask in [service.selector(&json!({"purpose": "customer"})), service.teardown()] {
        let still_there = minimal(ask.query("wait=1")).await;
        assert_eq!((still_there.status, still_there.header("preference-applied")), (202, "wait=1"));
    }
    service.sandbox.clear_faults();
    let one = service.post(&service.path_of(service.who("agent")));
    for ask in [one, service.selector(&json!({"purpose": "agent", "max": 2})), service.teardown()] {
        let dry = minimal(ask.query("dryRun=true")).await;
        assert_eq!((dry.verdict().as_str(), dry.header("preference-applied")), ("200 would_disconnect", ""));
    }
    for ask in [service.selector(&json!({"purpose": "customer"})), service.teardown()] {
        let answer = minimal(ask).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        assert_eq!(answer.header("preference-applied"), "return=minimal");
    }
}

#[tokio::test]
async fn a_repeat_that_spells_out_a_default_reaches_whom_the_first_reached() {
    let service = TestApp::sockets().start().await;
    let first = service.who("customer");
    assert_eq!(service.select(&json!({"purpose": "customer"})).await.verdict(), "200 all");
    service.settled().await;
    let next =
        service.sandbox.add_participant(service.conference.id, ParticipantSpec::of("customer")).unwrap().unwrap();
    for repeat in [json!({"purpose": "customer", "max": 1}), json!({"purpose": ["Customer"]})] {
        assert_eq!(service.select(&repeat).await.json()["results"][0]["participantId"], json!(first), "{repeat}");
    }
    service.settled().await;
    assert!(service.sandbox.is_live(service.conference.id, next));
}

#[tokio::test]
async fn a_name_that_is_given_twice_is_refused_and_nobody_is_touched() {
    let service = with_teardown().await;
    let cid = service.conference.id;
    let (selector, teardown) =
        (format!("/conversations/{cid}/participants/disconnect"), format!("/conversations/{cid}/disconnect"));
    let named = format!("/conversations/{cid}/participants/{}/disconnect", service.who("customer"));
    let form = "application/x-www-form-urlencoded";
    for (path, kind, body, verdict) in [
        (&selector, "application/json", r#"{"purpose":"agent","purpose":"customer"}"#, "400 invalid_selector"),
        (&selector, form, "purpose=agent&purpose=customer", "400 invalid_selector"),
        (&teardown, "application/json", r#"{"all":false,"all":true}"#, "400 invalid_body"),
        (&named, "application/json", r#"{"media":"email","media":"call"}"#, "400 invalid_body"),
    ] {
        let answer = service.post(path).header("content-type", kind).body(body).send().await;
        assert_eq!(answer.verdict(), verdict, "{body}");
        assert!(answer.get("detail").as_str().unwrap().contains("given twice"), "{answer:?}");
    }
    assert_eq!(service.sandbox.counts().disconnects(), 0);
}

#[tokio::test]
async fn who_is_seen_still_there_is_not_counted_as_disconnected() {
    let service = TestApp::sockets().start().await;
    service.sandbox.change_settings(&json!({"effect_delay": "30s"})).unwrap();
    let answer = service.selector(&json!({"purpose": "customer"})).header("prefer", "wait=1").send().await;
    assert_eq!(
        (answer.status, answer.get("disconnected"), answer.get("matched")),
        (202, 0.into(), 1.into()),
        "{answer:?}"
    );
    let results = answer.get("results");
    assert_eq!((&results[0]["outcome"], &results[0]["gone"]), (&json!("accepted"), &json!(false)));
}

#[tokio::test]
async fn nobody_is_touched_by_a_selector_that_is_refused() {
    let service = TestApp::sockets().start().await;
    for (selector, verdict) in [
        (json!({"purpose": "agent"}), "409 selector_ambiguous"),
        (json!({}), "400 invalid_selector"),
        (json!({"purpose": ""}), "400 invalid_selector"),
        (json!({"purpose": "agent", "usrId": "x"}), "400 invalid_selector"),
        (json!({"purpose": "agent", "max": null}), "400 invalid_selector"),
        (json!({"all": true}), "403 forbidden_caller"),
        (json!({"except": service.who("customer")}), "403 forbidden_caller"),
        (json!({"purpose": "nobody"}), "200 none_matched"),
    ] {
        assert_eq!(service.select(&selector).await.verdict(), verdict, "{selector}");
    }
    assert_eq!(service.remain().await.len(), 4);
    assert_eq!(service.sandbox.counts().disconnects(), 0);
}

#[tokio::test]
async fn an_ambiguous_selector_names_the_candidates() {
    let service = TestApp::sockets().start().await;
    let answer = service.select(&json!({"purpose": "agent"})).await;
    assert_eq!(answer.get("candidates").as_array().unwrap().len(), 2);
    assert_eq!(service.select(&json!({"purpose": "agent", "max": 2})).await.get("disconnected"), 2);
}

#[tokio::test]
async fn everybody_but_some_goes_and_a_stale_exception_touches_nobody() {
    let service = with_teardown().await;
    let stale = service.select(&json!({"except": NOBODY})).await;
    assert_eq!(stale.verdict(), "404 participant_not_found");
    assert_eq!(service.remain().await.len(), 4);
    let answer = service.select(&json!({"except": service.who("customer")})).await;
    assert_eq!((answer.verdict().as_str(), answer.get("disconnected")), ("200 all", json!(3)));
    assert_eq!(service.remain().await, ["customer"]);
}

#[tokio::test]
async fn a_repeat_goes_to_the_same_targets_and_never_to_the_next_agent() {
    let service = TestApp::sockets().start().await;
    let one_agent = vec![ParticipantSpec::of("customer"), ParticipantSpec::of("agent")];
    let spec = ConversationSpec::with(one_agent);
    let conference = service.sandbox.create_conference(spec);
    let path = format!("/conversations/{}/participants/disconnect", conference.id);
    let select = || service.post(&path).json(&json!({"purpose": "agent"})).send();
    let first = select().await;
    assert_eq!(first.verdict(), "200 all");
    service.sandbox.settled(conference.id).await;
    let repeat = select().await;
    assert_eq!(repeat.verdict(), "200 all");
    assert_eq!(repeat.json()["results"][0]["participantId"], first.json()["results"][0]["participantId"]);
    assert_eq!(repeat.json()["results"][0]["outcome"], "already_disconnected");
    let keyed = service.post(&path).header("idempotency-key", "k1").json(&json!({"purpose": "agent"})).send().await;
    assert_eq!(keyed.verdict(), "200 none_matched", "a new key is a new request");
}

#[tokio::test]
async fn a_dry_run_settles_nobody_for_a_later_request() {
    let service = TestApp::sockets().start().await;
    let path = format!("/conversations/{}/participants/disconnect?dryRun=true", service.conference.id);
    let dry = service.post(&path).json(&json!({"purpose": "external"})).send().await;
    assert_eq!(dry.verdict(), "200 would_disconnect");
    assert_eq!(dry.json()["results"][0]["outcome"], "would_disconnect");
    assert_eq!(dry.get("disconnected"), 0);
    assert_eq!(service.remain().await.len(), 4);
    assert_eq!(service.select(&json!({"purpose": "external"})).await.get("disconnected"), 1);
}

#[tokio::test]
async fn some_failures_are_partial_and_only_failures_are_the_first_ones_status() {
    let service = with_teardown().await;
    let mut refused = Fault::status(On::Disconnect, 422);
    refused.participant = Some(service.who("customer"));
    service.sandbox.set_faults(vec![refused]).unwrap();
    let answer = service.select(&json!({"purpose": ["customer", "external"], "max": 2})).await;
    assert_eq!((answer.status, answer.get("outcome"), answer.get("ok")), (200, json!("partial"), json!(false)));
    assert_eq!((answer.get("disconnected"), answer.get("failed")), (json!(1), json!(1)));
    let failed = service.select(&json!({"purpose": "customer"})).await;
    assert_eq!(failed.verdict(), "422 upstream_rejected");
}

#[tokio::test]
async fn teardown_must_be_meant_and_permitted() {
    let service = TestApp::sockets().start().await;
    let path = format!("/conversations/{}/disconnect", service.conference.id);
    assert_eq!(service.post(&path).json(&json!({"all": true})).send().await.verdict(), "403 forbidden_caller");

    let service = with_teardown().await;
    let path = format!("/conversations/{}/disconnect", service.conference.id);
    for body in ["", "{}", "null", r#"{"all":false}"#, r#"{"all":true,"x":1}"#, r#"{"ALL":true}"#] {
        assert_eq!(service.post(&path).body(body).send().await.verdict(), "400 invalid_body", "{body}");
    }
    assert_eq!(service.remain().await.len(), 4);
    let ended = service.post(&path).json(&json!({"all": "true"})).send().await;
    assert_eq!(ended.verdict(), "200 accepted", "everybody is still talking");
    assert_eq!((ended.get("operation"), ended.get("gone")), (json!("conversation_disconnect"), json!(null)));
    service.settled().await;
    assert_eq!(service.post(&path).json(&json!({"all": true})).send().await.verdict(), "200 conversation_ended");
}

#[tokio::test]
async fn a_teardown_waits_until_the_conversation_has_ended() {
    for (delay, status, verdict) in [(300, 200, "disconnected"), (30_000, 202, "accepted")] {
        let service = TestApp::sockets()
            .config(|c| {
                c.auth.anonymous_permissions.0.push("teardown".to_owned());
                c.sandbox.effect_delay = std::time::Duration::from_millis(delay);
            })
            .start()
            .await;
        let path = format!("/conversations/{}/disconnect", service.conference.id);
        let answer = service.post(&path).header("prefer", "wait=2").json(&json!({"all": true})).send().await;
        assert_eq!(answer.verdict(), format!("{status} {verdict}"));
        assert_eq!(answer.get("verified"), status == 200);
        assert_eq!(answer.get("gone"), status == 200);
        assert_eq!(answer.header("preference-applied"), "wait=2");
    }
}

#[tokio::test]
async fn system_participants_and_crowds_must_be_asked_for() {
    let service = TestApp::sockets().start().await;
    let specs = ["customer", "voicesurveyflow", "acd", "agent"].map(ParticipantSpec::of).to_vec();
    let conference = service.sandbox.create_conference(ConversationSpec::with(specs));
    let path = format!("/conversations/{}/participants/disconnect?dryRun=true", conference.id);
    let select = |selector: serde_json::Value| service.post(&path).json(&selector).send();
    assert_eq!(select(json!({"purpose": ["customer", "agent"], "max": 9})).await.verdict(), "403 forbidden_caller");
    assert_eq!(select(json!({"purpose": ["customer", "agent"], "max": 8})).await.get("matched"), 2);
    assert_eq!(select(json!({"purpose": "voicesurveyflow"})).await.get("matched"), 1);
    let everybody = with_teardown().await;
    let conference = everybody.sandbox.create_conference(ConversationSpec::with(
        ["customer", "voicesurveyflow", "acd", "agent"].map(ParticipantSpec::of).to_vec(),
    ));
    let path = format!("/conversations/{}/participants/disconnect?dryRun=true", conference.id);
    assert_eq!(everybody.post(&path).json(&json!({"all": true})).send().await.get("matched"), 2);
}

#[tokio::test]
async fn a_repeated_teardown_sends_nothing() {
    let service = TestApp::sockets()
        .config(|c| {
            c.auth.anonymous_permissions.0.push("teardown".to_owned());
            c.sandbox.effect_delay = std::time::Duration::from_secs(30);
        })
        .start()
        .await;
    let path = format!("/conversations/{}/disconnect", service.conference.id);
    for key in [None, Some("k1")] {
        let tear_down = || {
            let request = service.post(&path).json(&json!({"all": true}));
            key.map_or(request, |_| service.post(&path).json(&json!({"all": true})).header("idempotency-key", "k1"))
                .send()
        };
        let (first, repeat) = (tear_down().await, tear_down().await);
        assert_eq!((first.verdict(), first.get("attempts")), ("200 accepted".to_owned(), json!(1)), "{key:?}");
        assert_eq!((repeat.verdict(), repeat.get("attempts")), ("200 accepted".to_owned(), json!(0)), "{key:?}");
        assert_eq!(repeat.get("gone"), false, "read, and still going on");
    }
}
