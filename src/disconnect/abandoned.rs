//! Disconnects that end without their caller: given up at the end of the drain time, or settled after the caller had left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::audit::RequestedDisconnect;
use crate::genesys::requester::Requester;
use crate::ids::{ConversationId, ParticipantId};
use crate::outcome::Settled;
use crate::problem::{Code, Problem};

/// What is logged about a disconnect that ends without its caller: the participant, and the caller.
#[derive(Debug)]
pub(super) struct Subject {
    conversation: ConversationId,
    participant: Option<ParticipantId>,
    requester: Arc<Requester>,
    caller_left: Arc<AtomicBool>,
}

impl Subject {
    pub(super) fn of(asked: &RequestedDisconnect<'_>, requester: &Arc<Requester>) -> Self {
        Self {
            conversation: asked.conversation,
            participant: asked.participant,
            requester: Arc::clone(requester),
            caller_left: Arc::default(),
        }
    }

    /// A guard for the handler to hold while its caller waits for the outcome; dropped earlier, the caller has left.
    pub(super) fn waiting_caller(&self) -> WaitingCaller {
        WaitingCaller(Arc::clone(&self.caller_left))
    }

    /// Logs that it was given up, and says what the caller should do.
    pub(super) fn give_up(&self) -> Problem {
        let participant = self.participant.map(|id| id.to_string());
        let sent = self.requester.may_have_sent();
        let effect = if sent { "unknown" } else { "none" };
        tracing::error!(
            event = "abandoned", conversation_id = %self.conversation, participant_id = participant,
            caller = &*self.requester.caller, request_id = &*self.requester.request_id, effect,
            "given up at the end of the drain time"
        );
        let detail = "this instance had to stop before the request was done; repeat it";
        Problem::new(Code::ShuttingDown, detail).effect(sent)
    }

    /// Logs the outcome if the caller has left: no answer will show it.
    pub(super) fn settled(&self, result: &Result<Settled, Problem>) {
        if !self.caller_left.load(Ordering::Relaxed) {
            return;
        }
        let participant = self.participant.map(|id| id.to_string());
        let (settled, problem) = (result.as_ref().ok(), result.as_ref().err());
        tracing::info!(
            event = "settled_without_caller", conversation_id = %self.conversation, participant_id = participant,
            caller = &*self.requester.caller, request_id = &*self.requester.request_id,
            outcome = settled.map(|s| s.outcome.name()), code = problem.map(|p| p.code.name()),
            attempts = settled.map(|s| s.attempts), correlation_id = settled.and_then(|s| s.correlation_id.as_deref()),
            "the caller had left; its disconnect went on and is settled"
        );
    }
}

/// See [`Subject::waiting_caller`].
#[derive(Debug)]
pub(super) struct WaitingCaller(Arc<AtomicBool>);

impl Drop for WaitingCaller {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
