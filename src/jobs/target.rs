//! Whom an item means, and whether they are gone.

use super::Jobs;
use super::runner::Lease;
use crate::conversation::Conversation;
use crate::disconnect::judge::Observation;
use crate::disconnect::outcome::Outcome;
use crate::disconnect::{Disconnector, Origin};
use crate::genesys::request::Medium;
use crate::ids::{ConversationId, ParticipantId};
use crate::problem::{Code, Problem};
use crate::selector::Selector;
use crate::store::LeasedItem;

/// Whom an item means.
pub(super) enum Target {
    Participants(Vec<ParticipantId>),
    Conversation,
}

impl Jobs {
    /// Whom the item means. A selector is resolved once, in what was `seen` a moment ago or by a read, and the set is kept before the
    /// first of it is disconnected.
    pub(super) async fn target(
        &self,
        lease: &Lease,
        item: &LeasedItem,
        origin: &Origin,
        cid: ConversationId,
        seen: Option<&Conversation>,
    ) -> Result<Target, Problem> {
        if let Some(id) = &item.participant {
            return Ok(Target::Participants(vec![ParticipantId::parse(id).ok_or_else(unreadable)?]));
        }
        let selector = item.target.as_deref().unwrap_or("all");
        if selector == "all" {
            return Ok(Target::Conversation);
        }
        if let Some(kept) = &item.reached {
            return serde_json::from_str(kept).map(Target::Participants).map_err(|_| unreadable());
        }
        let selector = read_selector(selector)?;
        let resolved = match seen {
            Some(conversation) => Disconnector::resolve_in(origin, conversation, &selector)?,
            None => self.0.disconnector.resolve_for_job(origin, cid, &selector).await?,
        };
        let text = serde_json::to_string(&resolved).unwrap_or_default();
        match self.store().keep_reached(&lease.job.id, item, &text).await {
            Ok(true) => Ok(Target::Participants(resolved)),
            // Another replica holds the item by now, and decides for itself.
            Ok(false) => Err(Problem::new(Code::ShuttingDown, "the lease of this item has passed")),
            Err(error) => Err(super::unavailable(&error)),
        }
    }
}

/// The outcome where the conversation has ended.
pub(super) fn ended(we_sent: bool) -> &'static str {
    if we_sent { Outcome::Disconnected.name() } else { Outcome::ConversationEnded.name() }
}

/// The outcome, if everybody whom the item means was read as gone.
pub(super) fn gone(
    conversation: &Conversation,
    target: &Target,
    media: Option<Medium>,
    we_sent: bool,
) -> Option<&'static str> {
    if conversation.ended() {
        return Some(ended(we_sent));
    }
    match target {
        Target::Conversation => None,
        Target::Participants(ids) => {
            // One who is not in the list was never there: that is for the disconnect to say.
            let is_gone = |id: &ParticipantId| Observation::of(conversation, *id, media) == Observation::Gone;
            let all_gone = ids.iter().all(is_gone);
            let outcome = if we_sent { Outcome::Disconnected } else { Outcome::AlreadyDisconnected };
            (all_gone && !ids.is_empty()).then(|| outcome.name())
        }
    }
}

pub(super) fn read_selector(text: &str) -> Result<Selector, Problem> {
    let members = serde_json::from_str(text).map_err(|_| unreadable())?;
    Selector::read(&members)
}

pub(super) fn unreadable() -> Problem {
    Problem::new(Code::InvalidBody, "the stored item cannot be read by this version of hangup; make the job again")
}
