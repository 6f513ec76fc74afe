//! A participant that a claim may reach.

use serde::{Deserialize, Serialize};

use crate::conversation::Participant;
use crate::ids::ParticipantId;

/// One participant to disconnect, with what the answer says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its id.
    pub id: ParticipantId,
    /// Its name.
    pub name: Option<String>,
    /// Its purpose.
    pub purpose: Option<String>,
}

impl Target {
    /// A participant as a target; `None` if its id is not a UUID.
    #[must_use]
    pub fn of(participant: &Participant) -> Option<Self> {
        let id = ParticipantId::parse(&participant.id)?;
        Some(Self { id, name: participant.name.clone(), purpose: participant.purpose.clone() })
    }
}
