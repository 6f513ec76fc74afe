//! The judge: a pure function from what was observed to what is true. Its table is the test below.

use std::collections::BTreeSet;

use crate::config::UnknownConversation;
use crate::conversation::{Conversation, Participant};
use crate::ids::ParticipantId;
use crate::medium::Medium;
use crate::outcome::Outcome;

/// What a read of the conversation shows of one participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// The conversation is over; `verified` when that was read, and not concluded from its being unknown.
    Ended {
        /// See above.
        verified: bool,
    },
    /// Genesys Cloud says that it does not know the conversation.
    UnknownConversation,
    /// The participant has left, or what was asked about is over.
    Gone,
    /// The conversation goes on, and has no such participant.
    Absent,
    /// The participant has never had a communication of the medium that was asked about.
    WithoutMedium(Medium),
    /// The participant is there, with live communications of these media.
    Live(Vec<Medium>),
    /// We lack the permission to read.
    Hidden,
    /// Something else than Genesys Cloud answered the read.
    Foreign,
}

impl Observation {
    /// What a conversation shows of one participant: of all its communications, or of those of one medium.
    #[must_use]
    pub fn of(conversation: &Conversation, pid: ParticipantId, medium: Option<Medium>) -> Self {
        // Wins over whatever the participant's own members say.
        if conversation.ended() {
            return Self::Ended { verified: true };
        }
        // The same id can be listed twice: once for a leg that is over, once for a live one.
        let listed = || conversation.participants.iter().filter(|p| ParticipantId::parse(&p.id) == Some(pid));
        if listed().next().is_none() {
            return Self::Absent;
        }
        let live_media: BTreeSet<Medium> = listed().filter(|p| p.is_live()).flat_map(Participant::live_media).collect();
        let Some(medium) = medium else {
            let live = listed().any(Participant::is_live);
            return if live { Self::Live(live_media.into_iter().collect()) } else { Self::Gone };
        };
        if live_media.contains(&medium) {
            Self::Live(vec![medium])
        } else if listed().any(|p| p.media().contains(&medium)) {
            Self::Gone
        } else {
            Self::WithoutMedium(medium)
        }
    }
}

/// What is true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Settled, and whether that was observed.
    Settled {
        /// The outcome.
        outcome: Outcome,
        /// Whether it was observed.
        verified: bool,
    },
    /// The conversation has no such participant.
    ParticipantNotFound,
    /// The participant has no communication of this medium.
    WithoutMedium(Medium),
    /// Genesys Cloud does not know the conversation, and nothing shows that it has ended.
    ConversationNotFound,
    /// Still there.
    StillThere(Vec<Medium>),
    /// The conversation could not be read; the answer to the disconnect decides.
    Unread,
}

/// Judges an observation.
#[must_use]
pub fn judge(observation: Observation, unknown: UnknownConversation) -> Verdict {
    let settled = |outcome, verified| Verdict::Settled { outcome, verified };
    match observation {
        Observation::Ended { verified } => settled(Outcome::ConversationEnded, verified),
        Observation::UnknownConversation => match unknown {
            UnknownConversation::Ended => settled(Outcome::ConversationEnded, false),
            UnknownConversation::Error => Verdict::ConversationNotFound,
        },
        Observation::Gone => settled(Outcome::AlreadyDisconnected, true),
        Observation::Absent => Verdict::ParticipantNotFound,
        Observation::WithoutMedium(medium) => Verdict::WithoutMedium(medium),
        Observation::Live(media) => Verdict::StillThere(media),
        Observation::Hidden | Observation::Foreign => Verdict::Unread,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_verdicts() {
        use UnknownConversation::{Ended, Error};
        let settled = |outcome, verified| Verdict::Settled { outcome, verified };
        for unknown in [Ended, Error] {
            let verdict = |observation| judge(observation, unknown);
            for verified in [true, false] {
                let ended = Observation::Ended { verified };
                assert_eq!(verdict(ended), settled(Outcome::ConversationEnded, verified));
            }
            assert_eq!(verdict(Observation::Gone), settled(Outcome::AlreadyDisconnected, true));
            assert_eq!(verdict(Observation::Absent), Verdict::ParticipantNotFound);
            assert_eq!(verdict(Observation::WithoutMedium(Medium::Calls)), Verdict::WithoutMedium(Medium::Calls));
            assert_eq!(verdict(Observation::Live(vec![Medium::Chats])), Verdict::StillThere(vec![Medium::Chats]));
            for unread in [Observation::Hidden, Observation::Foreign] {
                assert_eq!(verdict(unread), Verdict::Unread, "what cannot be read is not gone");
            }
        }
        assert_eq!(judge(Observation::UnknownConversation, Error), Verdict::ConversationNotFound);
        let ended = settled(Outcome::ConversationEnded, false);
        assert_eq!(judge(Observation::UnknownConversation, Ended), ended);
    }

    fn observe(participants: &str, end: &str, medium: Option<Medium>) -> Observation {
        let cid = "11111111-1111-4111-8111-111111111111";
        let body = format!(r#"{{"id":"{cid}","participants":{participants}{end}}}"#);
        let read = Conversation::parse(body.as_bytes(), crate::ids::ConversationId::parse(cid).unwrap()).unwrap();
        Observation::of(&read, ParticipantId::parse(PID).unwrap(), medium)
    }

    const PID: &str = "22222222-2222-4222-8222-222222222222";

    #[test]
    fn an_ended_conversation_outweighs_a_gone_or_absent_participant() {
        let end = r#","endTime":"2026-01-01T00:00:00Z""#;
        let gone = format!(r#"[{{"id":"{PID}","calls":[{{"state":"terminated"}}]}}]"#);
        assert_eq!(observe(&gone, end, None), Observation::Ended { verified: true });
        assert_eq!(observe("[]", end, Some(Medium::Calls)), Observation::Ended { verified: true });
        assert_eq!(observe(&gone, "", None), Observation::Gone);
        assert_eq!(observe("[]", "", None), Observation::Absent);
        let live =
            format!(r#"[{{"id":"{PID}","messages":[{{"state":"connected"}}],"calls":[{{"state":"alerting"}}]}}]"#);
        assert_eq!(observe(&live, "", None), Observation::Live(vec![Medium::Calls, Medium::Messages]));
    }

    #[test]
    fn one_medium_is_observed_by_itself() {
        let both =
            format!(r#"[{{"id":"{PID}","calls":[{{"state":"terminated"}}],"callbacks":[{{"state":"connected"}}]}}]"#);
        assert_eq!(observe(&both, "", Some(Medium::Calls)), Observation::Gone);
        assert_eq!(observe(&both, "", Some(Medium::Callbacks)), Observation::Live(vec![Medium::Callbacks]));
        assert_eq!(observe(&both, "", Some(Medium::Emails)), Observation::WithoutMedium(Medium::Emails));
        let twice = format!(
            r#"[{{"id":"{PID}","calls":[{{"state":"terminated"}}]}},{{"id":"{PID}","emails":[{{"state":"connected"}}]}}]"#
        );
        assert_eq!(observe(&twice, "", Some(Medium::Calls)), Observation::Gone, "listed twice, the call is over");
        let both_live = twice.replace("terminated", "connected");
        assert_eq!(observe(&both_live, "", None), Observation::Live(vec![Medium::Calls, Medium::Emails]));
        let left = format!(r#"[{{"id":"{PID}","calls":[{{"state":"connected"}}],"endTime":"2026-01-01T00:00:00Z"}}]"#);
        assert_eq!(observe(&left, "", Some(Medium::Calls)), Observation::Gone);
    }
}
