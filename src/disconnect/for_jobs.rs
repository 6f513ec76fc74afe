//! What jobs need beside the disconnect itself: whom a selector means.

use std::sync::Arc;

use super::seen::AsSeen;
use super::{Disconnector, Origin, forbidden_participant};
use crate::callers::Guards;
use crate::conversation::Conversation;
use crate::ids::{ConversationId, ParticipantId};
use crate::problem::Problem;
use crate::selector::Selector;

impl Disconnector {
    /// The longest time that one disconnect takes.
    pub(crate) fn deadline_length(&self) -> std::time::Duration {
        self.inner.settings.deadline
    }

    /// Whom a selector means now, within the guards of the caller, if all of them are as they were seen.
    ///
    /// # Errors
    /// As for a selector that is carried out at once. Nobody was touched.
    pub(crate) async fn resolve_for_job(
        &self,
        origin: &Origin,
        cid: ConversationId,
        selector: &Selector,
        as_seen: Option<&AsSeen>,
    ) -> Result<Vec<ParticipantId>, Problem> {
        Ok(self.resolve(origin, cid, selector, as_seen).await?.into_iter().map(|target| target.id).collect())
    }

    /// The same in a conversation that was just read.
    ///
    /// # Errors
    /// As [`Disconnector::resolve_for_job`].
    pub(crate) fn resolve_in(
        origin: &Origin,
        conversation: &Conversation,
        selector: &Selector,
        as_seen: Option<&AsSeen>,
    ) -> Result<Vec<ParticipantId>, Problem> {
        Ok(Self::permitted(origin, conversation, selector, as_seen)?.into_iter().map(|target| target.id).collect())
    }

    /// Everybody who is in a conversation now, within the guards of the caller: all of them, or the caller may not end it.
    ///
    /// # Errors
    /// As for a selector.
    pub(crate) async fn everybody_for_job(
        &self,
        origin: &Origin,
        cid: ConversationId,
    ) -> Result<Vec<ParticipantId>, Problem> {
        match self.read_to_select(origin, cid).await? {
            Some(conversation) => Self::everybody_in(origin, &conversation),
            None => Ok(Vec::new()),
        }
    }

    /// The same in a conversation that was just read.
    ///
    /// # Errors
    /// As [`Disconnector::everybody_for_job`].
    pub(crate) fn everybody_in(origin: &Origin, conversation: &Conversation) -> Result<Vec<ParticipantId>, Problem> {
        let live = || conversation.participants.iter().filter(|p| p.is_live());
        let permitted =
            |guards: &Arc<Guards>| live().all(|p| guards.permits(p.purpose.as_deref(), p.queue_id.as_deref()));
        if !origin.guards.as_ref().is_none_or(permitted) {
            return Err(forbidden_participant());
        }
        Ok(live().filter_map(|p| ParticipantId::parse(&p.id)).collect())
    }
}
