//! Spans, and a collector that is there or not.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;

use crate::ops::harness::{Stand, until};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A collector on a free port, and what it was sent: protobuf, whose texts and ids can be found as they are.
async fn collector() -> (String, Arc<Mutex<Vec<u8>>>) {
    let taken: Arc<Mutex<Vec<u8>>> = Arc::default();
    let into = Arc::clone(&taken);
    let router = Router::new()
        .route("/v1/traces", post(move |body: Bytes| async move { into.lock().unwrap().extend_from_slice(&body) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let settings = hangup::server::ServeSettings::new(&hangup::config::Config::defaults().server);
    let never = tokio_util::sync::CancellationToken::new();
    tokio::spawn(hangup::server::serve(listener, router, settings, never.clone(), never));
    (url, taken)
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_its_upstream_attempts_are_spans_of_the_callers_trace() {
    let stand = Stand::new().await;
    let (url, taken) = collector().await;
    let mut service = stand.serve(&[], &[("HANGUP__TELEMETRY__OTLP_ENDPOINT", url.as_str())]).await;
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let headers = [("traceparent", traceparent.as_str()), ("x-request-id", "req-of-the-trace")];
    assert_eq!(service.post(&stand.disconnect(stand.who("customer")), &headers, "").await.0, 200);
    assert_eq!(service.line("request").await["trace_id"], TRACE);
    // What waits is exported before the end.
    assert_eq!(service.stop().await, Some(0));
    let taken = taken.lock().unwrap();
    let trace: Vec<u8> = (0..16).map(|n| u8::from_str_radix(&TRACE[2 * n..2 * n + 2], 16).unwrap()).collect();
    let parent = [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31];
    let texts = [
        "POST /conversations/{conversationId}/participants/{participantId}/disconnect",
        "PATCH participant_state",
        "http.route",
        "http.request.method",
        "http.response.status_code",
        "req-of-the-trace",
        "service.name",
    ];
    for text in texts {
        assert!(holds(&taken, text.as_bytes()), "{text} was not exported");
    }
    assert!(holds(&taken, &trace) && holds(&taken, &parent), "below the caller's span");
    assert!(!holds(&taken, b"/readyz") && !holds(&taken, b"sandbox-secret") && !holds(&taken, b"Bearer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_collector_costs_no_request_and_is_said_once_and_counted() {
    let stand = Stand::new().await;
    let environment = [("HANGUP__TELEMETRY__OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let mut service = stand.serve(&[], &environment).await;
    for purpose in ["customer", "agent"] {
        assert_eq!(service.post(&stand.disconnect(stand.who(purpose)), &[], "").await.0, 200);
        until(|| async { service.metric("hangup_trace_spans_lost_total").await > 0.0 }).await;
    }
    assert_eq!(service.stop().await, Some(0));
    assert_eq!(service.lines.events("traces_failing").len(), 1, "said once");
}
