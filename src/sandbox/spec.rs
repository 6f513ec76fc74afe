//! Descriptions of conversations to make: a realistic conference by default.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use super::clock::Clock;
use super::conversation::{Communication, Conversation, Gone, Participant, WrapupTerms};
use super::directory::{ANNA, BEN, Directory, HOME, SUPPORT};
use super::medium::Medium;
use super::option_duration;

/// How long ago a conversation began, unless its age is given.
const AGE: Duration = Duration::from_secs(95);
const SPOKEN: time::Duration = time::Duration::seconds(4);
const LEFT: time::Duration = time::Duration::seconds(22);

/// Why a conversation or participant cannot be made. The text names the member.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The id is taken.
    #[error("id: a conversation {0} exists already")]
    IdTaken(Uuid),
    /// A value that Genesys Cloud does not know.
    #[error("{0}")]
    Invalid(String),
}

/// A conversation to make. By default it is a conference of a customer, two agents and an external consultant, with
/// a queue leg that is already over.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct ConversationSpec {
    /// Its id; a fresh one unless given.
    pub id: Option<Uuid>,
    /// Its participants; the default conference unless given. The same id may be listed more than once.
    pub participants: Option<Vec<ParticipantSpec>>,
    /// How long ago it began; 95 s unless given.
    #[serde(with = "option_duration")]
    pub age: Option<Duration>,
    /// Its division; the home division unless given.
    #[serde(alias = "division_id")]
    pub division_id: Option<Uuid>,
    /// Whether its queue leg stays when all others have left.
    pub stubborn: bool,
    /// It ends by itself after this time.
    #[serde(with = "option_duration", alias = "end_in")]
    pub end_in: Option<Duration>,
    /// How long it can be read after its end.
    #[serde(with = "option_duration", alias = "readable_for")]
    pub readable_for: Option<Duration>,
}

/// A participant to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct ParticipantSpec {
    /// Its id; a fresh one unless given.
    pub id: Option<Uuid>,
    /// Its name; made from the purpose unless given.
    pub name: Option<String>,
    /// `customer`, `agent`, `user`, `external`, `acd`, `ivr`, …
    pub purpose: String,
    /// Its media; a call unless given. Empty: no communications at all.
    pub media: Vec<Medium>,
    /// State of its communications: `connected` unless given. With `disconnected` or `terminated` it has left already.
    pub state: String,
    /// How it ended, if it has left already: `client` unless given, `transfer` for a queue leg.
    #[serde(alias = "disconnect_type")]
    pub disconnect_type: Option<String>,
    /// Id of the user.
    #[serde(alias = "user_id")]
    pub user_id: Option<String>,
    /// Id of the queue.
    #[serde(alias = "queue_id")]
    pub queue_id: Option<String>,
    /// Name of a queue that is not known yet.
    #[serde(alias = "queue_name")]
    pub queue_name: Option<String>,
    /// `tel:` or `sip:` address.
    pub address: Option<String>,
    /// Whether it owes a wrap-up code after its disconnect: it then has no `endTime`, and further disconnects without a
    /// code are answered 400.
    #[serde(alias = "wrapup_pending")]
    pub wrapup_pending: bool,
    /// Whether a disconnect without a wrap-up code, or one that skips it, is answered 400.
    #[serde(alias = "wrapup_required")]
    pub wrapup_required: bool,
    /// When a callback is due, from now on.
    #[serde(with = "option_duration", alias = "scheduled_in")]
    pub scheduled_in: Option<Duration>,
    /// Whether analytics missed that it left.
    pub orphaned: bool,
}

impl Default for ParticipantSpec {
    fn default() -> Self {
        Self {
            id: None,
            name: None,
            purpose: "customer".to_owned(),
            media: vec![Medium::Calls],
            state: "connected".to_owned(),
            disconnect_type: None,
            user_id: None,
            queue_id: None,
            queue_name: None,
            address: None,
            wrapup_pending: false,
            wrapup_required: false,
            scheduled_in: None,
            orphaned: false,
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

    /// Checks that Genesys Cloud could have such a participant. The error names the member.
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        let silent =
            self.media.is_empty() && matches!(self.state.as_str(), "connected" | "disconnected" | "terminated");
        if let Some(medium) = self.media.iter().find(|medium| !medium.has_state(&self.state)) {
            let (name, states) = (medium.name(), medium.facts().states);
            return Err(SpecError::Invalid(format!("state: {name} have no state {:?}, only {states}", self.state)));
        }
        if self.media.is_empty() && !silent {
            return Err(SpecError::Invalid(format!("state: {:?} needs a medium", self.state)));
        }
        if let Some(kind) = &self.disconnect_type
            && let Some(medium) = self.media.iter().find(|medium| !medium.ends_by(kind))
        {
            let (name, kinds) = (medium.name(), medium.facts().disconnect_types);
            return Err(SpecError::Invalid(format!("disconnectType: {name} do not end by {kind:?}, only by {kinds}")));
        }
        Ok(())
    }

    /// The participant, in a conversation that began at `started`.
    pub(crate) fn build(
        self,
        (clock, directory): (&Clock, &Directory),
        division: Uuid,
        now: Instant,
        started: time::OffsetDateTime,
    ) -> Participant {
        let over = matches!(self.state.as_str(), "disconnected" | "terminated");
        let usual = if self.purpose == "acd" { "transfer" } else { "client" };
        let gone = over.then(|| Gone {
            at: now,
            wall: (started + LEFT).min(clock.wall(now)),
            state: self.state.clone(),
            kind: self.disconnect_type.map_or(usual.into(), Into::into),
        });
        let state = if over { "connected".to_owned() } else { self.state };
        let communications: Vec<_> = self
            .media
            .into_iter()
            .map(|medium| Communication { id: Uuid::new_v4(), medium, state: state.clone(), gone: gone.clone() })
            .collect();
        let name = self.name.unwrap_or_else(|| format!("Sandbox {}", self.purpose));
        let queue_name = self.queue_id.as_deref().and_then(|id| {
            let known = directory.queue(id).map(|queue| queue.name).or(self.queue_name);
            let queue_name = known.or_else(|| (self.purpose == "acd").then(|| name.clone()));
            queue_name.inspect(|queue_name| directory.note_queue(id, queue_name, division))
        });
        if let Some(id) = &self.user_id {
            directory.note_user(id, &name);
        }
        Participant {
            id: self.id.unwrap_or_else(Uuid::new_v4),
            name,
            connected: matches!(state.as_str(), "connected" | "parked").then_some(started + SPOKEN),
            purpose: self.purpose,
            user_id: self.user_id,
            queue_id: self.queue_id,
            queue_name,
            address: self.address,
            started,
            wrapup: match (self.wrapup_required, self.wrapup_pending) {
                (true, _) => WrapupTerms::Required,
                (false, true) => WrapupTerms::Owed,
                (false, false) => WrapupTerms::None,
            },
            settled: None,
            scheduled: self.scheduled_in.map(|time| clock.wall(now).saturating_add(clamped(time))),
            orphaned: self.orphaned,
            left: gone.filter(|_| communications.is_empty()),
            communications,
            disconnects: 0,
        }
    }
}

/// A duration of the `time` crate, at most thirty years.
pub(crate) fn clamped(duration: Duration) -> time::Duration {
    time::Duration::seconds(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX).min(946_080_000))
        + time::Duration::nanoseconds(duration.subsec_nanos().into())
}

impl ConversationSpec {
    /// Only these participants; all else is the default.
    #[must_use]
    pub fn with(participants: Vec<ParticipantSpec>) -> Self {
        Self { participants: Some(participants), ..Self::default() }
    }

    pub(crate) fn check(&self) -> Result<(), SpecError> {
        self.participants.iter().flatten().try_for_each(ParticipantSpec::check)
    }

    pub(crate) fn build(self, clock: &Clock, directory: &Directory) -> Conversation {
        let now = Instant::now();
        let started = clock.wall(now) - clamped(self.age.unwrap_or(AGE));
        let division = self.division_id.unwrap_or(HOME);
        let participants = self.participants.unwrap_or_else(conference);
        Conversation {
            id: self.id.unwrap_or_else(Uuid::new_v4),
            started,
            division,
            stubborn: self.stubborn,
            participants: participants
                .into_iter()
                .map(|p| p.build((clock, directory), division, now, started))
                .collect(),
            ends: self.end_in.and_then(|time| now.checked_add(time)),
            readable_for: self.readable_for,
            ended: None,
        }
    }
}

fn conference() -> Vec<ParticipantSpec> {
    let queue = Some(SUPPORT.to_owned());
    let agent = |id: &str, name: &str, station: &str| ParticipantSpec {
        user_id: Some(id.to_owned()),
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
        agent(ANNA, "Anna Agent", "anna.agent"),
        agent(BEN, "Ben Agent", "ben.agent"),
        ParticipantSpec::named("external", "Eve Consultant", "tel:+13175550188"),
    ]
}
