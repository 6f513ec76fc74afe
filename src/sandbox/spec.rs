//! What a conversation is made from: a believable conference, or what the test asks for.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use super::clock::Clock;
use super::conversation::{Communication, Conversation, Gone, Medium, Participant};
use super::option_duration;

/// A conversation to be made. Left empty, it is a conference of a customer, two agents and an external consultant, with
/// a queue leg that is already over.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct ConversationSpec {
    /// Its id; a fresh one unless given.
    pub id: Option<Uuid>,
    /// Who is in it; the default conference unless given. The same id may be listed more than once.
    pub participants: Option<Vec<ParticipantSpec>>,
    /// Ends by itself after this.
    #[serde(with = "option_duration", alias = "end_in")]
    pub end_in: Option<Duration>,
    /// Can be read for this long after its end, then it is forgotten.
    #[serde(with = "option_duration", alias = "readable_for")]
    pub readable_for: Option<Duration>,
}

/// A participant to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct ParticipantSpec {
    /// Its id; a fresh one unless given.
    pub id: Option<Uuid>,
    /// Its name; made from the purpose unless given.
    pub name: Option<String>,
    /// `customer`, `agent`, `user`, `external`, `acd`, `ivr`, …
    pub purpose: String,
    /// What it is on; a call unless given. Empty: no communications at all.
    pub media: Vec<Medium>,
    /// State of its communications: `connected` unless given. `disconnected` and `terminated` are already over.
    pub state: String,
    /// Id of the user.
    #[serde(alias = "user_id")]
    pub user_id: Option<String>,
    /// Id of the queue.
    #[serde(alias = "queue_id")]
    pub queue_id: Option<String>,
    /// `tel:` or `sip:` address.
    pub address: Option<String>,
    /// After its disconnect a wrap-up code is still owed: no `endTime`, and further disconnects answer 400.
    #[serde(alias = "wrapup_pending")]
    pub wrapup_pending: bool,
}

impl Default for ParticipantSpec {
    fn default() -> Self {
        Self {
            id: None,
            name: None,
            purpose: "customer".to_owned(),
            media: vec![Medium::Calls],
            state: "connected".to_owned(),
            user_id: None,
            queue_id: None,
            address: None,
            wrapup_pending: false,
        }
    }
}

impl ParticipantSpec {
    /// A participant of that purpose on a connected call.
    #[must_use]
    pub fn of(purpose: &str) -> Self {
        Self { purpose: purpose.to_owned(), ..Self::default() }
    }

    fn named(purpose: &str, name: &str, address: &str) -> Self {
        Self { name: Some(name.to_owned()), address: Some(address.to_owned()), ..Self::of(purpose) }
    }

    fn build(self, clock: &Clock, now: Instant, started: time::OffsetDateTime) -> Participant {
        let over = matches!(self.state.as_str(), "disconnected" | "terminated");
        let connected = started + time::Duration::seconds(4);
        let gone = over.then(|| Gone {
            at: now,
            wall: (started + time::Duration::seconds(22)).min(clock.wall(now)),
            state: self.state.clone(),
            kind: if self.purpose == "acd" { "transfer" } else { "client" },
        });
        let state = if over { "connected".to_owned() } else { self.state };
        let communications: Vec<_> = self
            .media
            .into_iter()
            .map(|medium| Communication { id: Uuid::new_v4(), medium, state: state.clone(), gone: gone.clone() })
            .collect();
        Participant {
            id: self.id.unwrap_or_else(Uuid::new_v4),
            name: self.name.unwrap_or_else(|| format!("Sandbox {}", self.purpose)),
            connected: matches!(state.as_str(), "connected" | "parked").then_some(connected),
            purpose: self.purpose,
            user_id: self.user_id,
            queue_id: self.queue_id,
            address: self.address,
            started,
            wrapup_pending: self.wrapup_pending,
            left: gone.filter(|_| communications.is_empty()),
            communications,
            disconnects: 0,
        }
    }
}

impl ConversationSpec {
    /// Only these participants, otherwise as by default.
    #[must_use]
    pub fn with(participants: Vec<ParticipantSpec>) -> Self {
        Self { participants: Some(participants), ..Self::default() }
    }

    pub(crate) fn build(self, clock: &Clock) -> Conversation {
        let now = Instant::now();
        // It has been going on for a while when it is first looked at.
        let started = clock.wall(now) - time::Duration::seconds(95);
        let participants = self.participants.unwrap_or_else(conference);
        Conversation {
            id: self.id.unwrap_or_else(Uuid::new_v4),
            started,
            participants: participants.into_iter().map(|p| p.build(clock, now, started)).collect(),
            ends: self.end_in.and_then(|time| now.checked_add(time)),
            readable_for: self.readable_for,
            ended: None,
        }
    }
}

fn conference() -> Vec<ParticipantSpec> {
    let queue = Some(Uuid::new_v4().to_string());
    let agent = |name: &str, station: &str| ParticipantSpec {
        user_id: Some(Uuid::new_v4().to_string()),
        queue_id: queue.clone(),
        ..ParticipantSpec::named("agent", name, &format!("sip:{station}@agents.sandbox.example"))
    };
    vec![
        ParticipantSpec::named("customer", "Carla Customer", "tel:+13175550123"),
        ParticipantSpec {
            state: "disconnected".to_owned(),
            queue_id: queue.clone(),
            ..ParticipantSpec::named("acd", "Support", "sip:queue@acd.sandbox.example")
        },
        agent("Anna Agent", "anna.agent"),
        agent("Ben Agent", "ben.agent"),
        ParticipantSpec::named("external", "Eve Consultant", "tel:+13175550188"),
    ]
}
