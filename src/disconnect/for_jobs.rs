//! What jobs need beside the disconnect itself: a look at a conversation, and whom a selector means.

use super::judge::{Observation, Verdict};
use super::look::{Read, read};
use super::{Disconnector, Origin};
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
}
