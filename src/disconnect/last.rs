//! What was sent and answered last, and the result that follows from it and a verdict.

use std::sync::Arc;

use super::judge::Verdict;
use crate::genesys::answer::Answer;
use crate::genesys::context::Context;
use crate::genesys::request::Operation;
use crate::medium::Medium;
use crate::outcome::{Outcome, Settled};
use crate::problem::{Code, Problem, UpstreamDetail};

/// What was sent and answered last; for the answer to the caller.
#[derive(Debug, Default)]
pub(super) struct Last {
    pub(super) operation: Option<Operation>,
    correlation_id: Option<Arc<str>>,
    status: Option<u16>,
}

/// What a verdict leaves open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Open {
    /// The participant is still there, with these media.
    StillThere(Vec<Medium>),
    /// Nothing could be read.
    Unread,
}

impl Last {
    /// Nothing was sent but this read.
    pub(super) fn of(read: &Answer) -> Self {
        let mut last = Self::default();
        last.note(read);
        last
    }

    /// The teardown's answer.
    pub(super) fn of_teardown(answer: &Answer) -> Self {
        Self { operation: Some(Operation::ConversationDisconnect), ..Self::of(answer) }
    }

    pub(super) fn note(&mut self, answer: &Answer) {
        self.correlation_id.clone_from(&answer.correlation_id);
        self.status = Some(answer.status.as_u16());
    }

    pub(super) fn settled(&self, context: &Context, outcome: Outcome, verified: bool) -> Settled {
        Settled {
            outcome,
            verified,
            gone: outcome.gone(),
            still_there: false,
            operation: self.operation,
            attempts: context.attempts(),
            correlation_id: self.correlation_id.clone(),
            upstream_status: self.status,
        }
    }

    /// The result of a verdict; `upstream` is what made us look.
    ///
    /// # Errors
    /// What the verdict leaves open.
    pub(super) fn result(
        &self,
        verdict: Verdict,
        context: &Context,
        upstream: Option<Box<UpstreamDetail>>,
    ) -> Result<Result<Settled, Problem>, Open> {
        match verdict {
            Verdict::Settled { outcome, verified } => Ok(Ok(self.settled(context, outcome, verified))),
            Verdict::ParticipantNotFound => Ok(Err(participant_not_found(upstream))),
            Verdict::WithoutMedium(medium) => Ok(Err(without_medium(medium, upstream))),
            Verdict::ConversationNotFound => Ok(Err(conversation_not_found(upstream))),
            Verdict::StillThere(media) => Err(Open::StillThere(media)),
            Verdict::Unread => Err(Open::Unread),
        }
    }
}

pub(super) fn participant_not_found(upstream: Option<Box<UpstreamDetail>>) -> Problem {
    let detail = "the conversation was read and has no participant with this id; take the id from \
                  GET /conversations/{conversationId}/participants";
    Problem { upstream, ..Problem::new(Code::ParticipantNotFound, detail) }
}

pub(super) fn without_medium(medium: Medium, upstream: Option<Box<UpstreamDetail>>) -> Problem {
    let detail = format!(
        "the participant is in the conversation but has no {}; its media are in \
         GET /conversations/{{conversationId}}/participants",
        medium.singular()
    );
    Problem { upstream, ..Problem::new(Code::ParticipantNotFound, detail) }
}

/// Genesys Cloud does not know the conversation, and nothing shows that it has ended.
pub(crate) fn conversation_not_found(upstream: Option<Box<UpstreamDetail>>) -> Problem {
    let detail = "Genesys Cloud does not know this conversation: the id is wrong, or the region, org or division is, or it ended \
                  long ago";
    Problem { upstream, ..Problem::new(Code::ConversationNotFound, detail) }
}
