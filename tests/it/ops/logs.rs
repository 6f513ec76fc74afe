//! The log, and what becomes of the service when nobody takes it.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::shared::free_addr;
use crate::support::process::{Binary, text};
use crate::support::until;

#[tokio::test(flavor = "multi_thread")]
async fn the_line_of_a_failed_call_names_its_cause() {
    let stand = Binary::new().await;
    let mut service = stand.serve(&[], &[("HANGUP__DISCONNECT__DEADLINE", "2s")]).await;
    stand.fault(r#"{"on":"disconnect","action":{"answer":{"status":503,"code":"service.unavailable"}}}"#).await;
    let customer = stand.who("customer");
    let headers =
        [("x-request-id", "req-7"), ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
    assert_eq!(service.post(&stand.disconnect(customer), &headers, "").await.0, 503);
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
    let stand = Binary::new().await;
    let environment = [("HANGUP__GENESYS__API_URL", "http://127.0.0.1:1"), ("HANGUP__DISCONNECT__DEADLINE", "5s")];
    let service = stand.serve(&[], &environment).await;
    until(|| async { service.get("/readyz").await.0 == 200 }).await;
    assert_eq!(service.post(&stand.disconnect(stand.who("customer")), &[], "").await.0, 503);
    // Probes that say no leave a line as well.
    let disconnects = || service.events("request").into_iter().find(|line| line["route"] != "/readyz");
    until(|| async { disconnects().is_some() }).await;
    let line = disconnects().unwrap();
    assert!(line["cause"].as_str().unwrap().contains("refused"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_stalls_nothing_and_is_counted() {
    let stand = Binary::new().await;
    let file = text(&stand.path("audit.jsonl"));
    let bind = free_addr().to_string();
    let environment = [
        ("HANGUP__SERVER__BIND", bind.as_str()),
        ("HANGUP__AUDIT__TARGET", file.as_str()),
        ("HANGUP__TELEMETRY__LOG_LEVEL", "hangup=trace"),
    ];
    // Stdout is a pipe that is never read: full after 64 KiB.
    let mut child = stand.command(&["serve"], &environment).stdout(Stdio::piped()).spawn().unwrap();
    let url = format!("http://{bind}");
    until(|| async { stand.client.get(format!("{url}/readyz")).send().await.is_ok_and(|a| a.status() == 200) }).await;
    // The pipe and the queue fill.
    let floods: Vec<_> = (0..16)
        .map(|_| {
            let (client, url) = (stand.client.clone(), format!("{url}/nothing/here"));
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
    let metrics = stand.client.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
    let dropped = metrics.lines().find_map(|line| line.strip_prefix("hangup_log_lines_dropped ")).unwrap();
    assert!(dropped.parse::<u64>().unwrap() > 0, "{dropped}");
    let disconnect = format!("{url}{}", stand.disconnect(stand.who("customer")));
    assert_eq!(stand.client.post(disconnect).send().await.unwrap().status(), 200);
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    for _ in 0..2000 {
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(0));
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    child.kill().unwrap();
    panic!("a log that nobody reads keeps it from ending");
}
