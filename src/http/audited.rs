//! Which requests are audited, and what is recorded of those that never became a mission.

use http::Method;

use super::exchange::Exchange;
use super::routes;
use crate::audit::{Audit, Door, Trail};
use crate::ids::{ConversationId, ParticipantId};
use crate::problem::{Code, Problem};

/// The door that a request knocks at, when it asks to disconnect somebody.
fn door(route: &str, method: &Method) -> Option<Door> {
    match (route, method) {
        (routes::DISCONNECT, &Method::POST) => Some(Door::Mission),
        (routes::SELECTOR, &Method::POST) => Some(Door::Selector),
        (routes::TEARDOWN, &Method::POST) => Some(Door::Teardown),
        (routes::API_DISCONNECT, &Method::POST) => Some(Door::DropIn),
        (routes::API_PARTICIPANT | routes::API_MEDIUM_PARTICIPANT, &Method::PATCH) => Some(Door::DropIn),
        _ => None,
    }
}

/// Begins the trail, and notes the ids in the path: a denied request is recorded with whom it was about.
pub(super) fn begin(audit: &Audit, exchange: &mut Exchange, route: &str, method: &Method, path: &str) {
    let Some(door) = door(route, method) else { return };
    exchange.trail = Trail::new(audit, door, exchange.addr, &exchange.request_id, exchange.trace_id());
    let (conversation, participant) = ids(path);
    exchange.note(|note| {
        note.conversation = conversation;
        note.participant = participant;
    });
}

/// The ids of a path that ends in `{cid}/participants/{pid}`, with or without more, or in `{cid}/disconnect`.
fn ids(path: &str) -> (Option<ConversationId>, Option<ParticipantId>) {
    let mut segments = path.as_bytes().rsplit(|byte| *byte == b'/');
    let (mut after, mut torn_down): (&[u8], _) = (b"", None);
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

/// Ends the trail of a request that never became a mission.
pub(super) fn end(exchange: &Exchange, problem: Option<&Problem>) {
    let throttled = problem.is_some_and(|problem| problem.code == Code::CallerRateLimited);
    if throttled && exchange.noted().caller.is_none() {
        // An address that guesses keys is counted, and must not push the real records out.
        return;
    }
    exchange.trail.answered(|record| {
        let note = exchange.noted();
        record.caller = note.caller;
        record.conversation_id = note.conversation;
        record.participant_id = note.participant;
        match problem {
            Some(problem) => record.problem(problem),
            None => record.outcome = note.outcome.unwrap_or("failed").into(),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_the_paths_of_all_doors() {
        let (cid, pid) = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222");
        let found = |path: &str| {
            let (conversation, participant) = ids(path);
            (conversation.map(|id| id.to_string()), participant.map(|id| id.to_string()))
        };
        let (c, p) = (Some(cid.to_owned()), Some(pid.to_owned()));
        assert_eq!(found(&format!("/conversations/{cid}/participants/{pid}/disconnect")), (c.clone(), p.clone()));
        assert_eq!(found(&format!("/conversations/{cid}/participants/disconnect")), (c.clone(), None));
        assert_eq!(found(&format!("/conversations/{cid}/disconnect")), (c.clone(), None));
        assert_eq!(found(&format!("/api/v2/conversations/calls/{cid}/participants/{pid}")), (c, p.clone()));
        assert_eq!(found(&format!("/conversations/nonsense/participants/{pid}/disconnect")), (None, p));
        assert_eq!(found("/livez"), (None, None));
    }
}
