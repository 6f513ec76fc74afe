//! Trace: counts, times and logs each attempt that is sent.

use std::sync::Arc;

use opentelemetry::trace::SpanKind;
use tokio::time::Instant;

use super::error::CallError;
use super::layer::{CallResult, Next, Step};
use super::metrics::UpstreamMetrics;
use super::request::Call;
use crate::telemetry::traces::Span;

/// Sees every attempt, just before and after the transport.
#[derive(Debug)]
pub struct Trace {
    metrics: Arc<UpstreamMetrics>,
}

impl Trace {
    /// Counts into these metrics.
    #[must_use]
    pub fn new(metrics: Arc<UpstreamMetrics>) -> Self {
        Self { metrics }
    }
}

impl Step for Trace {
    async fn run(&self, mut call: Call, mut next: impl Next) -> CallResult {
        if call.operation.disconnects() {
            call.context.count_attempt();
        }
        let (operation, context) = (call.operation, Arc::clone(&call.context));
        let span = span(&call);
        call.traceparent = span.traceparent().or_else(|| context.requester.trace.traceparent.clone());
        let metrics = Arc::clone(&self.metrics);
        let mut record = AttemptRecord { metrics, operation, started: Instant::now(), result: "cut_off", span };
        let outcome = next.call(call).await;
        record.result = match &outcome {
            Ok(answer) => status_class(answer.status.as_u16()),
            Err(CallError::Connect(_)) => "connect",
            Err(CallError::ConnectionLost(_)) => "connection_lost",
            Err(_) => "broken_answer",
        };
        if let Ok(answer) = &outcome
            && record.span.is_exported()
        {
            record.span.set("http.response.status_code", Some(i64::from(answer.status.as_u16())));
            record.span.set("hangup.correlation_id", answer.correlation_id.as_deref().map(str::to_owned));
        }
        match &outcome {
            Ok(answer) => tracing::debug!(
                event = "upstream_attempt",
                request_id = &*context.requester.request_id,
                operation = operation.name(),
                upstream_status = answer.status.as_u16(),
                correlation_id = answer.correlation_id.as_deref(),
                duration_ms = record.started.elapsed().as_millis() as u64,
                "upstream answered"
            ),
            Err(cause) => tracing::debug!(
                event = "upstream_attempt", request_id = &*context.requester.request_id, operation = operation.name(),
                cause = %cause, duration_ms = record.started.elapsed().as_millis() as u64, "upstream gave no answer"
            ),
        }
        outcome
    }
}

/// The span of one attempt, below the request that it is made for.
fn span(call: &Call) -> Span {
    let requester = &call.context.requester;
    let trace = &requester.trace;
    trace.traces.span(SpanKind::Client, trace.traceparent.as_deref(), || {
        let attributes = vec![
            ("http.request.method", call.method.as_str().to_owned().into()),
            ("url.path", String::from_utf8_lossy(&call.path).into_owned().into()),
            ("hangup.operation", call.operation.name().into()),
            ("hangup.request_id", requester.request_id.to_string().into()),
        ];
        (format!("{} {}", call.method, call.operation.name()), attributes)
    })
}

/// Counts the attempt when it ends, also when it is cut off by its time-out.
struct AttemptRecord {
    metrics: Arc<UpstreamMetrics>,
    operation: super::request::Operation,
    started: Instant,
    result: &'static str,
    span: Span,
}

impl Drop for AttemptRecord {
    fn drop(&mut self) {
        self.metrics.attempt(self.operation, self.result, self.started.elapsed());
        // For a client, each refusal is an error of the call.
        if self.result != "2xx" {
            self.span.failed(self.result);
        }
    }
}

/// The `result` label: one of a fixed set, whatever the upstream answers.
fn status_class(status: u16) -> &'static str {
    match status {
        401 => "401",
        403 => "403",
        404 => "404",
        409 => "409",
        429 => "429",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genesys::metrics::ATTEMPT_RESULTS;

    #[test]
    fn every_status_has_a_result_that_is_counted_from_zero() {
        for status in 100..1000 {
            assert!(ATTEMPT_RESULTS.contains(&status_class(status)), "{status}");
        }
    }
}
