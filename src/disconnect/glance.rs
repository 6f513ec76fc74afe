//! A look at a whole conversation, which finds out about one that Genesys Cloud does not know.

use super::judge::{Observation, Verdict};
use super::look::{Read, read};
use super::{Disconnector, Origin};
use crate::conversation::Conversation;
use crate::genesys::request::Rank;
use crate::ids::ConversationId;
use crate::problem::Problem;

/// What a look at a conversation gave.
#[derive(Debug)]
pub(crate) enum Glance {
    /// The conversation, live or ended.
    Found(Conversation),
    /// It can no longer be read, and analytics knows that it has ended.
    Ended,
    /// Genesys Cloud does not know it. It is `over` where our audit records, or `disconnect.unknown_conversation`, say so.
    Unknown { over: bool },
    /// It cannot be read.
    Unreadable(Problem),
}

impl Disconnector {
    /// Looks at a conversation once.
    ///
    /// # Errors
    /// No answer, or a transient one.
    pub(crate) async fn glance(&self, origin: &Origin, rank: Rank, cid: ConversationId) -> Result<Glance, Problem> {
        let admission = self.admit(origin)?;
        let (read, _) = read(&self.inner.client, &admission.context, rank, cid).await?;
        Ok(match read {
            Read::Found(conversation) => Glance::Found(conversation),
            Read::NotFound => {
                let (client, context) = (&self.inner.client, &admission.context);
                match self.inner.unknown.judge(Observation::UnknownConversation, client, context, cid).await {
                    Verdict::Settled { verified: true, .. } => Glance::Ended,
                    verdict => Glance::Unknown { over: matches!(verdict, Verdict::Settled { .. }) },
                }
            }
            Read::Hidden(problem) | Read::Foreign(problem) => Glance::Unreadable(problem),
        })
    }
}
