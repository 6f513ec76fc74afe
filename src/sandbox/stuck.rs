//! Conversations that are stuck: open for days, waiting in a queue or with an agent who left long ago.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::directory::{ANNA, Directory, HOME};
use super::medium::Medium;
use super::option_duration;
use super::spec::{ConversationSpec, ParticipantSpec, SpecError};

/// Most stuck conversations made at once.
const MOST: u32 = 100_000;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Stuck conversations to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct StuckSpec {
    /// How many.
    pub count: u32,
    /// Their medium; messages unless given.
    pub medium: Medium,
    /// Name of their queue, which is made if it does not exist; `Support` unless given.
    pub queue: String,
    /// Id of their queue, instead of its name.
    #[serde(alias = "queue_id")]
    pub queue_id: Option<String>,
    /// Name of their division, which is made if it does not exist; the home division unless given.
    pub division: Option<String>,
    /// How long ago the oldest began; a day unless given.
    #[serde(with = "option_duration")]
    pub age: Option<Duration>,
    /// How long ago the youngest began; as the oldest unless given. The others are spread evenly between them.
    #[serde(with = "option_duration")]
    pub youngest: Option<Duration>,
    /// Whether an agent has left, which analytics missed.
    pub orphaned: bool,
    /// Whether a live agent is in them.
    pub agent: bool,
    /// Id of that agent's user.
    #[serde(alias = "user_id")]
    pub user_id: Option<String>,
    /// For callbacks: they are due after this time, and have the state `scheduled`.
    #[serde(with = "option_duration", alias = "scheduled_in")]
    pub scheduled_in: Option<Duration>,
    /// Whether their queue leg stays when the customer has left.
    pub stubborn: bool,
}

impl Default for StuckSpec {
    fn default() -> Self {
        Self {
            count: 1,
            medium: Medium::Messages,
            queue: "Support".to_owned(),
            queue_id: None,
            division: None,
            age: None,
            youngest: None,
            orphaned: false,
            agent: false,
            user_id: None,
            scheduled_in: None,
            stubborn: false,
        }
    }
}

impl StuckSpec {
    /// The conversations to make, one after the other.
    ///
    /// # Errors
    /// A member that cannot be used; the text names it.
    pub(crate) fn conversations(
        self,
        directory: &Directory,
    ) -> Result<impl Iterator<Item = ConversationSpec>, SpecError> {
        if self.count == 0 || self.count > MOST {
            return Err(SpecError::Invalid(format!("count: must be between 1 and {MOST}")));
        }
        let oldest = self.age.unwrap_or(DAY);
        let youngest = self.youngest.unwrap_or(oldest);
        if youngest > oldest {
            return Err(SpecError::Invalid("youngest: must not be older than `age`".to_owned()));
        }
        if self.scheduled_in.is_some() && self.medium != Medium::Callbacks {
            return Err(SpecError::Invalid("scheduledIn: only callbacks are scheduled".to_owned()));
        }
        let division = self.division.as_deref().map_or(HOME, |name| directory.division_named(name));
        let queue = match &self.queue_id {
            Some(id) => id.clone(),
            None => directory.queue_named(&self.queue, division),
        };
        let step = (oldest - youngest) / self.count.saturating_sub(1).max(1);
        Ok((0..self.count).map(move |number| ConversationSpec {
            age: Some(oldest.saturating_sub(step * number)),
            division_id: Some(division),
            stubborn: self.stubborn,
            ..ConversationSpec::with(self.people(&queue, number))
        }))
    }

    fn people(&self, queue: &str, number: u32) -> Vec<ParticipantSpec> {
        let state = if self.scheduled_in.is_some() { "scheduled" } else { "connected" };
        let on = |purpose: &str, state: &str| ParticipantSpec {
            media: vec![self.medium],
            state: state.to_owned(),
            queue_id: (purpose != "customer").then(|| queue.to_owned()),
            queue_name: Some(self.queue.clone()),
            scheduled_in: self.scheduled_in,
            ..ParticipantSpec::of(purpose)
        };
        let customer = ParticipantSpec {
            name: Some(format!("Customer {number}")),
            address: Some(self.address(number)),
            ..on("customer", state)
        };
        let agent = |state: &str| ParticipantSpec {
            name: Some("Anna Agent".to_owned()),
            user_id: Some(self.user_id.clone().unwrap_or_else(|| ANNA.to_owned())),
            orphaned: self.orphaned,
            ..on("agent", state)
        };
        let waiting = !self.orphaned && !self.agent;
        let mut people = vec![customer, on("acd", if waiting { state } else { "disconnected" })];
        if self.orphaned {
            people.push(agent("disconnected"));
        }
        if self.agent {
            people.push(ParticipantSpec { orphaned: false, ..agent("connected") });
        }
        people
    }

    fn address(&self, number: u32) -> String {
        match self.medium {
            Medium::Emails => format!("customer{number}@example.com"),
            Medium::Calls | Medium::Callbacks => format!("tel:+1317{:07}", number % 10_000_000),
            _ => format!("+1317{:07}", number % 10_000_000),
        }
    }
}
