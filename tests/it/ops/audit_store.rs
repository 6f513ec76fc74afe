//! The audit in the store: written off the path, read by callers with the permission, and by operators at a shell.

use serde_json::{Value, json};

use crate::support::process::{Binary, Process, text};
use crate::support::until;

/// Two keys: one that disconnects, one that may read the audit.
fn keys(binary: &Binary) -> (String, String) {
    let (ivr, auditor) = (hangup::callers::new_key("ivr").unwrap(), hangup::callers::new_key("auditor").unwrap());
    let auditing = format!(
        "{}\npermissions = [\"audit\"]\n",
        auditor.toml.lines().filter(|l| !l.starts_with("permissions")).collect::<Vec<_>>().join("\n")
    );
    std::fs::write(binary.path("keys.toml"), format!("{}\n{auditing}", ivr.toml)).unwrap();
    (ivr.text, auditor.text)
}

async fn read(service: &Process, key: &str, query: &str, accept: &str) -> (u16, String) {
    service.get_with(&format!("/audit{query}"), &[("x-api-key", key), ("accept", accept)]).await
}

async fn records(service: &Process, key: &str, query: &str) -> Vec<Value> {
    let (status, body) = read(service, key, query, "application/json").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str::<Value>(&body).unwrap()["records"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_records_are_kept_in_the_store_and_shown_to_whom_they_concern() {
    let binary = Binary::new().await;
    let (ivr, auditor) = keys(&binary);
    let file = text(&binary.path("keys.toml"));
    let environment = [("HANGUP__AUTH__KEYS_FILE", file.as_str()), ("HANGUP__STORE__INSTANCE", "one")];
    let mut service = binary.serve(&[], &environment).await;
    let (customer, agent) = (binary.who("customer"), binary.who("agent"));
    let header = ("x-api-key", ivr.as_str());
    let reason = json!({"reason": "=fraud, he said"}).to_string();
    assert_eq!(service.post(&binary.disconnect(customer), &[header, ("prefer", "wait=5")], &reason).await.0, 200);
    assert_eq!(service.post(&format!("{}?dryRun=true", binary.disconnect(agent)), &[header], "").await.0, 200);
    until(async || records(&service, &auditor, "").await.len() == 2).await;

    let found =
        records(&service, &auditor, &format!("?participant={}&caller=ivr", customer.to_string().to_uppercase())).await;
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0]["outcome"], &found[0]["instance"]), (&json!("disconnected"), &json!("one")));
    assert_eq!(records(&service, &auditor, "?outcome=would_disconnect&since=1h").await.len(), 1);
    assert_eq!(records(&service, &auditor, "?until=2020-01-01").await.len(), 0);
    assert_eq!(read(&service, &ivr, "", "*/*").await.0, 403, "another permission");
    for wrong in [
        "?conversation=",
        "?conversation=7",
        "?participant=ann",
        "?job=1",
        "?since=yesterday",
        "?cursor=x",
        "?limit=5",
        "?caller=a&caller=b",
    ] {
        assert_eq!(read(&service, &auditor, wrong, "*/*").await.0, 400, "{wrong}");
    }
    let (status, csv) = read(&service, &auditor, "", "text/csv").await;
    assert_eq!((status, csv.lines().count()), (200, 3), "{csv}");
    assert!(csv.contains("\"'=fraud, he said\""), "{csv}");
    until(async || records(&service, &auditor, "?outcome=exported").await.len() == 1).await;
    let of_one = records(&service, &auditor, &format!("?participant={customer}")).await;
    assert_eq!(of_one.len(), 1, "no record without the participant: {of_one:?}");
    assert!(read(&service, &auditor, "", "text/csv;q=0.1, application/json").await.1.starts_with("{\"ok\""));
    let lines = read(&service, &auditor, "?outcome=disconnected", "application/json;q=0, application/jsonl").await.1;
    assert_eq!(serde_json::from_str::<Value>(lines.trim()).unwrap()["caller"], "key:ivr");

    // Beside the running service, and after it.
    for _ in 0..2 {
        let printed = binary.run(&["audit", "--json", "--caller", "ivr"], &environment).await;
        let printed = String::from_utf8(printed.stdout).unwrap();
        assert_eq!(printed.lines().count(), 2, "{printed}");
        let cid = binary.conference.id.to_string();
        let explained = binary.run(&["explain", &cid, &customer.to_string()], &environment).await;
        let explained = String::from_utf8(explained.stdout).unwrap();
        assert!(explained.contains("disconnected, seen"), "{explained}");
        if service.is_running() {
            assert_eq!(service.stop().await, Some(0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guarded_key_sees_its_own_records_alone_whatever_it_asks_for() {
    let binary = Binary::new().await;
    let (ivr, _) = keys(&binary);
    let guarded = hangup::callers::new_key("guarded").unwrap();
    let path = binary.path("keys.toml");
    let limited = guarded.toml.replace("\"read\"]", "\"read\", \"audit\"]\npurposes = [\"agent\"]");
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + "\n" + &limited).unwrap();
    let service = binary.serve(&[], &[("HANGUP__AUTH__KEYS_FILE", &text(&path))]).await;
    let disconnect = async |purpose: &str, key: &str| {
        service.post(&binary.disconnect(binary.who(purpose)), &[("x-api-key", key)], "").await.0
    };
    assert_eq!(disconnect("customer", &ivr).await, 200);
    assert_eq!(disconnect("agent", &guarded.text).await, 200);
    until(async || records(&service, &guarded.text, "").await.len() == 1).await;
    assert_eq!(records(&service, &guarded.text, "?caller=guarded").await.len(), 1);
    for another in ["?caller=ivr", "?caller=key:ivr", "?caller=nobody"] {
        assert_eq!(records(&service, &guarded.text, another).await, Vec::<Value>::new(), "{another}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_cannot_be_read_is_said_so_and_leaves_no_record_of_an_export() {
    let binary = Binary::new().await;
    let (ivr, auditor) = keys(&binary);
    let (file, lines) = (text(&binary.path("keys.toml")), binary.path("audit.jsonl"));
    let environment = [
        ("HANGUP__AUTH__KEYS_FILE", file.as_str()),
        ("HANGUP__AUDIT__TARGET", &text(&lines)),
        ("HANGUP__STORE__URL", "postgres://app@127.0.0.1:1/none"),
    ];
    let mut service = binary.serve(&[], &environment).await;
    for accept in ["application/json", "text/csv"] {
        let (status, body) = read(&service, &auditor, "", accept).await;
        assert!(status == 503 && body.contains("the audit is kept in the store"), "{body}");
    }
    let reads = || service.events("request").into_iter().filter(|line| line["route"] == "/audit").collect::<Vec<_>>();
    until(async || reads().len() == 2).await;
    for line in reads() {
        assert!(line["cause"].as_str().unwrap().contains("the store is out of reach: "), "{line}");
    }
    let header = [("x-api-key", ivr.as_str())];
    assert_eq!(service.post(&binary.disconnect(binary.who("customer")), &header, "").await.0, 200);
    assert_eq!(service.stop().await, Some(0));
    let written = std::fs::read_to_string(&lines).unwrap();
    assert!(written.contains("\"event\":\"disconnect\"") && !written.contains("exported"), "{written}");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_nothing_is_recorded_is_told_from_that_nothing_happened() {
    let binary = Binary::new().await;
    let (ivr, auditor) = keys(&binary);
    let (file, lines) = (text(&binary.path("keys.toml")), text(&binary.path("audit.jsonl")));
    for (target, recording) in [("off", false), (&*lines, false), (&*format!("store,{lines}"), true)] {
        let environment = [("HANGUP__AUTH__KEYS_FILE", file.as_str()), ("HANGUP__AUDIT__TARGET", target)];
        let service = binary.serve(&[], &environment).await;
        let (status, body) = read(&service, &auditor, "", "application/json").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["recording"]), (200, &json!(recording)), "{target}");
    }
    drop(ivr);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_stay_small_and_lead_through_all_records() {
    let binary = Binary::new().await;
    let service = binary.serve(&[], &[("HANGUP__AUTH__ANONYMOUS_PERMISSIONS", "disconnect,audit")]).await;
    let path = format!("{}?dryRun=true", binary.disconnect(binary.who("agent")));
    for _ in 0..130 {
        assert_eq!(service.post(&path, &[], "").await.0, 200);
    }
    until(async || service.metric("hangup_audit_records_total").await >= 130.0).await;
    let mut seen = std::collections::BTreeSet::new();
    let mut query = String::new();
    for page in 0.. {
        let body = service.get(&format!("/audit{query}")).await.1;
        assert!(body.len() < 32 * 1024 && page < 10, "{}", body.len());
        let body: Value = serde_json::from_str(&body).unwrap();
        let ids = body["records"].as_array().unwrap().iter().map(|record| record["requestId"].to_string());
        let before = seen.len();
        seen.extend(ids);
        assert!(seen.len() > before);
        let Some(cursor) = body["cursor"].as_str() else { break };
        query = format!("?cursor={cursor}");
    }
    assert_eq!(seen.len(), 130);
}

#[tokio::test(flavor = "multi_thread")]
async fn redacted_records_name_no_addresses() {
    let binary = Binary::new().await;
    let environment =
        [("HANGUP__AUTH__ANONYMOUS_PERMISSIONS", "disconnect,audit"), ("HANGUP__AUDIT__REDACT", "addresses,names")];
    let service = binary.serve(&[], &environment).await;
    assert_eq!(service.post(&binary.disconnect(binary.who("agent")), &[("x-actor", "alice")], "").await.0, 200);
    until(async || service.get("/audit").await.1.contains("disconnect\"")).await;
    let body = service.get("/audit").await.1;
    assert!(!body.contains("127.0.0.1") && !body.contains("alice"), "{body}");
    assert!(body.contains("unverified:#"), "{body}");
}
