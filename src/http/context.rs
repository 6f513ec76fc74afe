//! What is known about a request: who sent it, what it is about, and what its log line will say.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use parking_lot::{Mutex, MutexGuard};

use super::refused::Refused;
use crate::audit::AuditScope;
use crate::disconnect::internal;
use crate::genesys::answer::Answer;
use crate::ids::{ConversationId, ParticipantId};
use crate::outcome::Settled;
use crate::problem::Problem;
use crate::telemetry::traces::Parent;

/// One request, from its first byte to its log line. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct RequestContext(Arc<RequestFacts>);

/// See [`RequestContext`].
#[derive(Debug)]
pub(super) struct RequestFacts {
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
    pub(super) log: Mutex<RequestLog>,
}

/// What the line about a request says beyond its head and its status.
#[derive(Debug, Default)]
pub(super) struct RequestLog {
    pub(super) caller: Option<Arc<str>>,
    pub(super) outcome: Option<&'static str>,
    /// The job that was made or changed, or that the path names.
    pub(super) job: Option<Arc<str>>,
    /// What the audit says about that job.
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
    type Target = RequestFacts;
    fn deref(&self) -> &RequestFacts {
        &self.0
    }
}

impl RequestContext {
    pub(super) fn new(facts: RequestFacts) -> Self {
        Self(Arc::new(facts))
    }

    /// What its log line will say, to add to.
    pub(super) fn log(&self) -> MutexGuard<'_, RequestLog> {
        self.0.log.lock()
    }
}

impl RequestFacts {
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

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        // The outermost layer puts it there, so its absence is a defect of ours.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| internal().into())
    }
}
