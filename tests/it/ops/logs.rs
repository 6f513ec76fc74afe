//! The log, and what the service does when no one reads it.

use serde_json::json;

use crate::shared::free_addr;
use crate::support::process::{Binary, text};
use crate::support::until;

#[tokio::test(flavor = "multi_thread")]
async fn the_line_of_a_failed_call_names_its_cause() {
    let binary = Binary::new().await;
    let mut service = binary.serve(&[], &[("HANGUP__DISCONNECT__DEADLINE", "2s")]).await;
    binary.fault(r#"{"on":"disconnect","action":{"answer":{"status":503,"code":"service.unavailable"}}}"#).await;
    let customer = binary.who("customer");
    let headers =
        [("x-request-id", "req-7"), ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
    assert_eq!(service.post(&binary.disconnect(customer), &headers, "").await.0, 503);
    let line = service.line("request").await;
    assert_eq!(line["route"], "/conversations/{conversationId}/participants/{participantId}/disconnect");
    assert_eq!((&line["status"], &line["code"]), (&json!(503), &json!("upstream_unavailable")));
    assert_eq!((&line["request_id"], &line["participant_id"]), (&json!("req-7"), &json!(customer.to_string())));
    assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(line["upstream_status"], 503);
    assert!(line["attempts"].as_u64().unwrap() >= 2, "{line}");
    assert!(line["duration_ms"].is_number() && line["correlation_id"].is_string() && line["caller"].is_string());
    assert!(line["cause"].as_str().unwrap().contains("Genesys Cloud answers with errors"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_named_as_the_cause() {
    let binary = Binary::new().await;
    let environment = [("HANGUP__GENESYS__API_URL", "http://127.0.0.1:1"), ("HANGUP__DISCONNECT__DEADLINE", "5s")];
    let service = binary.serve(&[], &environment).await;
    until(|| async { service.get("/readyz").await.0 == 200 }).await;
    assert_eq!(service.post(&binary.disconnect(binary.who("customer")), &[], "").await.0, 503);
    // Probes that say no leave a line as well.
    let disconnects = || service.events("request").into_iter().find(|line| line["route"] != "/readyz");
    until(|| async { disconnects().is_some() }).await;
    let line = disconnects().unwrap();
    assert!(line["cause"].as_str().unwrap().contains("refused"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrapup_that_came_too_late_to_be_set_is_logged() {
    let binary = Binary::new().await;
    let mut service = binary.serve(&[], &[]).await;
    let agent = binary.who("agent");
    let path = format!("{}?wait=5", binary.disconnect(agent));
    assert_eq!(service.post(&path, &[], "").await.0, 200);
    assert!(service.events("wrapup_not_set").is_empty(), "nothing was to be set");
    let wrapup = json!({"wrapup": {"code": "b0000000-0000-4000-8000-000000000001"}}).to_string();
    let (status, body) = service.post(&binary.disconnect(agent), &[("x-request-id", "late")], &wrapup).await;
    assert!(status == 200 && body.contains("already_disconnected"), "{status} {body}");
    let line = service.line("wrapup_not_set").await;
    assert_eq!((&line["level"], &line["request_id"]), (&json!("WARN"), &json!("late")), "{line}");
    assert_eq!(line["participant_id"], agent.to_string());
    assert!(line["upstream_code"].is_string(), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_of_the_console_leaves_a_line_and_what_it_asks_of_the_api_has_the_same_id() {
    let stand = Binary::new().await;
    let service = stand.serve(&[], &[]).await;
    for (path, status) in [("/console", 200), ("/console/jobs/list?limit=3", 200), ("/console/nothing", 404)] {
        assert_eq!(service.get(path).await.0, status, "{path}");
    }
    assert_eq!(service.post("/console/jobs", &[], "").await.0, 405);
    let pages = || service.events("page");
    until(async || pages().len() == 3).await;
    let told: Vec<_> = pages().iter().map(|line| json!([line["method"], line["route"], line["status"]])).collect();
    let list = json!(["GET", "/console/jobs/list", 200]);
    assert_eq!(told, [json!(["GET", "/console", 200]), list, json!(["POST", "/console/jobs", 405])]);
    for line in pages() {
        assert!(
            line["caller_addr"].is_string() && line["duration_ms"].is_number() && line["cause"].is_null(),
            "{line}"
        );
    }
    let id = pages()[1]["request_id"].clone();
    let asked = service.events("request").into_iter().find(|line| line["request_id"] == id);
    assert_eq!(asked.map(|line| line["route"].clone()), Some(json!("/jobs")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_stalls_nothing_and_is_counted() {
    let binary = Binary::new().await;
    let file = text(&binary.path("audit.jsonl"));
    let bind = free_addr().to_string();
    let environment = [
        ("HANGUP__SERVER__BIND", bind.as_str()),
        ("HANGUP__AUDIT__TARGET", file.as_str()),
        ("HANGUP__TELEMETRY__LOG_LEVEL", "hangup=trace"),
    ];
    // A pipe that is never read is full after 64 KiB.
    let mut service = binary.launch(&environment).blocked_stdout().start().await;
    until(async || binary.client.get(format!("http://{bind}/readyz")).send().await.is_ok_and(|a| a.status() == 200))
        .await;
    // The pipe and the queue fill.
    let floods: Vec<_> = (0..16)
        .map(|_| {
            let (client, url) = (binary.client.clone(), format!("{}/nothing/here", service.url));
            tokio::spawn(async move {
                for _ in 0..1200 {
                    assert_eq!(client.get(&url).send().await.unwrap().status(), 404);
                }
            })
        })
        .collect();
    for flood in floods {
        flood.await.unwrap();
    }
    assert!(service.metric("hangup_log_lines_dropped").await > 0.0);
    assert_eq!(service.post(&binary.disconnect(binary.who("customer")), &[], "").await.0, 200);
    assert_eq!(service.stop().await, Some(0));
}
