//! What the looks after an accepted disconnect have shown.

use super::judge::Observation;
use super::last::{participant_not_found, without_medium};
use super::look::Read;
use crate::ids::ParticipantId;
use crate::medium::Medium;
use crate::outcome::{Outcome, Settled};
use crate::problem::Problem;

/// Whose end is awaited.
#[derive(Debug, Clone, Copy)]
pub(super) enum Awaited {
    /// A participant's, or that of its communications of one medium.
    Participant(ParticipantId, Option<Medium>),
    /// The whole conversation's.
    Conversation,
}

/// What the looks have shown so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Nothing could be read.
    Nothing,
    /// The conversation goes on and has no such participant, or one without this medium.
    Absent(Option<Medium>),
    /// Still there.
    There,
    /// Gone.
    Gone,
}

impl Presence {
    /// What one look shows of it.
    pub(super) fn of(read: &Read, awaited: Awaited) -> Self {
        let Read::Found(conversation) = read else {
            // What cannot be seen is not gone.
            return Self::Nothing;
        };
        match awaited {
            Awaited::Conversation if conversation.ended() => Self::Gone,
            Awaited::Conversation => Self::There,
            Awaited::Participant(id, medium) => match Observation::of(conversation, id, medium) {
                Observation::Gone | Observation::Ended { .. } => Self::Gone,
                Observation::Live(_) => Self::There,
                Observation::Absent => Self::Absent(None),
                Observation::WithoutMedium(medium) => Self::Absent(Some(medium)),
                Observation::UnknownConversation | Observation::Hidden | Observation::Foreign => Self::Nothing,
            },
        }
    }

    /// With what a further look shows. One that is behind takes nothing back.
    pub(super) fn then(self, next: Self) -> Self {
        match next {
            Self::Nothing => self,
            Self::Absent(_) if self == Self::There => self,
            _ => next,
        }
    }

    /// What became of a disconnect that was accepted.
    ///
    /// # Errors
    /// `participant_not_found`: it was accepted of a participant that is not there.
    pub(super) fn after(self, settled: Settled) -> Result<Settled, Problem> {
        Ok(match self {
            Self::Gone => Settled { outcome: Outcome::Disconnected, verified: true, gone: Some(true), ..settled },
            Self::There => {
                Settled { outcome: Outcome::Accepted, verified: false, gone: Some(false), still_there: true, ..settled }
            }
            // Genesys Cloud has said that it disconnected the participant, and no look shows that it did not.
            Self::Absent(_) if settled.outcome == Outcome::Disconnected => settled,
            Self::Absent(medium) => {
                let problem = medium.map_or_else(|| participant_not_found(None), |medium| without_medium(medium, None));
                return Err(problem.effect(true).attempts(settled.attempts));
            }
            Self::Nothing => settled,
        })
    }
}
