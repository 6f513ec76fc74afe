//! Traces by OpenTelemetry: a span for each request and one for each upstream attempt, exported by OTLP over HTTP.
//!
//! There is no global tracer and no implicit current span: a span's context is passed on as its W3C `traceparent`,
//! which goes upstream anyway. Spans wait in a bounded queue: if the collector is down, spans are lost, but no request
//! is delayed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderName;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter};

/// Longest wait for the collector.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait at the end of the process for spans that have not been exported.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Header with the caller's trace, and with ours towards the upstream: <https://www.w3.org/TR/trace-context/>.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Where spans go. Cheap to clone; [`Traces::default`] is off.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<Arc<TracesInner>>);

#[derive(Debug)]
struct TracesInner {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    health: Arc<ExportHealth>,
}

/// How many spans were lost, and whether the collector is failing, so that an episode of failures is logged once.
#[derive(Debug, Default)]
struct ExportHealth {
    lost: AtomicU64,
    failing: AtomicBool,
}

impl Traces {
    /// Exports to the collector at `endpoint`, for example `http://127.0.0.1:4318`; off without one.
    ///
    /// # Errors
    /// An endpoint that is not a URL, or a system that cannot start a thread.
    pub fn open(endpoint: Option<&str>) -> Result<Self, String> {
        let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.is_empty()) else { return Ok(Self(None)) };
        let wrong = |cause: &dyn std::fmt::Display| {
            format!("telemetry.otlp_endpoint: cannot be used ({cause}); write it as \"http://127.0.0.1:4318\"")
        };
        let url = traces_url(endpoint).ok_or_else(|| wrong(&"it is not a URL with a host"))?;
        // A blocking client has a runtime of its own, and must not be built inside ours.
        let client = std::thread::spawn(|| {
            reqwest::blocking::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(EXPORT_TIMEOUT)
                .build()
        });
        let client = client.join().map_err(|_| wrong(&"no HTTP client"))?.map_err(|e| wrong(&e.without_url()))?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(url)
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(|e| wrong(&e))?;
        let health = Arc::new(ExportHealth::default());
        let resource = Resource::builder()
            .with_service_name("hangup")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_batch_exporter(WatchedExporter { exporter, health: Arc::clone(&health) })
            .build();
        let tracer = provider.tracer("hangup");
        Ok(Self(Some(Arc::new(TracesInner { provider, tracer, health }))))
    }

    /// Begins a span below `parent`, which is a `traceparent`, or a new trace without one. Calls `describe` for the
    /// name and the attributes only if spans are exported.
    #[must_use]
    pub(crate) fn span(
        &self,
        kind: SpanKind,
        parent: Option<&str>,
        describe: impl FnOnce() -> (String, Vec<(&'static str, Value)>),
    ) -> Span {
        let Some(inner) = &self.0 else { return Span(None) };
        let (name, attributes) = describe();
        let attributes = attributes.into_iter().map(|(name, value)| KeyValue::new(name, value));
        let builder = inner.tracer.span_builder(name).with_kind(kind).with_attributes(attributes);
        let parent = parent.and_then(span_context);
        let parent = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        Span(Some(Box::new(builder.start_with_context(&inner.tracer, &parent))))
    }

    /// Exports the spans that wait, for a bounded time. Call last.
    pub async fn close(&self) {
        let Some(inner) = self.0.clone() else { return };
        // This blocks, and drops the blocking client; neither may happen on a worker of the runtime.
        let closing = tokio::task::spawn_blocking(move || inner.provider.shutdown_with_timeout(LAST_WAIT));
        let _ = tokio::time::timeout(LAST_WAIT * 2, closing).await;
    }

    /// Spans that the collector did not take.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.as_ref().map_or(0, |inner| inner.health.lost.load(Ordering::Relaxed))
    }
}

/// A span that ends when it is dropped. Boxed, because it is large and most requests have none.
#[derive(Debug)]
pub(crate) struct Span(Option<Box<opentelemetry_sdk::trace::Span>>);

impl Span {
    /// No span.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Whether it is exported.
    pub(crate) fn is_exported(&self) -> bool {
        self.0.is_some()
    }

    /// The context to pass on, with this span as parent.
    pub(crate) fn traceparent(&self) -> Option<Arc<str>> {
        let context = self.0.as_ref()?.span_context();
        let (trace, span) = (context.trace_id(), context.span_id());
        Some(format!("00-{trace}-{span}-{:02x}", context.trace_flags().to_u8()).into())
    }

    /// Adds an attribute, if it has a value.
    pub(crate) fn set(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        if let (Some(span), Some(value)) = (&mut self.0, value) {
            span.set_attribute(KeyValue::new(name, value));
        }
    }

    /// Marks it as failed; `what` is a word from a small set.
    pub(crate) fn failed(&mut self, what: &str) {
        self.set("error.type", Some(what.to_owned()));
        if let Some(span) = &mut self.0 {
            span.set_status(Status::error(what.to_owned()));
        }
    }
}

/// The parent of an upstream attempt's span, and what exports the span. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Parent {
    pub(crate) traces: Traces,
    pub(crate) traceparent: Option<Arc<str>>,
}

/// Counts lost spans, and logs when the collector starts and stops failing.
#[derive(Debug)]
struct WatchedExporter {
    exporter: opentelemetry_otlp::SpanExporter,
    health: Arc<ExportHealth>,
}

impl SpanExporter for WatchedExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        match &result {
            Err(cause) => {
                self.health.lost.fetch_add(spans, Ordering::Relaxed);
                if !self.health.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        event = "traces_failing", cause = %cause,
                        "the collector takes no spans, which are lost; check telemetry.otlp_endpoint"
                    );
                }
            }
            Ok(()) => {
                if self.health.failing.swap(false, Ordering::Relaxed) {
                    let lost = self.health.lost.load(Ordering::Relaxed);
                    tracing::info!(event = "traces_recovered", lost_total = lost, "the collector takes spans again");
                }
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// The URL for traces: an endpoint without a path gets the one that OTLP defines.
fn traces_url(endpoint: &str) -> Option<String> {
    let uri: http::Uri = endpoint.parse().ok()?;
    let named = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty());
    let endpoint = endpoint.trim_end_matches('/');
    let suffix = if endpoint.ends_with("/v1/traces") { "" } else { "/v1/traces" };
    named.then(|| format!("{endpoint}{suffix}"))
}

/// Reads a `traceparent`.
fn span_context(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-');
    let (_version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_gets_the_path_of_traces_unless_it_has_it() {
        assert_eq!(traces_url("http://127.0.0.1:4318").as_deref(), Some("http://127.0.0.1:4318/v1/traces"));
        assert_eq!(traces_url("https://c/otlp/v1/traces").as_deref(), Some("https://c/otlp/v1/traces"));
        assert_eq!(traces_url("https://c/otlp/").as_deref(), Some("https://c/otlp/v1/traces"));
        for wrong in ["c:4317", "grpc://c", "http://", "nonsense"] {
            assert_eq!(traces_url(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_traceparent_is_read_unless_it_is_all_zero() {
        let context = span_context("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
        assert_eq!(context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert!(context.is_sampled() && context.is_remote());
        assert!(span_context("00-00000000000000000000000000000000-b7ad6b7169203331-01").is_none());
        assert!(span_context("00-xyz-b7ad6b7169203331-01").is_none());
    }

    #[test]
    fn without_an_endpoint_nothing_is_traced() {
        let traces = Traces::open(None).unwrap();
        let span = traces.span(SpanKind::Server, None, || unreachable!("nobody sees it"));
        assert_eq!(span.traceparent(), None);
        assert_eq!(traces.lost(), 0);
    }
}
