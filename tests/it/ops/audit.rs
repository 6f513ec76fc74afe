//! The audit, and what the service does when it cannot be written.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::shared::wire::{Wire, request};
use crate::support::process::{Binary, records, text};
use crate::support::until;

#[tokio::test(flavor = "multi_thread")]
async fn every_request_leaves_one_record_with_the_name_of_the_key() {
    let binary = Binary::new().await;
    let (secret, keys, file) = binary.key_and_audit();
    let environment = [("HANGUP__AUTH__KEYS_FILE", keys.as_str()), ("HANGUP__AUDIT__TARGET", file.as_str())];
    let mut service = binary.serve(&[], &environment).await;
    let (customer, agent) = (binary.who("customer"), binary.who("agent"));
    let key = ("x-api-key", secret.as_str());

    let body = json!({"reason": "fraud", "cause": "reported twice"}).to_string();
    let id = ("x-request-id", "req-1");
    assert_eq!(service.post(&binary.disconnect(customer), &[key, id, ("prefer", "wait=5")], &body).await.0, 200);
    assert_eq!(service.post(&format!("{}?dryRun=true", binary.disconnect(agent)), &[key], "").await.0, 200);
    assert_eq!(service.post(&binary.disconnect(agent), &[], "").await.0, 401);
    assert_eq!(service.post("/conversations/nonsense/participants/nonsense/disconnect", &[key], "").await.0, 400);
    assert_eq!(service.post(&binary.disconnect(uuid::Uuid::nil()), &[key], "").await.0, 404);
    let tear_down = format!("/conversations/{}/disconnect", binary.conference.id);
    assert_eq!(service.post(&tear_down, &[key], r#"{"all":true}"#).await.0, 403);
    assert_eq!(service.get("/conversations/nonsense").await.0, 401);
    assert_eq!(service.stop().await, Some(0));

    let found = records(&binary.path("audit.jsonl"));
    let seen: Vec<_> = found
        .iter()
        .map(|r| format!("{} {} {} {}", r["caller"], r["endpoint"], r["outcome"], r["code"]).replace('"', ""))
        .collect();
    assert_eq!(
        seen,
        [
            "key:ivr disconnect disconnected null",
            "key:ivr disconnect would_disconnect null",
            "null disconnect denied unauthenticated",
            "key:ivr disconnect denied invalid_conversation_id",
            "key:ivr disconnect failed participant_not_found",
            "key:ivr teardown denied forbidden_caller",
        ]
    );
    let first = &found[0];
    assert_eq!(first["conversationId"], binary.conference.id.to_string());
    assert_eq!(first["participantId"], customer.to_string());
    assert_eq!((&first["cause"], &found[1]["cause"]), (&json!("reported twice"), &json!(null)));
    assert_eq!((&first["reason"], &first["verified"], &first["attempts"]), (&json!("fraud"), &json!(true), &json!(1)));
    assert_eq!((&first["requestId"], &first["callerAddress"]), (&json!("req-1"), &json!("127.0.0.1")));
    assert_eq!((&first["operation"], &first["upstreamStatus"]), (&json!("participant_state"), &json!(202)));
    assert!(first["correlationId"].is_string());
    assert_eq!(
        (&first["event"], &first["actor"], &first["job"]),
        (&json!("disconnect"), &json!("key:ivr"), &json!(null))
    );
    assert!(first["instance"].as_str().is_some_and(|name| !name.is_empty()));
    assert_eq!(found[1]["dryRun"], true);
    assert_eq!(found[2]["participantId"], agent.to_string(), "also who was to be hung up by a stranger");
    let whole = std::fs::read_to_string(binary.path("audit.jsonl")).unwrap();
    assert!(!whole.contains(&secret), "the key itself is never recorded");

    let shown = binary.run(&["audit", &file, "--caller", "ivr", "--outcome", "denied", "--json"], &[]).await;
    assert_eq!(String::from_utf8(shown.stdout).unwrap().lines().count(), 2);
    let mistaken = binary.run(&["audit", &file, "--conversation", "4711"], &[]).await;
    let said = String::from_utf8(mistaken.stderr).unwrap();
    assert!(!mistaken.status.success() && said.contains("hyphenated UUID"), "{said}");
    let conversation = binary.conference.id.to_string();
    let explained = binary.run(&["explain", &conversation, &customer.to_string(), "--audit", &file], &[]).await;
    let explained = String::from_utf8(explained.stdout).unwrap();
    for word in ["fraud", "nonsense"] {
        assert!(!explained.contains(word));
    }
    for word in
        ["ivr", "the participant was seen gone", "already_disconnected", first["correlationId"].as_str().unwrap()]
    {
        assert!(explained.contains(word), "{word} is missing in\n{explained}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_request_is_recorded_with_the_ids_in_its_path_at_every_entry_point() {
    let binary = Binary::new().await;
    let (_, keys, file) = binary.key_and_audit();
    let environment = [
        ("HANGUP__AUTH__KEYS_FILE", keys.as_str()),
        ("HANGUP__AUDIT__TARGET", file.as_str()),
        ("HANGUP__SERVER__TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let mut service = binary.serve(&[], &environment).await;
    let (c, p) = (binary.conference.id.to_string(), binary.who("customer").to_string());
    let encoded = c.replace('-', "%2D");
    let (both, conversation, participant) = ((json!(c), json!(p)), (json!(c), json!(null)), (json!(null), json!(p)));
    let asked = [
        ("POST", format!("/conversations/{c}/participants/{p}/disconnect"), &both),
        ("POST", format!("/conversations/{encoded}/participants/{p}/disconnect"), &both),
        ("POST", format!("/conversations/{c}/participants/disconnect"), &conversation),
        ("POST", format!("/conversations/{c}/disconnect"), &conversation),
        ("POST", format!("/api/v2/conversations/{c}/participants/{p}/disconnect"), &both),
        ("POST", format!("/api/v2/conversations/{c}/disconnect"), &conversation),
        ("PATCH", format!("/api/v2/conversations/{c}/participants/{p}"), &both),
        ("PATCH", format!("/api/v2/conversations/calls/{c}/participants/{p}"), &both),
        ("PATCH", format!("/api/v2/conversations/emails/{c}"), &conversation),
        ("POST", format!("/conversations/nonsense/participants/{p}/disconnect"), &participant),
    ];
    for (number, (method, path, _)) in asked.iter().enumerate() {
        // Each from an address of its own: denials of one address share a record within a second.
        let request = binary.client.request(method.parse().unwrap(), format!("{}{path}", service.url));
        let answer = request.header("x-forwarded-for", format!("192.0.2.{number}")).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{method} {path}");
    }
    assert_eq!(service.stop().await, Some(0));
    let found = records(&binary.path("audit.jsonl"));
    assert_eq!(found.len(), asked.len());
    for (record, (method, path, (conversation, participant))) in found.iter().zip(&asked) {
        assert_eq!(record["outcome"], "denied", "{method} {path}");
        assert_eq!((&record["conversationId"], &record["participantId"]), (conversation, participant), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_is_recorded_by_the_disconnect_itself() {
    let binary = Binary::new().await;
    let file = text(&binary.path("audit.jsonl"));
    let mut service = binary.serve(&[], &[("HANGUP__AUDIT__TARGET", file.as_str())]).await;
    binary.fault(r#"{"on":"disconnect","times":1,"latency":"1s"}"#).await;
    let addr = service.url.trim_start_matches("http://").parse().unwrap();
    let mut caller = Wire::connect(addr).await.unwrap();
    // Once the login is answered, nothing goes upstream but the disconnect.
    until(async || binary.sandbox.counts().status(200) == 1).await;
    caller.send(&request("POST", &binary.disconnect(binary.who("customer")), "", None)).await.unwrap();
    until(async || binary.sandbox.counts().in_flight == 1).await;
    caller.stream.set_zero_linger().unwrap();
    drop(caller);
    let path = binary.path("audit.jsonl");
    until(|| async { !records(&path).is_empty() }).await;
    let found = records(&path);
    assert_eq!((found.len(), &found[0]["outcome"]), (1, &json!("accepted")));
    assert_eq!(service.line("request").await["status"], 499);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_abandoned_at_the_end_of_the_drain_is_recorded_before_exit() {
    let binary = Binary::new().await;
    let file = text(&binary.path("audit.jsonl"));
    let environment = [("HANGUP__AUDIT__TARGET", file.as_str()), ("HANGUP__SHUTDOWN__DRAIN", "200ms")];
    let mut service = binary.serve(&[], &environment).await;
    binary.fault(r#"{"on":"disconnect","times":1,"latency":"20s"}"#).await;
    let url = format!("{}{}", service.url, binary.disconnect(binary.who("customer")));
    let caller = tokio::spawn(binary.client.post(url).send());
    let journal = format!("http://{}/sandbox/journal", binary.addr);
    until(|| async {
        let seen: serde_json::Value =
            serde_json::from_str(&binary.client.get(&journal).send().await.unwrap().text().await.unwrap()).unwrap();
        seen["totals"]["in_flight"].as_u64().unwrap() > 0
    })
    .await;
    assert_eq!(service.stop().await, Some(0));
    let found = records(&binary.path("audit.jsonl"));
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0]["outcome"], &found[0]["effect"]), (&json!("abandoned"), &json!("unknown")));
    let _ = caller.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_look_that_finds_the_participant_still_there_is_recorded() {
    let binary = Binary::new().await;
    let file = text(&binary.path("audit.jsonl"));
    let environment = [
        ("HANGUP__AUDIT__TARGET", file.as_str()),
        ("HANGUP__DISCONNECT__CONFIRM", "background"),
        ("HANGUP__DISCONNECT__CONFIRM_WAIT", "1s"),
    ];
    let service = binary.serve(&[], &environment).await;
    binary.fault(r#"{"on":"disconnect","action":"ignore_effect"}"#).await;
    assert_eq!(service.post(&binary.disconnect(binary.who("customer")), &[], "").await.0, 200);
    let path = binary.path("audit.jsonl");
    until(|| async { records(&path).len() == 2 }).await;
    let found = records(&path);
    assert_eq!((&found[0]["outcome"], &found[1]["outcome"]), (&json!("accepted"), &json!("unconfirmed")));
    assert_eq!(found[0]["request_id"], found[1]["request_id"]);
    assert!((service.metric("hangup_unconfirmed_total").await - 1.0).abs() < 0.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_full_disk_it_goes_on_hanging_up_and_says_so_once_and_in_a_metric() {
    for target in ["/dev/full", "/nonexistent/audit.jsonl"] {
        let binary = Binary::new().await;
        let mut service = binary.serve(&[], &[("HANGUP__AUDIT__TARGET", target)]).await;
        for purpose in ["customer", "agent"] {
            assert_eq!(service.post(&binary.disconnect(binary.who(purpose)), &[], "").await.0, 200, "{target}");
        }
        until(|| async { service.metric("hangup_audit_failures_total").await >= 2.0 }).await;
        assert!((service.metric("hangup_audit_failing").await - 1.0).abs() < 0.1);
        assert_eq!(service.stop().await, Some(0));
        assert_eq!(service.events("audit_failing").len(), 1, "{target}: said once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_file_that_others_can_read_is_said_once_and_left_as_it_is() {
    let binary = Binary::new().await;
    let path = binary.path("audit.jsonl");
    std::fs::write(&path, "").unwrap();
    let (mode, file) = (|| std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, text(&path));
    for (given, said) in [(0o644, 1), (0o600, 0)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(given)).unwrap();
        let mut service = binary.serve(&[], &[("HANGUP__AUDIT__TARGET", &file)]).await;
        assert_eq!(service.stop().await, Some(0));
        let lines = service.events("audit_file_open");
        assert_eq!((lines.len(), mode()), (said, given), "{lines:?}");
        assert!(lines.iter().all(|line| line["cause"].as_str().unwrap().contains("mode 644")), "{lines:?}");
    }
}
