//! The span of a request, named and attributed by the semantic conventions.

use http::{Method, Uri};
use opentelemetry::trace::SpanKind;

use super::context::{RequestContext, RequestFacts};
use super::routes::is_probe;
use crate::telemetry::traces::Span;

/// Begins the span. Probes have none.
pub(super) fn begin(request: &RequestFacts, method: &Method, uri: &Uri) -> Span {
    if is_probe(request.route) {
        return Span::none();
    }
    request.trace.traces.span(SpanKind::Server, request.trace.traceparent.as_deref(), || {
        let attributes = vec![
            ("http.request.method", method.as_str().to_owned().into()),
            ("http.route", request.route.into()),
            ("url.path", uri.path().to_owned().into()),
            ("url.scheme", uri.scheme_str().unwrap_or("http").to_owned().into()),
            ("client.address", request.addr.to_string().into()),
            ("hangup.request_id", request.request_id.to_string().into()),
        ];
        (format!("{method} {}", request.route), attributes)
    })
}

/// Adds what became of the request.
pub(super) fn end(span: &mut Span, context: &RequestContext, status: u16) {
    if !span.is_exported() {
        return;
    }
    let log = context.log();
    span.set("http.response.status_code", Some(i64::from(status)));
    span.set("hangup.caller", log.caller.as_deref().map(str::to_owned));
    span.set("hangup.conversation_id", context.conversation.map(|id| id.to_string()));
    span.set("hangup.participant_id", context.participant.map(|id| id.to_string()));
    span.set("hangup.outcome", log.outcome);
    span.set("hangup.code", log.code);
    span.set("hangup.correlation_id", log.correlation_id.as_deref().map(str::to_owned));
    // A caller's mistake is not an error of the server.
    if status >= 500 {
        span.failed(log.code.unwrap_or("internal"));
    }
}
