//! Which participants an item means, and whether they are gone.

use serde::{Deserialize, Serialize};

use super::Jobs;
use super::runner::Lease;
use crate::conversation::{Conversation, Participant};
use crate::disconnect::judge::Observation;
use crate::disconnect::{Disconnector, Origin};
use crate::ids::{ConversationId, ParticipantId};
use crate::medium::Medium;
use crate::outcome::Outcome;
use crate::problem::{Code, Problem};
use crate::selector::Selector;
use crate::store::LeasedItem;

/// The stored target of an item that means a whole conversation.
const ALL: &str = "all";
/// Most participants named in the detail of an item.
const MOST_NAMED: usize = 8;

/// Which participants an item means.
pub(super) struct ItemTarget {
    /// The participants that it may reach, fixed before the first of them was disconnected.
    pub(super) set: Set,
    /// Whether to end the whole conversation, because only members of the set are in it.
    pub(super) tears_down: bool,
    /// Whether the set was resolved in this attempt.
    pub(super) is_fresh: bool,
}

/// The participants an item may reach, and those whose disconnect was accepted already. Stored with the item as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Set {
    pub(super) members: Vec<ParticipantId>,
    /// These need no second disconnect; they are read until they are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) accepted: Vec<ParticipantId>,
}

impl Set {
    fn read(text: &str) -> Result<Self, Problem> {
        // The first version wrote only a list of members.
        let list = || serde_json::from_str(text).map(|members| Self { members, ..Self::default() });
        serde_json::from_str(text).or_else(|_| list()).map_err(|_| unreadable())
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Those whose disconnect was not accepted yet.
    pub(super) fn open(&self) -> Vec<ParticipantId> {
        self.members.iter().filter(|id| !self.accepted.contains(id)).copied().collect()
    }
}

impl ItemTarget {
    /// The target, if it is fixed already: `None` for a selector or a whole conversation that was not resolved yet.
    pub(super) fn resolved(item: &LeasedItem) -> Result<Option<Self>, Problem> {
        let tears_down = item.participant.is_none() && item.target.as_deref().unwrap_or(ALL) == ALL;
        let kept = item.reached.as_deref().map(Set::read).transpose()?;
        let set = match (&item.participant, kept) {
            (_, Some(set)) => set,
            (Some(id), None) => {
                Set { members: vec![ParticipantId::parse(id).ok_or_else(unreadable)?], ..Set::default() }
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Self { set, tears_down, is_fresh: false }))
    }

    /// If other participants have joined since, a repeated teardown disconnects the members of the set one by one
    /// instead. Members that are gone count as accepted, so that they are not disconnected again.
    pub(super) fn spare_others(&mut self, seen: &Conversation) {
        let live: Vec<_> = seen.participants.iter().filter(|p| p.is_live()).collect();
        let is_member = |p: &&Participant| ParticipantId::parse(&p.id).is_some_and(|id| self.set.members.contains(&id));
        if !self.tears_down || self.is_fresh || live.iter().copied().all(|p| is_member(&p)) {
            return;
        }
        self.tears_down = false;
        let is_gone = |id: &ParticipantId| !live.iter().any(|p| ParticipantId::parse(&p.id) == Some(*id));
        let gone: Vec<_> = self.set.open().into_iter().filter(is_gone).collect();
        self.set.accepted.extend(gone);
    }
}

impl Jobs {
    /// Which participants the item means. This is resolved once, from the conversation that was just `seen` or by a
    /// read, and the set is stored before the first member is disconnected.
    pub(super) async fn target(
        &self,
        lease: &Lease,
        item: &LeasedItem,
        origin: &Origin,
        cid: ConversationId,
        seen: Option<&Conversation>,
    ) -> Result<ItemTarget, Problem> {
        if let Some(resolved) = ItemTarget::resolved(item)? {
            return Ok(resolved);
        }
        let selector = item.target.as_deref().unwrap_or(ALL);
        let as_seen = lease.plan.as_seen.as_ref();
        let tears_down = selector == ALL;
        let members = match (tears_down, seen) {
            (true, Some(conversation)) => Disconnector::everybody_in(origin, conversation)?,
            (true, None) => self.0.disconnector.everybody_for_job(origin, cid).await?,
            (false, Some(conversation)) => {
                Disconnector::resolve_in(origin, conversation, &read_selector(selector)?, as_seen)?
            }
            (false, None) => {
                self.0.disconnector.resolve_for_job(origin, cid, &read_selector(selector)?, as_seen).await?
            }
        };
        let set = Set { members, ..Set::default() };
        match self.store().keep_reached(&lease.job.id, item, &set.to_json()).await {
            Ok(true) => Ok(ItemTarget { set, tears_down, is_fresh: true }),
            // Another replica has the lease now, and resolves the target itself.
            Ok(false) => Err(Problem::new(Code::ShuttingDown, "the lease of this item has expired")),
            Err(error) => Err(super::unavailable(&error)),
        }
    }
}

/// The outcome of an item whose conversation has ended.
pub(super) fn ended(we_sent: bool) -> &'static str {
    if we_sent { Outcome::Disconnected.name() } else { Outcome::ConversationEnded.name() }
}

/// The outcome, if all members of the set were read as gone.
pub(super) fn gone(
    conversation: &Conversation,
    target: &ItemTarget,
    media: Option<Medium>,
    we_sent: bool,
) -> Option<&'static str> {
    if conversation.ended() {
        return Some(ended(we_sent));
    }
    // A member that is not listed at all is not counted as gone; the disconnect then reports `participant_not_found`.
    let is_gone = |id: &ParticipantId| Observation::of(conversation, *id, media) == Observation::Gone;
    let members = &target.set.members;
    let outcome = if we_sent { Outcome::Disconnected } else { Outcome::AlreadyDisconnected };
    (members.iter().all(is_gone) && !members.is_empty()).then(|| outcome.name())
}

/// The detail of an item with a selector, or of a whole conversation, for the report of a sweep: that the conversation
/// has ended, or who is still in it.
pub(super) fn what_is_left(item: &LeasedItem, conversation: &Conversation) -> Option<String> {
    item.target.as_ref()?;
    if conversation.ended() {
        return Some(super::ENDED.to_owned());
    }
    let live = conversation.participants.iter().filter(|p| p.is_live());
    let left: Vec<&str> = live.map(|p| p.purpose.as_deref().unwrap_or("unknown")).take(MOST_NAMED).collect();
    Some(format!("still in the conversation: {}", if left.is_empty() { "nobody".to_owned() } else { left.join(", ") }))
}

pub(super) fn read_selector(text: &str) -> Result<Selector, Problem> {
    let members = serde_json::from_str(text).map_err(|_| unreadable())?;
    Selector::read(&members)
}

pub(super) fn unreadable() -> Problem {
    Problem::new(Code::InvalidBody, "the stored item cannot be read by this version of hangup; make the job again")
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "11111111-1111-4111-8111-111111111111";
    const B: &str = "22222222-2222-4222-8222-222222222222";

    #[test]
    fn one_who_was_accepted_needs_no_second_disconnect_and_sets_of_the_first_version_are_read() {
        let ids = [A, B].map(|id| ParticipantId::parse(id).unwrap());
        let set = Set { members: ids.to_vec(), accepted: vec![ids[0]] };
        assert_eq!(Set::read(&set.to_json()).unwrap(), set);
        assert_eq!(set.open(), [ids[1]]);
        let old = Set::read(&format!("[\"{A}\",\"{B}\"]")).unwrap();
        assert_eq!((old.members.len(), old.open().len()), (2, 2));
        assert!(Set::read("nonsense").is_err());
    }
}
