//! Which requests are audited, and what is recorded of those that never became a disconnect.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method};

use super::routes;
use crate::audit::{Audit, AuditScope, EntryPoint, Source};
use crate::ids::{ConversationId, ParticipantId};
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
        (routes::MODE, &Method::PUT) => Some(EntryPoint::Mode),
        _ => None,
    }
}

/// The scope of a request, if such requests are recorded.
pub(super) fn scope(audit: &Audit, route: &str, method: &Method, source: impl FnOnce() -> Source) -> AuditScope {
    entry_point(route, method).map_or_else(AuditScope::default, |entry| AuditScope::new(audit, entry, source()))
}

/// The actor that a request asserts, marked as unverified.
pub(super) fn actor(headers: &HeaderMap) -> Option<Arc<str>> {
    let text = String::from_utf8_lossy(headers.get(X_ACTOR)?.as_bytes());
    let name: String = text.trim().chars().filter(|c| !is_unprintable(*c)).take(LONGEST_ACTOR).collect();
    (!name.is_empty()).then(|| format!("unverified:{name}").into())
}

/// The ids of a path, for records of requests that are refused before they are read: one that ends in `{cid}/participants/{pid}`,
/// with or without more, or in `{cid}`, with or without `/disconnect`.
pub(super) fn ids(path: &str) -> (Option<ConversationId>, Option<ParticipantId>) {
    let mut segments = path.as_bytes().rsplit(|byte| *byte == b'/');
    let mut after: &[u8] = b"";
    let mut torn_down = path.as_bytes().rsplit(|byte| *byte == b'/').next().and_then(ConversationId::parse_bytes);
    while let Some(segment) = segments.next() {
        if segment == b"participants" {
            return (segments.next().and_then(ConversationId::parse_bytes), ParticipantId::parse_bytes(after));
        }
        if after == b"disconnect" {
            torn_down = ConversationId::parse_bytes(segment);
        }
        after = segment;
    }
    (torn_down, None)
}

/// What is known of a request when it is answered.
pub(super) struct Known {
    pub(super) caller: Option<Arc<str>>,
    pub(super) conversation: Option<ConversationId>,
    pub(super) participant: Option<ParticipantId>,
    pub(super) outcome: Option<&'static str>,
}

/// Ends the scope of a request that never became a disconnect: a denied one is recorded with whom it was about.
pub(super) fn end(scope: &AuditScope, known: impl FnOnce() -> Known, problem: Option<&Problem>) {
    scope.answered(|record| {
        let known = known();
        record.set_caller(known.caller);
        record.conversation_id = known.conversation;
        record.participant_id = known.participant;
        match problem {
            Some(problem) => record.problem(problem),
            None => record.outcome = known.outcome.unwrap_or("failed").into(),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_the_paths_of_all_entry_points() {
        let (cid, pid) = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222");
        let found = |path: &str| {
            let (conversation, participant) = ids(path);
            (conversation.map(|id| id.to_string()), participant.map(|id| id.to_string()))
        };
        let (c, p) = (Some(cid.to_owned()), Some(pid.to_owned()));
        assert_eq!(found(&format!("/conversations/{cid}/participants/{pid}/disconnect")), (c.clone(), p.clone()));
        assert_eq!(found(&format!("/conversations/{cid}/participants/disconnect")), (c.clone(), None));
        assert_eq!(found(&format!("/conversations/{cid}/disconnect")), (c.clone(), None));
        assert_eq!(found(&format!("/api/v2/conversations/calls/{cid}/participants/{pid}")), (c.clone(), p.clone()));
        assert_eq!(found(&format!("/conversations/nonsense/participants/{pid}/disconnect")), (None, p));
        assert_eq!(found(&format!("/api/v2/conversations/emails/{cid}")), (c, None));
        assert_eq!(found("/livez"), (None, None));
    }
}
