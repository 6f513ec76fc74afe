//! The methods by which tests and the demo use the sandbox.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::faults::{Action, Fault};
use super::journal::{Counts, Entry};
use super::settings::{Settings, TokenTerms};
use super::spec::{ConversationSpec, ParticipantSpec, SpecError};
use super::state::Sandbox;
use super::stuck::StuckSpec;
use super::tokens::TokenView;

/// A conversation that was made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Conference {
    /// Its id.
    pub id: Uuid,
    /// Its participants, in the order of lists.
    pub participants: Vec<Member>,
}

/// One participant of a conversation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Member {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// `customer`, `agent`, …
    pub purpose: String,
    /// Id of the user.
    pub user_id: Option<String>,
    /// `tel:` or `sip:` address.
    pub address: Option<String>,
    /// Whether it is still in the conversation.
    pub live: bool,
    /// How many disconnects of it the sandbox has accepted.
    pub disconnects: u64,
}

impl Conference {
    /// The first participant with that purpose.
    #[must_use]
    pub fn first(&self, purpose: &str) -> Option<Uuid> {
        self.participants.iter().find(|p| p.purpose == purpose).map(|p| p.id)
    }

    /// Ids of the live participants.
    #[must_use]
    pub fn live(&self) -> Vec<Uuid> {
        self.participants.iter().filter(|p| p.live).map(|p| p.id).collect()
    }
}

impl Sandbox {
    /// Makes a conversation, even with states that its medium does not have. If its id is taken, it gets another one.
    /// [`Sandbox::create`] refuses both.
    pub fn create_conference(&self, mut spec: ConversationSpec) -> Conference {
        loop {
            if let Ok(id) = self.add(spec.clone())
                && let Some(conference) = self.conference(id)
            {
                return conference;
            }
            spec.id = None;
        }
    }

    /// Makes a conversation, and returns its id.
    ///
    /// # Errors
    /// The id is taken, or Genesys Cloud does not know a value.
    pub fn create(&self, spec: ConversationSpec) -> Result<Uuid, SpecError> {
        spec.check()?;
        self.add(spec)
    }

    /// Makes stuck conversations, and returns their ids.
    ///
    /// # Errors
    /// A member that cannot be used.
    pub fn create_stuck(&self, spec: StuckSpec) -> Result<Vec<Uuid>, SpecError> {
        spec.conversations(self.directory())?.map(|spec| self.create(spec)).collect()
    }

    /// Adds a participant to a live conversation, and returns its id; `None` if there is no live conversation.
    ///
    /// # Errors
    /// A value that Genesys Cloud does not know.
    pub fn add_participant(&self, id: Uuid, spec: ParticipantSpec) -> Result<Option<Uuid>, SpecError> {
        spec.check()?;
        let conversations = self.conversations();
        let added = conversations.with(id, self.settings().ended_readable_for, |conversation, now| {
            let began = conversations.clock.wall(now);
            let place = (&conversations.clock, self.directory());
            let live = conversation.ended.is_none();
            live.then(|| {
                let participant = spec.build(place, conversation.division, now, began);
                let id = participant.id;
                conversation.participants.push(participant);
                id
            })
        });
        Ok(added.flatten())
    }

    fn add(&self, spec: ConversationSpec) -> Result<Uuid, SpecError> {
        let conversation = spec.build(&self.conversations().clock, self.directory());
        let id = conversation.id;
        let added = self.conversations().add(conversation, self.settings().ended_readable_for);
        added.then_some(id).ok_or(SpecError::IdTaken(id))
    }

    /// A conversation as it is now; `None` if it does not exist, or can no longer be read.
    #[must_use]
    pub fn conference(&self, id: Uuid) -> Option<Conference> {
        self.conversations().with(id, self.settings().ended_readable_for, |conversation, now| Conference {
            id,
            participants: conversation
                .participants
                .iter()
                .map(|p| Member {
                    id: p.id,
                    name: p.name.clone(),
                    purpose: p.purpose.clone(),
                    user_id: p.user_id.clone(),
                    address: p.address.clone(),
                    live: p.is_live(now),
                    disconnects: p.disconnects,
                })
                .collect(),
        })
    }

    /// Whether a participant is in the conversation right now.
    #[must_use]
    pub fn is_live(&self, conversation: Uuid, participant: Uuid) -> bool {
        self.conference(conversation)
            .is_some_and(|conference| conference.participants.iter().any(|p| p.id == participant && p.live))
    }

    /// Waits until every disconnect that was accepted in that conversation so far has taken effect.
    pub async fn settled(&self, id: Uuid) {
        let due = self.conversations().with_known(id, |conversation, now| conversation.last_end_due(now));
        if let Some(due) = due.flatten() {
            sleep_until(due).await;
        }
    }

    /// Ends a conversation for all participants now; `false` if it does not exist.
    pub fn end_conversation(&self, id: Uuid) -> bool {
        let clock = self.conversations().clock;
        let found = self.conversations().with(id, self.settings().ended_readable_for, |conversation, now| {
            conversation.ends = Some(now);
            conversation.settle(now, &clock);
        });
        found.is_some()
    }

    /// Removes a conversation, as if it had never existed; `false` if it does not exist.
    pub fn forget(&self, id: Uuid) -> bool {
        self.conversations().forget(id)
    }

    /// Replaces all fault rules.
    ///
    /// # Errors
    /// A rule that cannot be carried out; the text names its member.
    pub fn set_faults(&self, faults: Vec<Fault>) -> Result<Vec<u64>, String> {
        self.install(faults, true)
    }

    /// Adds a rule after the others, and returns its id.
    ///
    /// # Errors
    /// As [`Sandbox::set_faults`].
    pub fn add_fault(&self, fault: Fault) -> Result<u64, String> {
        Ok(self.install(vec![fault], false)?.first().copied().unwrap_or_default())
    }

    /// Removes all rules. A listener that is closed opens at once.
    pub fn clear_faults(&self) {
        self.fault_rules().remove(None);
        self.refuse_connections(Duration::ZERO);
    }

    pub(crate) fn install(&self, faults: Vec<Fault>, replace: bool) -> Result<Vec<u64>, String> {
        let down = faults.iter().filter(|f| matches!(f.action, Some(Action::Refuse))).filter_map(|f| f.lasts).max();
        let ids = self.fault_rules().add(faults, replace)?;
        if let Some(time) = down {
            self.refuse_connections(time);
        }
        Ok(ids)
    }

    /// Closes the listener of [`Sandbox::serve`] for a time and resets the open connections; zero opens it again.
    /// In-process it does nothing.
    pub fn refuse_connections(&self, time: Duration) {
        let now = Instant::now();
        self.inner.refuse.send_replace(now.checked_add(time).unwrap_or(now));
    }

    pub(crate) fn refusals(&self) -> watch::Receiver<Instant> {
        self.inner.refuse.subscribe()
    }

    /// Grants a token without a login, and without an entry in the journal.
    #[must_use]
    pub fn grant_token(&self) -> String {
        self.tokens_store().grant(self.token_terms().lifetime)
    }

    /// Revokes every token, and returns how many were live.
    pub fn revoke_all_tokens(&self) -> usize {
        self.tokens_store().revoke_all()
    }

    /// Rotates the client's secret: the next login needs this one. Tokens granted before live on.
    pub fn change_client_secret(&self, secret: &str) {
        self.inner.client_secret.store(Arc::new(secret.into()));
    }

    /// Every token that is remembered, oldest first, without the tokens' texts.
    #[must_use]
    pub fn tokens(&self) -> Vec<TokenView> {
        self.tokens_store().list(self.token_terms().idle_timeout)
    }

    /// The current settings.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.inner.switches.settings.load_full()
    }

    /// Changes settings: a JSON object with the members of [`Settings`] to change, durations as `"250ms"`.
    ///
    /// # Errors
    /// An unknown member, or a value that cannot be used.
    pub fn change_settings(&self, change: &Value) -> Result<(), String> {
        self.inner.switches.change_settings(change)
    }

    /// How long tokens live.
    #[must_use]
    pub fn token_terms(&self) -> Arc<TokenTerms> {
        self.inner.switches.tokens.load_full()
    }

    /// Changes how long tokens live: a JSON object with members of [`TokenTerms`].
    ///
    /// # Errors
    /// As [`Sandbox::change_settings`].
    pub fn change_tokens(&self, change: &Value) -> Result<(), String> {
        self.inner.switches.change_tokens(change)
    }

    /// The latest 10,000 requests, oldest first.
    #[must_use]
    pub fn journal(&self) -> Vec<Entry> {
        self.journal_store().entries(usize::MAX, |_| true)
    }

    /// Totals of all requests.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.journal_store().counts()
    }

    /// Clears journal and totals.
    pub fn clear_journal(&self) {
        self.journal_store().clear();
    }
}
