//! Which requests are audited, and what is recorded of those that never became a disconnect.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method};

use super::context::{RequestContext, RequestFacts};
use super::routes;
use crate::audit::{Audit, AuditScope, EntryPoint, Source};
use crate::problem::Problem;
use crate::text::is_unprintable;

/// On whose behalf a caller asks. We cannot check it.
const X_ACTOR: HeaderName = HeaderName::from_static("x-actor");
/// Longer names are cut.
const LONGEST_ACTOR: usize = 128;

/// The entry point of a request that is recorded.
fn entry_point(route: &str, method: &Method) -> Option<EntryPoint> {
    match (route, method) {
        (routes::DISCONNECT, &Method::POST) => Some(EntryPoint::Disconnect),
        (routes::SELECTOR, &Method::POST) => Some(EntryPoint::Selector),
        (routes::TEARDOWN, &Method::POST) => Some(EntryPoint::Teardown),
        (routes::API_DISCONNECT | routes::API_TEARDOWN, &Method::POST) => Some(EntryPoint::DropIn),
        (routes::API_MEDIUM, &Method::PATCH) => Some(EntryPoint::DropIn),
        (routes::API_PARTICIPANT | routes::API_MEDIUM_PARTICIPANT, &Method::PATCH) => Some(EntryPoint::DropIn),
        (routes::JOBS | routes::JOB_START | routes::JOB_PAUSE, &Method::POST) => Some(EntryPoint::Jobs),
        (routes::JOB_RESUME | routes::JOB_CANCEL, &Method::POST) => Some(EntryPoint::Jobs),
        (routes::MODE, &Method::PUT) => Some(EntryPoint::Mode),
        _ => None,
    }
}

/// The scope of a request, if such requests are recorded.
pub(super) fn scope(audit: &Audit, method: &Method, headers: &HeaderMap, request: &RequestFacts) -> AuditScope {
    let Some(entry) = entry_point(request.route, method) else { return AuditScope::default() };
    let source = Source {
        addr: Some(request.addr),
        request_id: Some(Arc::clone(&request.request_id)),
        trace_id: request.trace_id().map(Arc::from),
        actor: actor(headers),
        job: None,
    };
    AuditScope::new(audit, entry, source)
}

/// The actor that a request asserts, marked as unverified.
fn actor(headers: &HeaderMap) -> Option<Arc<str>> {
    let text = String::from_utf8_lossy(headers.get(X_ACTOR)?.as_bytes());
    let name: String = text.trim().chars().filter(|c| !is_unprintable(*c)).take(LONGEST_ACTOR).collect();
    (!name.is_empty()).then(|| format!("unverified:{name}").into())
}

/// Ends the scope of a request that never became a disconnect: a denied one is recorded with the ids it named.
pub(super) fn end(context: &RequestContext, problem: Option<&Problem>) {
    context.scope.answered(|record| {
        let log = context.log();
        record.set_caller(log.caller.clone());
        record.conversation_id = context.conversation;
        record.participant_id = context.participant;
        record.job.clone_from(&log.job);
        record.reason.clone_from(&log.reason);
        match problem {
            Some(problem) => record.problem(problem),
            None => record.outcome = log.outcome.unwrap_or("failed").into(),
        }
    });
}
