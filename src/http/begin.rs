//! Reads the head of a request into its context.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{MatchedPath, RawPathParams, Request};
use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;

use super::AppState;
use super::audited;
use super::context::{RequestContext, RequestFacts, RequestLog};
use super::routes::label;
use super::span;
use crate::audit::AuditScope;
use crate::genesys::answer::CORRELATION_ID;
use crate::ids::{ConversationId, ParticipantId};
use crate::server::Peer;
use crate::telemetry::traces::{Parent, Span, TRACEPARENT};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over.
const LONGEST_ID: usize = 128;

/// Begins with what the head of a request says, and with the span of the request.
pub(super) fn begin(
    app: &AppState,
    on_loopback: bool,
    params: Option<&RawPathParams>,
    request: &mut Request,
) -> (RequestContext, Span) {
    let peer = peer(request);
    let route = label(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
    let headers = request.headers();
    let param = |name: &str| params?.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    let job = param("jobId").map(|id| id.chars().take(LONGEST_ID).collect::<String>().into());
    let mut facts = RequestFacts {
        request_id: request_id(headers),
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
    (RequestContext::new(facts), span)
}

/// The address that a request came from. Those made within the process have none.
pub(super) fn peer(request: &Request) -> IpAddr {
    request.extensions().get::<Peer>().map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.addr.ip())
}

/// The id of a request: the caller's, or a new one.
pub(super) fn request_id(headers: &HeaderMap) -> Arc<str> {
    taken_over(headers, &REQUEST_ID).unwrap_or_else(|| uuid::Uuid::new_v4().to_string().into())
}

/// Ids are taken over when they are visible ASCII and not too long.
pub(super) fn taken_over(headers: &HeaderMap, name: &HeaderName) -> Option<Arc<str>> {
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
