//! The last errors of ours or of the upstream, for `/status`. Bounded, and without text from outside.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use crate::audit::now;
use crate::problem::{Code, Problem};

/// How many are kept.
const KEPT: usize = 10;

/// The last errors, the newest first. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RecentErrors(Arc<Mutex<VecDeque<RecentError>>>);

/// One such error.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecentError {
    /// RFC 3339, UTC.
    pub time: String,
    /// The problem's code.
    pub code: &'static str,
    /// The template of the path.
    pub route: &'static str,
    /// The upstream's status, where it answered.
    pub upstream_status: Option<u16>,
    /// The request id that was answered.
    pub request_id: Arc<str>,
    /// `ININ-Correlation-Id` of the upstream's answer.
    pub correlation_id: Option<Arc<str>>,
}

impl RecentErrors {
    /// Keeps this one, if an operator can do something about it: not a caller's mistake.
    pub(super) fn note(&self, problem: &Problem, route: &'static str, request_id: &Arc<str>) {
        if !concerns_operators(problem.code) {
            return;
        }
        let upstream = problem.upstream.as_deref();
        let error = RecentError {
            time: now(),
            code: problem.code.name(),
            route,
            upstream_status: upstream.map(|upstream| upstream.status),
            request_id: Arc::clone(request_id),
            correlation_id: upstream.and_then(|upstream| upstream.correlation_id.clone()),
        };
        let mut errors = self.0.lock();
        errors.truncate(KEPT - 1);
        errors.push_front(error);
    }

    /// The newest first.
    pub(super) fn list(&self) -> Vec<RecentError> {
        self.0.lock().iter().cloned().collect()
    }
}

fn concerns_operators(code: Code) -> bool {
    code.status() >= 500
        || matches!(code, Code::UpstreamForbidden | Code::UpstreamUserContext | Code::UpstreamRateLimited)
}
