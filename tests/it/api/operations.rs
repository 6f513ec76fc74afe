//! Probes, metrics, modes: what operators see, and where.

use hangup::config::Mode;
use hangup::sandbox::{Fault, On};
use reqwest::Method;
use serde_json::json;

use crate::shared::wire::request;
use crate::support::{TestApp, s, until};

#[tokio::test]
async fn readiness_says_why_not() {
    let service = TestApp::sockets().config(|c| c.genesys.client_secret = Some("wrong".into())).start().await;
    assert_eq!(service.get("/livez").await.status, 200);
    let reasons = loop {
        let answer = service.get("/readyz").await;
        assert_eq!((answer.status, answer.get("ok")), (503, json!(false)));
        let reasons = answer.get("reasons").to_string();
        if !reasons.contains("not answered") {
            break reasons;
        }
    };
    assert!(reasons.contains("genesys.client_secret") && reasons.contains("genesys.region"), "{reasons}");
    let refused = service.post(&service.path_of(service.who("agent"))).send().await;
    assert_eq!(refused.verdict(), "503 upstream_rejected_credentials");
    assert_eq!(refused.get("retryable"), false);
    assert!(!refused.header("retry-after").is_empty());
}

#[tokio::test]
async fn operations_are_on_the_admin_port_alone_when_there_is_one() {
    let service = TestApp::sockets().config(|c| c.admin.bind = Some("127.0.0.1:0".parse().unwrap())).start().await;
    for path in ["/livez", "/metrics"] {
        assert_eq!(service.get(path).await.verdict(), "404 no_such_route", "{path}");
        assert_eq!(service.admin(Method::GET, path).send().await.status, 200, "{path}");
    }
    let disconnect = service.path_of(service.who("agent"));
    assert_eq!(service.admin(Method::POST, &disconnect).send().await.verdict(), "404 no_such_route");
}

#[tokio::test]
async fn metrics_count_disconnects_by_outcome_and_name_no_ids() {
    let service = TestApp::sockets().start().await;
    assert_eq!(service.post(&service.path_of(service.who("agent"))).send().await.status, 200);
    let text = service.get("/metrics").await.text;
    for line in [
        r#"hangup_disconnects_total{outcome="accepted"} 1"#,
        r#"hangup_token_renewals_total{result="granted"} 1"#,
        "hangup_token_usable 1",
        "hangup_pace_allowed 300",
    ] {
        assert!(text.contains(line), "no {line} in\n{text}");
    }
    assert!(!text.contains(&service.conference.id.to_string()));
}

#[tokio::test]
async fn observe_mode_is_switched_on_the_admin_port_and_seen_everywhere() {
    let service = TestApp::sockets()
        .config(|c| {
            c.admin.bind = Some("127.0.0.1:0".parse().unwrap());
            c.disconnect.mode = Mode::Observe;
        })
        .start()
        .await;
    let path = service.path_of(service.who("agent"));
    assert_eq!(service.post(&path).send().await.verdict(), "200 would_disconnect");
    assert!(service.admin(Method::GET, "/readyz").send().await.get("reasons").to_string().contains("observe"));
    assert!(service.admin(Method::GET, "/metrics").send().await.text.contains("hangup_observe_mode 1"));
    assert_eq!(
        service.admin(Method::PUT, "/mode").json(&json!({"mode": "sleep"})).send().await.verdict(),
        "400 invalid_body"
    );
    assert_eq!(
        service.admin(Method::PUT, "/mode").json(&json!({"mode": "enforce"})).send().await.get("mode"),
        "enforce"
    );
    assert_eq!(service.remain().await.len(), 4);
    assert_eq!(service.post(&path).send().await.verdict(), "200 accepted");
}

#[tokio::test]
async fn a_caller_that_hangs_up_stops_nothing() {
    let service = TestApp::sockets().start().await;
    let slow = Fault::latency(On::Disconnect, s(1));
    service.sandbox.set_faults(vec![slow]).unwrap();
    // Once the login is answered, nothing goes upstream but the disconnect.
    until(async || service.sandbox.counts().status(200) == 1).await;
    let mut caller = service.wire().await;
    caller.send(&request("POST", &service.path_of(service.who("agent")), "", None)).await.unwrap();
    until(async || service.sandbox.counts().in_flight == 1).await;
    assert_eq!(service.there().len(), 4, "it is still under way");
    drop(caller);
    until(async || service.there().len() == 3).await;
}
