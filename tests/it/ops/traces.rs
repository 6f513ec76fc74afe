//! Spans, and a collector that is there or not.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::support::process::Binary;
use crate::support::until;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLERS_SPAN: &str = "b7ad6b7169203331";

/// Everything that was exported.
type Exported = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

/// A collector on a free port, and what it was sent.
async fn collector() -> (String, Exported) {
    let exported = Exported::default();
    let into = Arc::clone(&exported);
    let take = move |body: Bytes| async move {
        into.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
    };
    let router = Router::new().route("/v1/traces", post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let settings = hangup::server::ServeSettings::new(&hangup::config::Config::defaults().server);
    let never = tokio_util::sync::CancellationToken::new();
    tokio::spawn(hangup::server::serve(listener, router, settings, never.clone(), never));
    (url, exported)
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value of an attribute, as text.
fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match &found.value {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => Some(text.clone()),
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => Some(number.to_string()),
        other => panic!("{key} is {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_its_upstream_attempts_are_spans_of_the_callers_trace() {
    let binary = Binary::new().await;
    let (url, exported) = collector().await;
    let mut service = binary.serve(&[], &[("HANGUP__TELEMETRY__OTLP_ENDPOINT", url.as_str())]).await;
    let traceparent = format!("00-{TRACE}-{CALLERS_SPAN}-01");
    let headers = [("traceparent", traceparent.as_str()), ("x-request-id", "req-of-the-trace")];
    assert_eq!(service.post(&binary.disconnect(binary.who("customer")), &headers, "").await.0, 200);
    assert_eq!(service.line("request").await["trace_id"], TRACE);
    // What waits is exported before the end.
    assert_eq!(service.stop().await, Some(0));

    let exported = exported.lock().unwrap();
    let resources: Vec<_> = exported.iter().flat_map(|request| &request.resource_spans).collect();
    for resource in &resources {
        let name = attribute(&resource.resource.as_ref().unwrap().attributes, "service.name");
        assert_eq!(name.as_deref(), Some("hangup"));
    }
    let spans = resources.iter().flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans);
    let spans: Vec<&Span> = spans.filter(|span| hex(&span.trace_id) == TRACE).collect();
    let named = |name: &str| {
        *spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}: {spans:?}"))
    };

    let route = "/conversations/{conversationId}/participants/{participantId}/disconnect";
    let request = named(&format!("POST {route}"));
    assert_eq!(hex(&request.parent_span_id), CALLERS_SPAN);
    let of_request = |key| attribute(&request.attributes, key);
    assert_eq!(of_request("http.route").as_deref(), Some(route));
    assert_eq!(of_request("http.request.method").as_deref(), Some("POST"));
    assert_eq!(of_request("http.response.status_code").as_deref(), Some("200"));
    let texts = request.attributes.iter().filter_map(|found| attribute(&request.attributes, &found.key));
    assert!(texts.into_iter().any(|text| text == "req-of-the-trace"), "{:?}", request.attributes);

    let attempt = named("PATCH participant_state");
    assert_eq!(attempt.parent_span_id, request.span_id, "the attempt is a child of the request");
    assert_eq!(attribute(&attempt.attributes, "http.response.status_code").as_deref(), Some("202"));

    // Neither probes nor anything secret.
    let all = format!("{exported:?}");
    assert!(!all.contains("/readyz") && !all.contains("sandbox-secret") && !all.contains("Bearer"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_collector_costs_no_request_and_is_said_once_and_counted() {
    let binary = Binary::new().await;
    let environment = [("HANGUP__TELEMETRY__OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let mut service = binary.serve(&[], &environment).await;
    for purpose in ["customer", "agent"] {
        assert_eq!(service.post(&binary.disconnect(binary.who(purpose)), &[], "").await.0, 200);
        until(|| async { service.metric("hangup_trace_spans_lost_total").await > 0.0 }).await;
    }
    assert_eq!(service.stop().await, Some(0));
    assert_eq!(service.events("traces_failing").len(), 1, "said once");
}
