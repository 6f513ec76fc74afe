//! The outcome of a mission whose caller has hung up: nobody is answered, so the log tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Abandoned;
use crate::disconnect::outcome::Settled;
use crate::problem::Problem;

/// Held by whoever waits for the outcome; dropped with the handler when the caller hangs up.
#[derive(Debug, Default)]
pub(super) struct Listening(Arc<AtomicBool>);

impl Listening {
    /// For the work itself: tells at its end whether anybody still listens.
    pub(super) fn watch(&self) -> Unheard {
        Unheard(Arc::clone(&self.0))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// See [`Listening::watch`].
#[derive(Debug)]
pub(super) struct Unheard(Arc<AtomicBool>);

impl Unheard {
    /// Logs the outcome when nobody waits for it any more.
    pub(super) fn settled(&self, who: &Abandoned, result: &Result<Settled, Problem>) {
        if !self.0.load(Ordering::Relaxed) {
            return;
        }
        let participant = who.participant.map(|id| id.to_string());
        let (settled, problem) = (result.as_ref().ok(), result.as_ref().err());
        tracing::info!(
            event = "settled_unheard", conversation_id = %who.conversation, participant_id = participant,
            caller = &*who.caller, request_id = &*who.request_id,
            outcome = settled.map(|s| s.outcome.name()), code = problem.map(|p| p.code.name()),
            attempts = settled.map(|s| s.attempts), correlation_id = settled.and_then(|s| s.correlation_id.as_deref()),
            "the caller had hung up; its mission went on and is settled"
        );
    }
}
