//! The outermost layer: gives each request an id, renders problems, and writes the one line about it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use opentelemetry::trace::SpanKind;
use tokio::time::Instant;

use super::App;
use super::answer::{Outgoing, render};
use super::audited;
use super::routes::label;
use super::upstream_form;
use crate::audit::{AuditScope, Source};
use crate::disconnect::outcome::Settled;
use crate::genesys::answer::{ALLOWED, CORRELATION_ID, COUNT, RESET};
use crate::genesys::whole_seconds;
use crate::ids::{self, ConversationId, ParticipantId};
use crate::json::push_address;
use crate::server::Peer;
use crate::telemetry::traces::{Parent, Span, TRACEPARENT};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// For the drop-in: what our own answers say in their bodies.
const OUTCOME: HeaderName = HeaderName::from_static("x-hangup-outcome");
const VERIFIED: HeaderName = HeaderName::from_static("x-hangup-verified");
/// Longest id that is taken over.
const LONGEST_ID: usize = 128;
/// Logged when the caller hung up before it was answered.
const CALLER_GONE: u16 = 499;

/// What handlers know and tell about their request. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    /// Taken over from the caller, or made.
    pub(super) request_id: Arc<str>,
    /// `ININ-Correlation-Id` that the caller sent.
    pub(super) correlation_id: Option<Arc<str>>,
    /// The trace that the upstream attempts of this request belong to: our span's, or the caller's as it is.
    pub(super) trace: Parent,
    /// The caller's address, behind the proxies that are trusted.
    pub(super) addr: IpAddr,
    /// Whether the listener is on loopback.
    pub(super) on_loopback: bool,
    /// Whether a trusted proxy handed the request on.
    pub(super) behind_proxy: bool,
    /// What the request leaves in the audit.
    pub(super) scope: AuditScope,
    note: Arc<Mutex<Note>>,
}

/// What the line about a request says beyond method, route and status.
#[derive(Debug, Default, Clone)]
pub(super) struct Note {
    pub(super) caller: Option<Arc<str>>,
    pub(super) conversation: Option<ConversationId>,
    pub(super) participant: Option<ParticipantId>,
    pub(super) outcome: Option<&'static str>,
    pub(super) verified: bool,
    pub(super) code: Option<&'static str>,
    pub(super) attempts: Option<u32>,
    pub(super) upstream_status: Option<u16>,
    pub(super) upstream_code: Option<String>,
    pub(super) correlation_id: Option<Arc<str>>,
    pub(super) cause: Option<String>,
}

impl Exchange {
    /// For requests that did not pass the outermost layer.
    pub(super) fn detached() -> Self {
        Self {
            request_id: uuid::Uuid::new_v4().to_string().into(),
            correlation_id: None,
            trace: Parent::default(),
            addr: IpAddr::from([127, 0, 0, 1]),
            on_loopback: true,
            behind_proxy: false,
            scope: AuditScope::default(),
            note: Arc::default(),
        }
    }

    /// Adds how a disconnect was settled.
    pub(super) fn settled(&self, settled: &Settled) {
        self.note(|note| {
            note.outcome = Some(settled.outcome.name());
            note.verified = settled.verified;
            note.attempts = Some(settled.attempts);
            note.upstream_status = settled.upstream_status;
            note.correlation_id.clone_from(&settled.correlation_id);
        });
    }

    /// What is known about this request so far.
    pub(super) fn noted(&self) -> Note {
        self.note.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The trace this request belongs to.
    pub(super) fn trace_id(&self) -> Option<&str> {
        self.trace.traceparent.as_deref().and_then(|t| t.get(3..35))
    }

    /// Where the request came from, for the audit.
    fn source(&self, headers: &HeaderMap) -> Source {
        Source {
            addr: Some(self.addr),
            request_id: Some(Arc::clone(&self.request_id)),
            trace_id: self.trace_id().map(Arc::from),
            actor: audited::actor(headers),
            job: None,
        }
    }

    /// What the audit records of a request that never became a disconnect.
    fn known(&self) -> audited::Known {
        let note = self.noted();
        let (caller, outcome) = (note.caller, note.outcome);
        audited::Known { caller, conversation: note.conversation, participant: note.participant, outcome }
    }

    /// Adds to the line about this request.
    pub(super) fn note(&self, change: impl FnOnce(&mut Note)) {
        change(&mut self.note.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Ids are taken over when they are visible ASCII and not too long.
fn taken_over(headers: &HeaderMap, name: &HeaderName) -> Option<Arc<str>> {
    let value = headers.get(name)?.as_bytes();
    let fits = (1..=LONGEST_ID).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
    if fits { std::str::from_utf8(value).ok().map(Arc::from) } else { None }
}

/// `traceparent` as the W3C defines it: lower-case hexadecimal in four parts.
fn traceparent(headers: &HeaderMap) -> Option<Arc<str>> {
    let value = headers.get(TRACEPARENT)?.to_str().ok()?;
    let lengths = value.split('-').map(str::len);
    let hex = value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    (hex && lengths.eq([2, 32, 16, 2])).then(|| value.into())
}

/// See the module.
pub(super) async fn layer(State((app, on_loopback)): State<(App, bool)>, mut request: Request, next: Next) -> Response {
    // Taken out: nobody else needs it, and what is put in below finds its place free.
    let peer = request.extensions_mut().remove::<Peer>().map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.addr.ip());
    let headers = request.headers();
    let mut exchange = Exchange {
        request_id: taken_over(headers, &REQUEST_ID).unwrap_or_else(|| uuid::Uuid::new_v4().to_string().into()),
        correlation_id: taken_over(headers, &CORRELATION_ID),
        trace: Parent { traces: app.traces.clone(), traceparent: traceparent(headers) },
        addr: app.proxies.caller_addr(headers, peer),
        on_loopback,
        behind_proxy: app.proxies.trusts(peer),
        scope: AuditScope::default(),
        note: Arc::default(),
    };
    let route = label(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
    let span = span(&exchange, request.method(), request.uri(), route);
    exchange.trace.traceparent = span.traceparent().or(exchange.trace.traceparent.take());
    exchange.scope = audited::scope(&app.audit, route, request.method(), || exchange.source(request.headers()));
    let (conversation, participant) = audited::ids(request.uri().path());
    exchange.note(|note| (note.conversation, note.participant) = (conversation, participant));
    let mut line = Line {
        app: app.clone(),
        exchange,
        route,
        method: request.method().clone(),
        started: Instant::now(),
        status: None,
        span,
    };
    let accept = accept_of(request.headers());
    let drop_in = is_drop_in(request.uri().path());
    request.extensions_mut().insert(line.exchange.clone());
    let mut response = next.run(request).await;
    let outgoing = response.extensions_mut().remove::<Outgoing>().map(|Outgoing(problem)| problem);
    audited::end(&line.exchange.scope, || line.exchange.known(), outgoing.as_ref());
    if let Some(problem) = outgoing {
        app.recent_errors.note(&problem, route, &line.exchange.request_id);
        if drop_in {
            upstream_form::render(&problem, &line.exchange.request_id, &mut response);
        } else {
            render(&problem, &accept, &line.exchange.request_id, &mut response);
        }
        line.exchange.note(|note| {
            note.code = Some(problem.code.name());
            note.attempts = note.attempts.or((problem.attempts > 0).then_some(problem.attempts));
            if let Some(upstream) = problem.upstream {
                note.upstream_status = Some(upstream.status);
                note.upstream_code = upstream.code;
                note.correlation_id = upstream.correlation_id.or(note.correlation_id.take());
            }
            note.cause = Some(problem.cause.map_or(problem.detail, String::from));
        });
    }
    if drop_in {
        line.stamp_drop_in(response.headers_mut());
    }
    line.stamp(response.headers_mut());
    line.status = Some(response.status().as_u16());
    response
}

/// The span of a request, named and attributed by the semantic conventions. Probes have none.
fn span(exchange: &Exchange, method: &Method, uri: &Uri, route: &'static str) -> Span {
    if is_probe(route) {
        return Span::none();
    }
    exchange.trace.traces.span(SpanKind::Server, exchange.trace.traceparent.as_deref(), || {
        let attributes = vec![
            ("http.request.method", method.as_str().to_owned().into()),
            ("http.route", route.into()),
            ("url.path", uri.path().to_owned().into()),
            ("url.scheme", uri.scheme_str().unwrap_or("http").to_owned().into()),
            ("client.address", exchange.addr.to_string().into()),
            ("hangup.request_id", exchange.request_id.to_string().into()),
        ];
        (format!("{method} {route}"), attributes)
    })
}

/// Adds to the span what became of the request.
fn tell(span: &mut Span, note: &Note, status: u16) {
    if !span.is_exported() {
        return;
    }
    span.set("http.response.status_code", Some(i64::from(status)));
    span.set("hangup.caller", note.caller.as_deref().map(str::to_owned));
    span.set("hangup.conversation_id", note.conversation.map(|id| id.to_string()));
    span.set("hangup.participant_id", note.participant.map(|id| id.to_string()));
    span.set("hangup.outcome", note.outcome);
    span.set("hangup.code", note.code);
    span.set("hangup.correlation_id", note.correlation_id.as_deref().map(str::to_owned));
    // For a server, a caller's mistake is no error.
    if status >= 500 {
        span.failed(note.code.unwrap_or("internal"));
    }
}

/// Probes come every second or so and say nothing new.
fn is_probe(route: &str) -> bool {
    matches!(route, "/livez" | "/readyz" | "/metrics")
}

/// Whether errors are told in the upstream's form.
fn is_drop_in(path: &str) -> bool {
    path.starts_with("/api/v2/")
}

/// `Accept` alone: the request is gone when the answer is rendered.
fn accept_of(headers: &HeaderMap) -> HeaderMap {
    headers.get_all(header::ACCEPT).iter().map(|value| (header::ACCEPT, value.clone())).collect()
}

/// Writes the line about a request when it is dropped: also when the caller hung up.
struct Line {
    app: App,
    exchange: Exchange,
    route: &'static str,
    method: Method,
    started: Instant,
    status: Option<u16>,
    span: Span,
}

impl Line {
    /// What only our own bodies say, and how much of the upstream's rate limit is left: SDKs look there.
    fn stamp_drop_in(&self, headers: &mut HeaderMap) {
        let note = self.exchange.noted();
        let (outcome, verified) = match (note.code, note.outcome) {
            (Some(code), _) => (code, false),
            (None, outcome) => (outcome.unwrap_or("failed"), note.verified),
        };
        headers.insert(OUTCOME, HeaderValue::from_static(outcome));
        headers.insert(VERIFIED, HeaderValue::from_static(if verified { "true" } else { "false" }));
        let window = self.app.disconnector.client().gate().reading();
        if let (Some(allowed), Some(remaining), Some(reset)) = (window.allowed, window.remaining, window.reset) {
            headers.insert(ALLOWED, allowed.into());
            headers.insert(COUNT, allowed.saturating_sub(remaining).into());
            headers.insert(RESET, whole_seconds(reset).into());
        }
    }

    /// The ids that every answer carries.
    fn stamp(&self, headers: &mut HeaderMap) {
        let id = |text: &str| HeaderValue::from_str(text).ok();
        if let Some(value) = id(&self.exchange.request_id) {
            headers.insert(REQUEST_ID, value);
        }
        if !headers.contains_key(&CORRELATION_ID) {
            let note = self.exchange.note.lock().unwrap_or_else(PoisonError::into_inner);
            let upstream = note.correlation_id.as_deref();
            let chosen = upstream.or(self.exchange.correlation_id.as_deref()).unwrap_or(&self.exchange.request_id);
            if let Some(value) = id(chosen) {
                headers.insert(CORRELATION_ID, value);
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        let status = self.status.unwrap_or(CALLER_GONE);
        self.app.metrics.request(self.route, status, duration);
        let notes = Arc::clone(&self.exchange.note);
        let note = notes.lock().unwrap_or_else(PoisonError::into_inner);
        tell(&mut self.span, &note, status);
        if is_probe(self.route) && status < 400 {
            return;
        }
        let (mut conversation, mut participant) = (ids::TEXT, ids::TEXT);
        let mut caller_addr = String::new();
        push_address(&mut caller_addr, self.exchange.addr);
        tracing::info!(
            event = "request",
            request_id = &*self.exchange.request_id,
            method = self.method.as_str(),
            route = self.route,
            status,
            caller = note.caller.as_deref(),
            caller_addr,
            conversation_id = note.conversation.map(|id| id.text(&mut conversation)),
            participant_id = note.participant.map(|id| id.text(&mut participant)),
            outcome = note.outcome,
            code = note.code,
            attempts = note.attempts,
            upstream_status = note.upstream_status,
            upstream_code = note.upstream_code.as_deref(),
            correlation_id = note.correlation_id.as_deref(),
            cause = note.cause.as_deref(),
            trace_id = self.exchange.trace_id(),
            // Microseconds as a fraction, exactly: seconds times a thousand would show the rounding.
            duration_ms = duration.as_micros() as f64 / 1000.0,
            "request"
        );
    }
}
