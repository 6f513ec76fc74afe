//! What is known about a request: who sent it, what it is about, and what its log line will say.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use parking_lot::{Mutex, MutexGuard};

use super::App;
use super::audited;
use super::refused::Refused;
use super::routes::label;
use super::span;
use crate::audit::AuditScope;
use crate::disconnect::internal;
use crate::disconnect::outcome::Settled;
use crate::genesys::answer::{Answer, CORRELATION_ID};
use crate::ids::{ConversationId, ParticipantId};
use crate::problem::Problem;
use crate::server::Peer;
use crate::telemetry::traces::{Parent, Span, TRACEPARENT};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over.
const LONGEST_ID: usize = 128;

/// One request, from its first byte to its log line. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct RequestContext(Arc<Facts>);

/// See [`RequestContext`].
#[derive(Debug)]
pub(super) struct Facts {
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
    /// The template of the path.
    pub(super) route: &'static str,
    /// The conversation that the path names, where it is an id.
    pub(super) conversation: Option<ConversationId>,
    /// The participant that the path names, where it is an id.
    pub(super) participant: Option<ParticipantId>,
    /// What the request leaves in the audit.
    pub(super) scope: AuditScope,
    log: Mutex<RequestLog>,
}

/// What the line about a request says beyond its head and its status.
#[derive(Debug, Default)]
pub(super) struct RequestLog {
    pub(super) caller: Option<Arc<str>>,
    pub(super) outcome: Option<&'static str>,
    /// The job that was made or changed, or that the path names, and what is worth a record about it.
    pub(super) job: Option<Arc<str>>,
    pub(super) reason: Option<String>,
    pub(super) verified: bool,
    pub(super) code: Option<&'static str>,
    pub(super) attempts: Option<u32>,
    pub(super) upstream_status: Option<u16>,
    pub(super) upstream_code: Option<String>,
    pub(super) correlation_id: Option<Arc<str>>,
    pub(super) cause: Option<String>,
}

impl Deref for RequestContext {
    type Target = Facts;
    fn deref(&self) -> &Facts {
        &self.0
    }
}

impl RequestContext {
    /// Begins with what the head of a request says, and with the span of the request.
    pub(super) fn begin(
        app: &App,
        on_loopback: bool,
        params: Option<&RawPathParams>,
        request: &mut Request,
    ) -> (Self, Span) {
        let peer =
            request.extensions_mut().remove::<Peer>().map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.addr.ip());
        let route = label(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
        let headers = request.headers();
        let param = |name: &str| params?.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
        let job = param("jobId").map(|id| id.chars().take(LONGEST_ID).collect::<String>().into());
        let mut facts = Facts {
            request_id: taken_over(headers, &REQUEST_ID).unwrap_or_else(|| uuid::Uuid::new_v4().to_string().into()),
            correlation_id: taken_over(headers, &CORRELATION_ID),
            trace: Parent { traces: app.traces.clone(), traceparent: traceparent(headers) },
            addr: app.proxies.caller_addr(headers, peer),
            on_loopback,
            behind_proxy: app.proxies.trusts(peer),
            route,
            conversation: param("conversationId").and_then(ConversationId::parse),
            participant: param("participantId").and_then(ParticipantId::parse),
            scope: AuditScope::default(),
            log: Mutex::new(RequestLog { job, ..RequestLog::default() }),
        };
        let span = span::begin(&facts, request.method(), request.uri());
        facts.trace.traceparent = span.traceparent().or(facts.trace.traceparent.take());
        facts.scope = audited::scope(&app.audit, request.method(), headers, &facts);
        (Self(Arc::new(facts)), span)
    }

    /// What its line will say, to be added to.
    pub(super) fn log(&self) -> MutexGuard<'_, RequestLog> {
        self.0.log.lock()
    }
}

impl Facts {
    /// The trace this request belongs to.
    pub(super) fn trace_id(&self) -> Option<&str> {
        self.trace.traceparent.as_deref().and_then(|t| t.get(3..35))
    }
}

impl RequestLog {
    /// Adds how a disconnect was settled.
    pub(super) fn settled(&mut self, settled: &Settled) {
        self.outcome = Some(settled.outcome.name());
        self.verified = settled.verified;
        self.attempts = Some(settled.attempts);
        self.upstream_status = settled.upstream_status;
        self.correlation_id.clone_from(&settled.correlation_id);
    }

    /// Adds what the upstream answered to a read.
    pub(super) fn read(&mut self, answer: &Answer) {
        self.upstream_status = Some(answer.status.as_u16());
        self.correlation_id.clone_from(&answer.correlation_id);
    }

    /// Adds why the request failed.
    pub(super) fn failed(&mut self, problem: Problem) {
        self.code = Some(problem.code.name());
        self.attempts = self.attempts.or((problem.attempts > 0).then_some(problem.attempts));
        if let Some(upstream) = problem.upstream {
            self.upstream_status = Some(upstream.status);
            self.upstream_code = upstream.code;
            self.correlation_id = upstream.correlation_id.or(self.correlation_id.take());
        }
        self.cause = Some(problem.cause.map_or(problem.detail, String::from));
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

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        // The outermost layer puts it there, so its absence is a defect of ours.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| internal().into())
    }
}
