//! The judge: a pure function from what was seen to what is true. Its table is the test below.

use super::outcome::Outcome;
use crate::config::UnknownConversation;
use crate::conversation::Conversation;
use crate::genesys::request::Medium;
use crate::ids::ParticipantId;

/// What a look at the conversation showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// The conversation is over.
    Ended,
    /// 404 for the conversation itself.
    UnknownConversation,
    /// The participant has left.
    Gone,
    /// The conversation goes on, and has no such participant.
    Absent,
    /// The participant is there, with live communications of these media.
    Live(Vec<Medium>),
    /// We lack the permission to look.
    Hidden,
}

impl Sight {
    /// What a conversation shows of one participant.
    #[must_use]
    pub fn of(conversation: &Conversation, pid: ParticipantId) -> Self {
        match conversation.participant(pid) {
            // Wins when both hold.
            _ if conversation.ended() => Self::Ended,
            None => Self::Absent,
            Some(participant) if participant.is_live() => Self::Live(participant.live_media()),
            Some(_) => Self::Gone,
        }
    }
}

/// Why somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The upstream refused in a way that, after the seeds, means "already gone": 404, 409, certain 400 codes.
    SaidGone,
    /// The upstream refused in another doubtful way.
    Refused,
    /// An attempt ended without an answer.
    EffectUnknown,
    /// Nothing was sent: a repeat after an accepted disconnect, a dry run, or a guard.
    NothingSent,
}

/// What is true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Settled, and whether it was seen.
    Settled {
        /// The outcome.
        outcome: Outcome,
        /// Whether it was seen.
        verified: bool,
    },
    /// The conversation has no such participant.
    ParticipantNotFound,
    /// The upstream does not know the conversation, and we are told to call that an error.
    ConversationNotFound,
    /// Still there.
    StillThere(Vec<Medium>),
    /// Nobody can tell.
    Unseen,
}

/// Judges what was seen.
#[must_use]
pub fn judge(doubt: Doubt, sight: Sight, unknown: UnknownConversation) -> Verdict {
    let settled = |outcome, verified| Verdict::Settled { outcome, verified };
    match sight {
        Sight::Ended => settled(Outcome::ConversationEnded, true),
        Sight::UnknownConversation => match unknown {
            UnknownConversation::Ended => settled(Outcome::ConversationEnded, false),
            UnknownConversation::Error => Verdict::ConversationNotFound,
        },
        Sight::Gone => settled(Outcome::AlreadyDisconnected, true),
        Sight::Absent => Verdict::ParticipantNotFound,
        Sight::Live(media) => Verdict::StillThere(media),
        // Where nobody can look, the seeds' rule holds for the answers it was made for, and for no others.
        Sight::Hidden if doubt == Doubt::SaidGone => settled(Outcome::AlreadyDisconnected, false),
        Sight::Hidden => Verdict::Unseen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(doubt: Doubt, sight: Sight) -> String {
        match judge(doubt, sight, UnknownConversation::Ended) {
            Verdict::Settled { outcome, verified: true } => format!("{}, seen", outcome.name()),
            Verdict::Settled { outcome, verified: false } => format!("{}, unseen", outcome.name()),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_table_of_verdicts() {
        use Doubt::{EffectUnknown, NothingSent, Refused, SaidGone};
        for doubt in [SaidGone, Refused, EffectUnknown, NothingSent] {
            assert_eq!(verdict(doubt, Sight::Ended), "conversation_ended, seen");
            assert_eq!(verdict(doubt, Sight::UnknownConversation), "conversation_ended, unseen");
            assert_eq!(verdict(doubt, Sight::Gone), "already_disconnected, seen");
            assert_eq!(verdict(doubt, Sight::Absent), "ParticipantNotFound");
            assert_eq!(verdict(doubt, Sight::Live(vec![Medium::Chats])), "StillThere([Chats])");
            let strict = judge(doubt, Sight::UnknownConversation, UnknownConversation::Error);
            assert_eq!(strict, Verdict::ConversationNotFound);
        }
        assert_eq!(verdict(SaidGone, Sight::Hidden), "already_disconnected, unseen");
        for doubt in [Refused, EffectUnknown, NothingSent] {
            assert_eq!(verdict(doubt, Sight::Hidden), "Unseen", "{doubt:?}: not to be seen is not gone");
        }
    }

    #[test]
    fn an_ended_conversation_outweighs_a_gone_or_absent_participant() {
        let cid = "11111111-1111-4111-8111-111111111111";
        let pid = "22222222-2222-4222-8222-222222222222";
        let sight = |participants: &str, end: &str| {
            let body = format!(r#"{{"id":"{cid}","participants":{participants}{end}}}"#);
            let cid = crate::ids::ConversationId::parse(cid).unwrap();
            let seen = Conversation::parse(body.as_bytes(), cid).unwrap();
            Sight::of(&seen, ParticipantId::parse(pid).unwrap())
        };
        let end = r#","endTime":"2026-01-01T00:00:00Z""#;
        let gone = format!(r#"[{{"id":"{pid}","calls":[{{"state":"terminated"}}]}}]"#);
        assert_eq!(sight(&gone, end), Sight::Ended);
        assert_eq!(sight("[]", end), Sight::Ended);
        assert_eq!(sight(&gone, ""), Sight::Gone);
        assert_eq!(sight("[]", ""), Sight::Absent);
        let live =
            format!(r#"[{{"id":"{pid}","messages":[{{"state":"connected"}}],"calls":[{{"state":"alerting"}}]}}]"#);
        assert_eq!(sight(&live, ""), Sight::Live(vec![Medium::Calls, Medium::Messages]));
    }
}
