//! Whether a conversation, as it was just read, meets a condition of `skipIf`.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::SkipIf;
use crate::conversation::{Conversation, Participant};

impl SkipIf {
    /// Why to skip this conversation, if there is a reason.
    #[must_use]
    pub fn reason(&self, conversation: &Conversation, now: OffsetDateTime) -> Option<String> {
        if self.agent
            && let Some(agent) = conversation.participants.iter().find(|p| p.is_live() && is_staff(p))
        {
            return Some(format!("a live {} is in the conversation", agent.purpose.as_deref().unwrap_or("agent")));
        }
        if let Some(age) = self.younger_than {
            // If the start cannot be read, the conversation may be young.
            let old_enough = age_of(conversation, now).is_some_and(|actual| actual >= age);
            if !old_enough {
                return Some("the conversation is younger than youngerThan".to_owned());
            }
        }
        if let Some(queue) = &self.left_queue
            && !conversation.participants.iter().any(|p| waits_in(p, queue))
        {
            return Some("the conversation has left the queue".to_owned());
        }
        None
    }
}

/// Whether this is an agent or another user of the org.
fn is_staff(participant: &Participant) -> bool {
    let purpose = participant.purpose.as_deref().unwrap_or_default();
    participant.user_id.is_some() || purpose.eq_ignore_ascii_case("agent") || purpose.eq_ignore_ascii_case("user")
}

/// A live `acd` leg of the queue means "waiting"; Genesys Cloud has no other sign of it.
fn waits_in(participant: &Participant, queue: &str) -> bool {
    let is_leg = participant.purpose.as_deref().is_some_and(|purpose| purpose.eq_ignore_ascii_case("acd"));
    is_leg && participant.is_live() && participant.queue_id.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(queue))
}

fn age_of(conversation: &Conversation, now: OffsetDateTime) -> Option<Duration> {
    let start = OffsetDateTime::parse(conversation.start_time.as_deref()?, &Rfc3339).ok()?;
    (now - start).try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ConversationId;
    use serde_json::json;

    const CID: &str = "11111111-1111-4111-8111-111111111111";

    fn at(text: &str) -> OffsetDateTime {
        OffsetDateTime::parse(text, &Rfc3339).unwrap()
    }

    fn conversation(participants: &serde_json::Value) -> Conversation {
        let body =
            json!({"id": CID, "startTime": "2026-01-01T12:00:00.000Z", "participants": participants}).to_string();
        Conversation::parse(body.as_bytes(), ConversationId::parse(CID).unwrap()).unwrap()
    }

    #[test]
    fn a_live_agent_or_user_keeps_a_conversation_from_being_swept_and_one_who_left_does_not() {
        let skip = SkipIf { agent: true, ..SkipIf::default() };
        let now = at("2026-01-01T13:00:00Z");
        let with = |purpose: &str, state: &str| {
            let seen = conversation(&json!([{"id": "a", "purpose": purpose, "calls": [{"state": state}]}]));
            skip.reason(&seen, now).is_some()
        };
        assert!(with("agent", "connected") && with("user", "alerting"));
        assert!(!with("agent", "disconnected") && !with("customer", "connected"));
    }

    #[test]
    fn youth_and_a_left_queue_are_reasons() {
        let hour = SkipIf { younger_than: Some(Duration::from_secs(3600)), ..SkipIf::default() };
        let seen =
            conversation(&json!([{"id": "a", "purpose": "acd", "queueId": "Q1", "calls": [{"state": "connected"}]}]));
        assert!(hour.reason(&seen, at("2026-01-01T12:59:00Z")).is_some());
        assert!(hour.reason(&seen, at("2026-01-01T13:00:00Z")).is_none());
        let queue = |id: &str| SkipIf { left_queue: Some(id.into()), ..SkipIf::default() };
        let now = at("2026-01-01T13:00:00Z");
        assert!(queue("q1").reason(&seen, now).is_none());
        assert!(queue("q2").reason(&seen, now).is_some());
    }
}
