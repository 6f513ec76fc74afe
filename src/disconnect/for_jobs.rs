//! What jobs need beside the disconnect itself: a look at a conversation, and whom a selector means.

use std::sync::Arc;

use super::judge::{Observation, Verdict};
use super::look::{Read, read};
use super::{Disconnector, Origin, forbidden_participant};
use crate::callers::Guards;
use crate::conversation::Conversation;
use crate::genesys::request::Rank;
use crate::ids::{ConversationId, ParticipantId};
use crate::problem::Problem;
use crate::selector::Selector;

/// What a look at a conversation gave.
#[derive(Debug)]
pub(crate) enum Glance {
    /// The conversation, live or ended.
    Found(Conversation),
    /// It can no longer be read, and analytics knows that it has ended.
    Ended,
    /// Genesys Cloud does not know it.
    Unknown,
    /// It cannot be read.
    Unreadable(Problem),
}

impl Disconnector {
    /// The longest time that one disconnect takes.
    pub(crate) fn deadline_length(&self) -> std::time::Duration {
        self.inner.settings.deadline
    }

    /// Looks at a conversation once.
    ///
    /// # Errors
    /// No answer, or a transient one.
    pub(crate) async fn glance(&self, origin: &Origin, cid: ConversationId) -> Result<Glance, Problem> {
        let admission = self.admit(origin)?;
        let (read, _) = read(&self.inner.client, &admission.context, Rank::Lookup, cid).await?;
        Ok(match read {
            Read::Found(conversation) => Glance::Found(conversation),
            Read::NotFound => {
                let (client, context) = (&self.inner.client, &admission.context);
                match self.inner.unknown.judge(Observation::UnknownConversation, client, context, cid).await {
                    Verdict::Settled { verified: true, .. } => Glance::Ended,
                    _ => Glance::Unknown,
                }
            }
            Read::Hidden(problem) | Read::Foreign(problem) => Glance::Unreadable(problem),
        })
    }

    /// Whom a selector means now, within the guards of the caller.
    ///
    /// # Errors
    /// As for a selector that is carried out at once. Nobody was touched.
    pub(crate) async fn resolve_for_job(
        &self,
        origin: &Origin,
        cid: ConversationId,
        selector: &Selector,
    ) -> Result<Vec<ParticipantId>, Problem> {
        Ok(self.resolve(origin, cid, selector).await?.into_iter().map(|target| target.id).collect())
    }

    /// The same in a conversation that was just read.
    ///
    /// # Errors
    /// As [`Disconnector::resolve_for_job`].
    pub(crate) fn resolve_in(
        origin: &Origin,
        conversation: &Conversation,
        selector: &Selector,
    ) -> Result<Vec<ParticipantId>, Problem> {
        Ok(Self::permitted(origin, conversation, selector)?.into_iter().map(|target| target.id).collect())
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
